"""The table as Markdown, JSON and for a terminal."""

import json
from dataclasses import replace

import pytest

from darlr.errors import RunError
from darlr.evaluation.report import label, markdown, read_rows, tables, write_report
from darlr.evaluation.statistics import Comparison
from darlr.evaluation.terminal import print_tables
from tests.evaluation.sample import ROW

ROWS = [
    ROW,
    replace(ROW, sampled=True, mean=77.0),
    replace(ROW, name="oracle (truth)", kind="truth", mean=88.1, majority=0.25),
    replace(ROW, name="random", kind="log", sampled=True, mean=67.0),
    replace(ROW, mode="NX_10", window=None, mean=26.0),
]


def test_markdown():
    comparison = Comparison(difference=-1.5, low=-2.0, high=-1.0, users_better=0.25, p_value=0.0005)
    text = markdown(
        ROWS,
        about={"data": "coat"},
        comparisons={"MOPO - DARLR": comparison},
        published={"epochs": 200, "R_tra": 78.0, "R_tra_std": 2.0, "MCD": None},
    )
    lines = text.splitlines()
    assert "- data: coat" in lines
    first, second = (
        lines.index("## NX_0: no repeats, exit window N = 1"),
        lines.index("## NX_10: no repeats, exit off, 10 turns"),
    )
    table = lines[first + 4 : second - 1]
    assert [line.split("|")[1].strip() for line in table] == [
        "oracle (truth) †",
        "**DARLR**",
        "**DARLR (sampled)**",
        "random",
    ]
    assert table[1] == "| **DARLR** | 79.46 [78.00, 81.00] | 80.00 [79.00, 82.00] | 30.00 | 2.648 | 0.100 | – | 5 |"
    assert "| MOPO - DARLR | -1.50 [-2.00, -1.00] | 25% | 0.0005 |" in lines
    assert "over 200 epochs" in text
    assert "R_tra 78.000 ± 2.000" in text
    assert {line.count("|") for line in table} == {9}


def test_json_round_trip(tmp_path):
    write_report(tmp_path / "run", ROWS, about={"seeds": [0, 1]})
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["table.json", "table.md"]
    document = json.loads((tmp_path / "run" / "table.json").read_text("utf-8"))
    assert document["schema"] == 2
    assert document["about"] == {"seeds": [0, 1]}
    assert document["rows"][0]["mean"] == 79.456
    assert "returns" not in document["rows"][0]
    assert read_rows(tmp_path / "run" / "table.json") == ROWS


def test_a_second_report_replaces_the_first_and_a_failed_one_leaves_it(tmp_path):
    write_report(tmp_path, ROWS)
    before = (tmp_path / "table.json").read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_report(tmp_path, [replace(ROW, mean=float("nan"))])
    assert (tmp_path / "table.json").read_bytes() == before
    write_report(tmp_path, ROWS[:1])
    assert len(read_rows(tmp_path / "table.json")) == 1
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 1, "rows": [{"name": "x"}]}', '{"schema": 99, "rows": []}']
)
def test_a_damaged_table_is_refused(tmp_path, text):
    (tmp_path / "table.json").write_text(text, "utf-8")
    with pytest.raises(RunError, match=r"table\.json"):
        read_rows(tmp_path / "table.json")
    with pytest.raises(RunError, match=r"missing\.json"):
        read_rows(tmp_path / "missing.json")


def test_marks_and_order():
    assert [label(row) for row in ROWS[:4]] == ["DARLR", "DARLR (sampled)", "oracle (truth) †", "random"]
    (_, first), (_, second) = tables(ROWS)
    assert [row.mean for row in first] == [88.1, 79.456, 77.0, 67.0]
    assert [row.mean for row in second] == [26.0]


def test_the_terminal_table_fits_80_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    long = replace(ROW, name="neighbour-table greedy, exit-aware", kind="log", majority=0.123)
    print_tables([*ROWS[:4], long])
    printed = capsys.readouterr().out
    for number in ("79.46", "78.0 to 81.0", "2.648", "0.123", "0.250"):
        assert number in printed
    assert "…" not in printed
    assert max(len(line) for line in printed.splitlines()) <= 80


def test_a_heading_says_what_policies_were_trained_for(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    other = replace(ROW, window=4)
    text = markdown([ROW, other, *ROWS[-1:]], trained=(1,))
    assert "## NX_0: no repeats, exit window N = 1\n" in text
    assert "## NX_0: no repeats, exit window N = 4, learned rows trained for N = 1\n" in text
    assert "## NX_10: no repeats, exit off, 10 turns, learned rows trained for N = 1\n" in text
    assert "N = 1, learned rows trained for N = 1 and 4\n" in markdown([ROW], trained={4, 1})
    assert "trained" not in markdown([ROW, other])
    print_tables([ROW], trained=(4,))
    assert "N = 1, learned rows trained for N = 4" in " ".join(capsys.readouterr().out.split())


def test_an_empty_table_says_nothing_but_its_title():
    assert markdown([]).strip() == "# Evaluation"


def test_a_label_is_never_markup(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    row = replace(ROW, name="[bold]a|`b` :smile: [/x]\x1b[31m")
    text = markdown([row], about={"runs": ["[a](b)|c"]}, comparisons={})
    assert r"**\[bold\]a\|\`b\` :smile: \[/x\]\\x1b\[31m**" in text
    assert r"\[a\](b)\|c" in text
    print_tables([row])
    said = " ".join(capsys.readouterr().out.split())
    assert "[bold]a|`b` :smile:" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("unit", [1e-5, 1e9])
def test_rows_in_any_unit_are_told_apart(unit, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    rows = [
        replace(ROW, name=f"list {n}", mean=m * unit, interval=(m * unit * 0.99, m * unit * 1.01), each=m * unit / 30)
        for n, m in enumerate((30.1, 30.2, 30.3))
    ]
    cells = [line.split(" | ") for line in markdown(rows).splitlines() if "list " in line]
    assert all(len({line[column] for line in cells}) == 3 for column in (1, 4))
    print_tables(rows)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert [name for name in ("list 0", "list 1", "list 2") if name in said] == ["list 0", "list 1", "list 2"]
