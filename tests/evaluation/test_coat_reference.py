"""Known reference sums on Coat's completed matrix: 30 distinct items, mean over all 290 users."""

import pytest

from darlr.data.scope import scope_of
from darlr.data.sources import open_source
from darlr.data.split import split
from darlr.evaluation.evaluate import can_leave, settings, sound
from darlr.evaluation.lists import Source, trivial_rows
from darlr.evaluation.truth import load_truth
from darlr.options import SessionConfig, SplitConfig


@pytest.fixture(scope="module")
def rows(data_folder):
    log, truth = open_source("coat", raw=data_folder), load_truth("coat", raw=data_folder)
    train, held_out = split(log, SplitConfig())
    source = Source(log, train, held_out, train, scope_of(log))
    entries = trivial_rows([source], truth, exits=can_leave(SessionConfig(), log), repeats=20)
    found = sound(entries, settings(SessionConfig(), log), truth, log)
    return {row.name: row for row in found if row.mode == "NX_0"}


@pytest.mark.parametrize(
    ("name", "expected", "within"),
    [
        ("random", 67.0, 0.15),
        ("item-mean list", 78.40, 0.005),
        ("bias-model list", 78.9, 0.6),  # log-only models: 78.3 to 79.5
        ("best fixed list (truth)", 84.1, 0.05),
        ("oracle (truth)", 88.2, 0.06),
    ],
)
def test_known_reference_sums(rows, name, expected, within):
    row = rows[name]
    assert row.mean == pytest.approx(expected, abs=within)
    assert (row.length, row.users, row.window) == (30, 290, None)
