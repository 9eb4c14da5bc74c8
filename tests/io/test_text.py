"""What comes from data is shown, never obeyed."""

import pytest

from darlr.io.text import markdown, one_line, plain, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("shoe[red]42", r"shoe\[red\]42"),
        ("a|b", r"a\|b"),
        ("`rm`", r"\`rm\`"),
        ("*new*", r"\*new\*"),
        ("_new_", r"\_new\_"),
        ("R_tra", "R_tra"),
        ("$5 or $6", r"\$5 or \$6"),
        ("<b>", r"\<b\>"),
        ("a&lt;b", r"a\&lt;b"),
        ("- a", r"\- a"),
        ("# a", r"\# a"),
        ("1. a", r"1\. a"),
        ("two\nlines", r"two\\nlines"),
        ("DARLR+ (sampled) †", "DARLR+ (sampled) †"),
        ("item-mean list, exit-aware", "item-mean list, exit-aware"),
    ],
)
def test_markdown_shows_text_as_it_is(text, shown):
    assert markdown(text) == shown
    assert plain([f"| {shown} | 1.25 |"]) == [f"{one_line(text)}  1.25"]


def test_a_terminal_gets_tables_without_markup():
    names = ("a | b", "\\", "shoe[red]")
    lines = ["| policy | DR |", "|---|---:|", *(f"| {markdown(name)} | {n}.5 |" for n, name in enumerate(names, 9))]
    table = ["policy       DR", "a | b       9.5", "\\          10.5", "shoe[red]  11.5"]
    assert plain([*lines, "", f"- {markdown(names[2])}: none.", *lines[:1]]) == [
        *table,
        "",
        "- shoe[red]: none.",
        "policy  DR",
    ]


def test_a_terminal_gets_no_orders():
    assert visible("\x1b[31mred\x1b[0m\r\n\tnext") == "\\x1b[31mred\\x1b[0m\\r\n\tnext"
    assert visible("\u202egnp.exe") == "\\u202egnp.exe"
    assert visible("日本 [bold] :smile:") == "日本 [bold] :smile:"
    assert one_line("a\n\tb") == r"a\n\tb"
