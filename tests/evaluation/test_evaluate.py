"""The two protocols on a tiny world."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from darlr.data.log import FeatureColumn, InteractionLog
from darlr.data.scope import scope_of
from darlr.evaluation.evaluate import (
    all_alike,
    can_avoid,
    can_leave,
    published,
    published_mean,
    published_setting,
    settings,
    sound,
)
from darlr.evaluation.lists import Entry, Source, trivial_rows
from darlr.evaluation.playing import Setting
from darlr.evaluation.truth import Truth
from darlr.options import SessionConfig
from darlr.policies.fixed import FixedList, Random
from darlr.simulation.exits import never
from darlr.world.estimates import Dense

LOG = InteractionLog(
    name="tiny",
    user=np.array([0, 1, 2]),
    item=np.array([0, 1, 3]),
    reward=np.array([5, 5, 1], dtype=np.float32),
    user_ids=(0, 1, 2),
    item_ids=(0, 1, 2, 3),
    item_features=(FeatureColumn("kind", "categorical", np.array([0, 0, 1, 1]), ("a", "b")),),
    category="kind",
    reward_range=(1, 5),
    exit="category",
)
SESSION = SessionConfig(turns=6)
TRUTH = Truth(
    users=np.array([0, 1, 2]),
    items=np.array([0, 1, 2, 3]),
    reward=torch.tensor([[1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 2.0, 2.0], [4.0, 3.0, 2.0, 1.0]]),
)
LISTED = Entry("list", [FixedList(torch.tensor([4.0, 3.0, 2.0, 1.0]))], "log")


def test_settings_name_every_mode_and_window():
    found = [(s.mode, s.window, s.turns) for s in settings(SESSION, LOG)]
    assert found == [("NX_0", 1, 6), ("NX_0", 4, 6), ("FB", 1, 6), ("FB", 4, 6), ("NX_10", None, 10)]
    still = replace(LOG, exit="distance")
    assert not can_leave(SESSION, still)
    assert can_avoid(SESSION, LOG)
    assert not can_avoid(SESSION, still)
    felt = replace(SESSION, exit="felt", threshold=3.0)
    assert can_leave(felt, LOG)
    assert not can_avoid(felt, LOG)  # exit-aware rows would be the same rows again
    found = [(s.mode, s.window, s.turns) for s in settings(SESSION, still)]
    assert found == [("NX_0", None, 6), ("FB", None, 6), ("NX_10", None, 10)]


def test_sound_rows_by_hand():
    aware = replace(LISTED, name="aware", exit_aware=True)
    rows = {(r.name, r.mode, r.window): r for r in sound([LISTED, aware], settings(SESSION, LOG), TRUTH, LOG)}
    plain = rows["list", "NX_0", 1]  # 0, then 1 of the same kind ends the session
    assert plain.returns.tolist() == [[3, 4, 7]]
    assert (plain.mean, plain.length, plain.coverage, plain.majority) == (pytest.approx(14 / 3), 2, 0.5, 1)
    assert plain.each == pytest.approx(14 / 6)
    assert plain.interval[0] < plain.mean < plain.interval[1]
    assert (plain.seeds, plain.users) == (1, 3)
    careful = rows["aware", "NX_0", 1]  # 0, 2, 1, 3
    assert careful.returns.tolist() == [[10, 8, 10]]
    assert careful.majority == 0.5
    assert rows["aware", "FB", 1].length == 6
    assert rows["aware", "NX_0", 4].length == 3  # 0, 2, then nothing is safe
    assert rows["list", "NX_10", None].length == 4
    assert ("aware", "NX_10", None) not in rows


def test_rows_do_not_depend_on_their_company():
    learned = Entry("agent", [Random(), Random()], "learned", greedy=False)
    alone = sound([learned], settings(SESSION, LOG), TRUTH, LOG, seed=5)
    beside = sound([LISTED, learned], settings(SESSION, LOG), TRUTH, LOG, seed=5)
    assert alone == [row for row in beside if row.name == "agent"]
    assert not np.array_equal(alone[0].returns[0], alone[0].returns[1])  # each seed draws its own actions
    assert alone != sound([learned], settings(SESSION, LOG), TRUTH, LOG, seed=6)


def test_trivial_rows_play_in_every_setting():
    none = replace(LOG, user=LOG.user[:0], item=LOG.item[:0], reward=LOG.reward[:0])
    world = SimpleNamespace(reward=Dense(TRUTH.reward), neighbour_reward=lambda tables: Dense(TRUTH.reward))
    sources = [Source(LOG, LOG, none, LOG, scope_of(LOG), world)] * 2
    entries = trivial_rows(sources, TRUTH, exits=can_leave(SESSION, LOG))
    rows = sound(entries, settings(SESSION, LOG), TRUTH, LOG)
    assert len(rows) == 4 * 16 + 8
    best = {}
    for row in rows:
        best.setdefault((row.mode, row.window), {})[row.name] = row.mean
    for found in best.values():
        assert found["oracle (truth)"] >= found["best fixed list (truth)"] - 1e-9
        assert found["oracle (truth)"] == found["world-model greedy"]  # here that table is the truth


def test_published_plays_a_hundred_users_under_n_1():
    setting = published_setting(SessionConfig(exit="category", window=4, threshold=2.0, turns=9), LOG)
    assert (setting.mode, setting.window, setting.turns) == ("NX_0", 1, 30)
    calls = []

    class Spy(Random):
        def scores(self, session):
            calls.append(session.user)
            return super().scores(session)

    found = published(Spy(), TRUTH, setting, 4, generator=torch.Generator().manual_seed(0), majority=None)
    assert len(calls[0]) == 100
    assert calls[0].bincount(minlength=3).min() > 15
    again = published(Random(), TRUTH, setting, 4, generator=torch.Generator().manual_seed(0), majority=None)
    assert found == again
    assert 1 <= found["Length"] <= 4


def test_published_mean_by_hand():
    rows = [{"R_tra": 2.0, "Length": 30.0, "MCD": None}, {"R_tra": 4.0, "Length": 30.0, "MCD": None}]
    found = published_mean(rows)
    assert (found["epochs"], found["R_tra"], found["R_tra_std"], found["Length_std"]) == (2, 3.0, 1.0, 0.0)
    assert found["MCD"] is None
    assert published_mean([])["R_tra"] is None


def test_sessions_that_show_everything_are_warned_of():
    settings = [
        Setting("NX_0", None, never, 30),
        Setting("FB", None, never, 30),
        Setting("NX_10", None, never, 10),
    ]
    assert list(all_alike(settings, 31)) == []
    assert list(all_alike(settings, 30)) == ["NX_0"]
    assert list(all_alike(settings, 10)) == ["NX_0", "NX_10"]
    assert "whole catalogue of 30 items" in all_alike(settings, 30)["NX_0"]
    assert not all_alike([Setting("NX_0", 1, never, 30)], 5)  # users leave before
