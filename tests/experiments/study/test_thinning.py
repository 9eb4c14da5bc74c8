"""Thinner logs: which rows fail, where, and that the table and the picture say so."""

from pathlib import Path

import numpy as np
import pytest

from darlr.evaluation.evaluate import summarise
from darlr.evaluation.lists import Entry
from darlr.evaluation.pictures import canvas
from darlr.evaluation.playing import Played, Setting
from darlr.experiments.study import panels, sections
from darlr.experiments.study.assemble import Line, ModeTable
from darlr.experiments.study.grid import Variant, sparsity
from darlr.simulation.exits import never

SHARES = {"100% of the log": 1.0, "10% of the log": 0.1, "1% of the log": 0.01, "20% of users without events": None}
USERS = np.array([0.0, 1.0, 2.0, 3.0])


def line(name: str, tail: str, gain: float) -> Line:
    """Every user gets `gain` more than at random, so the paired interval is the gain itself."""
    played = [Played(USERS + gain, {"R_tra": 0.0, "Length": 2.0, "R_each": 0.0, "CV": 0.1, "MCD": None})]
    row = summarise(Entry(f"{name}, {tail}", (), "log"), Setting("NX_0", None, never), played)
    return Line(row, Variant(name, "trivial", {}, name, SHARES[tail], tail), [])


@pytest.fixture
def table() -> ModeTable:
    gains = {
        "random": (0.0, 0.0, 0.0, 0.0),
        "sturdy": (3.0, 2.0, 1.0, 3.0),
        "fragile": (4.0, 0.0, -1.0, 4.0),
        "useless": (-1.0, 0.5, -1.0, -1.0),
        "lost without events": (1.0, 1.0, 1.0, 0.0),
    }
    rows = [line(name, tail, gain) for name, row in gains.items() for tail, gain in zip(SHARES, row, strict=True)]
    return ModeTable("NX_0", None, rows)


def test_a_row_fails_where_it_is_not_surely_better_than_random(table: ModeTable) -> None:
    rows = {row.name: row for row in sections.thinned(table)}
    assert list(rows) == ["sturdy", "fragile", "lost without events", "random", "useless"]
    assert rows["sturdy"].failing == frozenset()
    assert rows["fragile"].failing == {"10% of the log", "1% of the log"}
    assert rows["lost without events"].failing == {"20% of users without events"}
    assert {name: row.threshold for name, row in rows.items()} == {
        "random": "none",
        "sturdy": "none",
        "fragile": "10%",
        "useless": "100%",
        "lost without events": "none",
    }


def test_the_section_names_logs_in_order_and_marks_failures(table: ModeTable) -> None:
    (section,) = sections.thinner_logs([table, ModeTable("FB", None, [])])
    text = section.lines
    assert section.title == "Thinner logs: NX_0: no repeats, no exit can happen"
    assert text[0] == f"| row | {' | '.join(SHARES)} | fails at |"
    assert "| fragile | 5.50 | *1.50* | *0.50* | 5.50 | 10% |" in text
    assert sections.thinner_logs([ModeTable("FB", None, table.lines)]) == []


def test_the_picture_is_drawn(table: ModeTable, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    canvas.save(panels.thinner_logs(table, "thinner logs"), tmp_path / "thin.png")
    assert (tmp_path / "thin.png").read_bytes()[:4] == b"\x89PNG"


def test_the_study_thins_the_log_and_takes_events_from_users() -> None:
    rows = sparsity(["mbpo"])
    assert [row.options for row in rows[:2]] == [{}, {"split.keep": 0.5}]
    assert rows[-1].options == {"split.isolated": 0.2}
    assert rows[-1].label == "MBPO, 20% of users without events"
    assert [row.base for row in rows] == [True] + [False] * 7
