"""Leaving after rewards below a threshold: the rule, its probability, and its unit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.data.unit import as_learned, unit_of
from darlr.errors import ConfigError
from darlr.options import SessionConfig
from darlr.simulation.environment import Environment
from darlr.simulation.exits import CategoryExit, build_exit, chances, in_unit
from darlr.simulation.felt import FeltExit
from darlr.simulation.session import reset
from tests.world.tiny import log_of


def test_users_leave_after_the_bad_item_that_ends_their_patience() -> None:
    rewards = torch.tensor([[3.0, 1.0, 3.0, 1.0], [1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 2.0, 2.0]])  # 2 is not below 2
    for patience, over in ((1, [[0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]), (2, [[0, 0, 0, 1], [0] * 4, [0] * 4])):
        rules = Environment(FeltExit(2.0, 2.0, patience), 9, 20, repeats=False, offered=20)
        session = rules.start(torch.arange(3))
        for turn in range(4):
            after = rules.step(session, torch.full((3,), turn), rewards[:, turn])
            session = replace(after, done=session.done | after.done)
            assert session.done.tolist() == [bool(row[turn]) for row in over]


def test_the_chance_of_leaving_is_met_and_is_the_same_for_the_same_items() -> None:
    rule, session = FeltExit(2.0, 2.0, chance=0.3), reset(torch.arange(20_000), 5, 4)
    action, bad = torch.ones(20_000, dtype=torch.int64), torch.zeros(20_000)
    found = rule.felt(session, action, bad)
    assert abs(float(found.float().mean()) - 0.3) < 0.02
    assert torch.equal(found, rule.felt(session, action, bad))
    assert not torch.equal(found, rule.felt(session, action + 1, bad))
    assert not rule.felt(session, action, bad + 2).any()


def test_its_risk_is_the_share_of_rewards_below_the_threshold() -> None:
    session, mean = reset(torch.arange(2), 3, 4), torch.tensor([[2.0, 3.0, 1.0]] * 2)
    found, below = chances(FeltExit(2.0, 2.0, chance=0.5), session, mean, torch.ones(2, 3)), [0.5, 0.158655, 0.841345]
    torch.testing.assert_close(found.leave[0], 0.5 * torch.tensor(below))
    assert found.strike is None
    patient = FeltExit(2.0, 2.0, patience=2, chance=0.5)
    found = chances(patient, session, mean, torch.ones(2, 3))
    assert found.strike is not None
    assert not found.leave.any()
    torch.testing.assert_close(found.strike[0], torch.tensor(below))
    struck = replace(session, items=torch.zeros_like(session.items))  # the rewards of four items were 0
    assert [patient.state(one).tolist() for one in (session, struck)] == [[0, 0], [1, 1]]
    found = chances(patient, struck, mean, torch.ones(2, 3))
    assert found.strike is not None
    assert not found.strike.any()
    torch.testing.assert_close(found.leave[0], 0.5 * torch.tensor(below))
    category = CategoryExit(torch.tensor([[1], [1], [2]]), 1, 0)
    shown = replace(session, items=torch.tensor([[-1, -1, -1, 0]] * 2))
    assert chances(category, shown, mean, mean).leave.tolist() == [[1, 1, 0]] * 2


def test_its_threshold_is_in_the_unit_of_the_log_and_must_be_a_reward() -> None:
    log = log_of([0, 0, 1, 1], [0, 1, 0, 1], [0, 10, 0, 10], 2, 2, reward_range=(0.0, 10.0))
    log = as_learned(log, unit_of(log))
    rule = build_exit(SessionConfig(exit="felt", threshold=5.0), log)
    assert isinstance(rule, FeltExit)
    learned = in_unit(rule, learned=True)
    assert (rule.threshold, learned.threshold) == (5.0, float(log.unit.learn(np.array([5.0]))[0]))
    with pytest.raises(ConfigError, match=r"session\.threshold: a felt exit needs a reward above 0 and at most 10"):
        build_exit(SessionConfig(exit="felt"), log)
    with pytest.raises(ConfigError, match=r"session\.chance"):
        SessionConfig(chance=0.0)


def test_ratings_are_cut_half_way_between_two_of_them() -> None:
    log = log_of([0, 0, 1, 1], [0, 1, 0, 1], [1, 2, 4, 5], 2, 2, reward_range=(1.0, 5.0))
    rule = build_exit(SessionConfig(exit="felt", threshold=2.0), log)
    assert isinstance(rule, FeltExit)
    assert rule.cut == rule.of_normal.threshold == 1.5
    session, mean = reset(torch.arange(1), 2, 4), torch.tensor([[1.5, 2.0]])
    torch.testing.assert_close(rule.chances(session, mean, torch.ones(1, 2)).leave, torch.tensor([[0.5, 0.308538]]))
    assert not rule.felt(session, torch.tensor([0]), torch.tensor([2.0])).any()
    one_side = log_of([0, 1], [0, 1], [2, 4], 2, 2, reward_range=(1.0, 5.0))
    assert build_exit(SessionConfig(exit="felt", threshold=1.5), one_side).cut is None  # type: ignore[attr-defined]
