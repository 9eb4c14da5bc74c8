"""The table as Markdown, JSON and for a terminal."""

import json
from dataclasses import replace

import pytest

from darlr.evaluation.report import label, print_tables, tables
from darlr.evaluation.result import Evaluation
from darlr.evaluation.statistics import Comparison
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
    text = Evaluation(
        ROWS,
        about={"data": "coat"},
        pairs={"MOPO - DARLR": comparison},
        published={"epochs": 200, "R_tra": 78.0, "R_tra_std": 2.0, "MCD": None},
    ).markdown()
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


def test_json(tmp_path):
    Evaluation(ROWS, about={"seeds": [0, 1]}).save(tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["table.json", "table.md"]
    document = json.loads((tmp_path / "run" / "table.json").read_text("utf-8"))
    assert document["schema"] == 2
    assert document["about"] == {"seeds": [0, 1]}
    assert [row["mean"] for row in document["rows"]] == [79.456, 77.0, 88.1, 67.0, 26.0]
    assert document["rows"][0]["iqm_interval"] == [79.0, 82.0]
    assert not {"returns", "tallies"} & document["rows"][0].keys()


def test_a_second_report_replaces_the_first_and_a_failed_one_leaves_it(tmp_path):
    Evaluation(ROWS).save(tmp_path)
    before = (tmp_path / "table.json").read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        Evaluation([replace(ROW, mean=float("nan"))]).save(tmp_path)
    assert (tmp_path / "table.json").read_bytes() == before
    Evaluation(ROWS[:1]).save(tmp_path)
    assert len(json.loads((tmp_path / "table.json").read_text("utf-8"))["rows"]) == 1
    assert len(list(tmp_path.iterdir())) == 2


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


def test_a_heading_names_what_policies_were_trained_for(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    other = replace(ROW, window=4)
    text = Evaluation([ROW, other, *ROWS[-1:]], trained=(1,)).markdown()
    assert "## NX_0: no repeats, exit window N = 1\n" in text
    assert "## NX_0: no repeats, exit window N = 4, learned rows trained for N = 1\n" in text
    assert "## NX_10: no repeats, exit off, 10 turns, learned rows trained for N = 1\n" in text
    assert "N = 1, learned rows trained for N = 1 and 4\n" in Evaluation([ROW], trained={4, 1}).markdown()
    assert "trained" not in Evaluation([ROW, other]).markdown()
    print_tables([ROW], trained=(4,))
    assert "N = 1, learned rows trained for N = 4" in " ".join(capsys.readouterr().out.split())


def test_an_empty_report_is_its_title():
    assert Evaluation([]).markdown().strip() == "# Evaluation"


def test_a_label_is_never_markup(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    row = replace(ROW, name="[bold]a|`b` :smile: [/x]\x1b[31m")
    text = Evaluation([row], about={"runs": ["[a](b)|c"]}).markdown()
    assert r"**\[bold\]a\|\`b\` :smile: \[/x\]\\x1b\[31m**" in text
    assert r"\[a\](b)\|c" in text
    print_tables([row])
    printed = " ".join(capsys.readouterr().out.split())
    assert "[bold]a|`b` :smile:" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize("unit", [1e-5, 1e9])
def test_rows_in_any_unit_are_distinguished(unit, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    rows = [
        replace(ROW, name=f"list {n}", mean=m * unit, interval=(m * unit * 0.99, m * unit * 1.01), each=m * unit / 30)
        for n, m in enumerate((30.1, 30.2, 30.3))
    ]
    cells = [line.split(" | ") for line in Evaluation(rows).markdown().splitlines() if "list " in line]
    assert all(len({line[column] for line in cells}) == 3 for column in (1, 4))
    print_tables(rows)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert [name for name in ("list 0", "list 1", "list 2") if name in printed] == ["list 0", "list 1", "list 2"]
