"""The hazard of leaving: it finds planted rules, and what has no effect is not kept."""

from dataclasses import replace

import numpy as np
import torch

from darlr.data.log import InteractionLog
from darlr.data.sets.synthetic import generate
from darlr.data.unit import Unit
from darlr.options import SessionConfig, SyntheticConfig
from darlr.simulation.exits import build_exit, for_new_users
from darlr.simulation.felt import FeltExit, LearnedExit
from darlr.simulation.hazard import NAMES, Hazard
from darlr.simulation.leaving import Learned, fit_leaving, learned_of, logistic
from darlr.simulation.session import reset

WORLD = SyntheticConfig(users=80, items=60, categories=12, events_per_user=25, boredom=0.0)


def learned(**more: float) -> Learned:
    return fit_leaving(generate(replace(WORLD, **more)).log, None, 30)


def weights(found: Learned) -> dict[str, float]:
    return dict(zip(NAMES, found.hazard.weights.tolist(), strict=True))


def test_it_finds_the_threshold_the_chance_and_the_patience_of_a_planted_rule() -> None:
    found = learned(leave=2.5, leave_patience=2, leave_chance=0.6)
    assert found.kept
    assert abs(found.hazard.threshold - 2.5) < 0.05
    session = reset(torch.tensor([0]), 60, 30)
    item, bad, good = torch.tensor([3]), torch.tensor([1.5]), torch.tensor([4.0])
    once = replace(session, items=session.items.clone(), rewards=session.rewards.clone(), turn=torch.tensor([1]))
    once.items[0, -1], once.rewards[0, -1] = 5, 1.5
    assert (
        found.hazard.after(session, item, bad, found.hazard.bad(session)) < 0.1
    )  # the first bad item does not end a session
    assert abs(found.hazard.after(once, item, bad, found.hazard.bad(once)) - 0.6) < 0.12
    assert found.hazard.after(once, item, good, found.hazard.bad(once)) < 0.1


def moody(seed: int = 0, sessions: int = 3000, share: float = 0.3) -> InteractionLog:
    """Sessions of users whose hidden mood lowers the rewards of what they choose, and makes them leave.

    The log odds of leaving rise by 0.7 as a reward falls by 1, which is the deviation of random items' rewards.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for session in range(sessions):
        mood = rng.choice([-1.0, 1.0])
        for turn in range(6):
            random = rng.random() < share
            reward = np.round(2 * (rng.normal(0, 1) if random else rng.normal(-mood, 0.3))) / 2
            rows.append((session // 5, rng.integers(40), reward, 100_000 * session + 60 * turn + turn % 7, random))
            if rng.random() < 1 / (1 + np.exp(1.2 + 0.7 * reward - 1.0 * mood)):
                break
    user, item, reward, time, random = map(np.array, zip(*rows, strict=True))
    names = tuple(range(sessions // 5)), tuple(range(40))
    bounds = (reward.min(), reward.max())
    return InteractionLog("moody", user, item, reward, *names, time, random=random, reward_range=bounds)


def test_random_items_show_what_a_reward_does_where_a_hidden_mood_overstates_it() -> None:
    log = moody()
    found = fit_leaving(log, 1000.0, 6)
    assert found.random is not None
    assert found.kept
    assert found.random.effect is not None
    assert found.random.plain is not None
    assert abs(found.random.effect - 0.7) < 0.12
    assert found.random.plain > 1.5 * 0.7
    assert "random items" in found.describe()
    session, item = reset(torch.tensor([0, 0]), 40, 30), torch.tensor([3, 3])
    chances = found.hazard.after(session, item, torch.tensor([-1.0, 1.0]), item * 0)
    known = fit_leaving(replace(log, random=None), 1000.0, 6).hazard.after(
        session, item, torch.tensor([-1.0, 1.0]), item * 0
    )
    assert abs(torch.logit(chances).diff().item() + 1.4) < 0.4
    assert torch.logit(known).diff().item() < -2.1


def test_too_few_random_items_are_said_and_left_alone() -> None:
    log = moody(sessions=200, share=0.05)
    found = fit_leaving(log, 1000.0, 6)
    assert "too few to learn from" in found.describe()
    assert torch.equal(found.hazard.weights, fit_leaving(replace(log, random=None), 1000.0, 6).hazard.weights)


def test_a_hazard_that_nothing_shown_changes_knows_the_turn_alone() -> None:
    log = generate(replace(WORLD, leave=2.5)).log
    shuffled = replace(log, reward=np.random.default_rng(0).permutation(log.reward))
    found = fit_leaving(replace(shuffled, item_features=(), category=None), None, 30)
    assert not found.kept
    assert "the turn alone" in found.describe()
    assert not any(found.hazard.weights[2:])
    level = found.hazard.after(
        reset(torch.tensor([0]), 60, 30), torch.tensor([1]), torch.tensor([1.0]), torch.tensor([0])
    )
    assert 0.1 < level < 0.9


def test_repeated_categories_raise_it_where_they_tire() -> None:
    assert weights(learned(tiring=0.8))["repeat"] > 1


def test_the_rule_is_fitted_once_and_plays_in_either_unit() -> None:
    log = generate(replace(WORLD, leave=2.0)).log
    config = SessionConfig(exit="learned")
    rule = build_exit(config, log)
    assert isinstance(rule, LearnedExit)
    assert learned_of(log, None, 30) is learned_of(log, None, 30)  # fitted once
    assert torch.equal(learned_of(log, None, 30).hazard.weights, rule.hazard.weights)
    session = reset(torch.arange(80), 60, 30)
    items = torch.arange(80) % 60
    assert rule.felt(session, items, torch.full((80,), 1.2)).all()
    assert not rule.felt(session, items, torch.full((80,), 3.0)).any()
    assert len(for_new_users(rule).hazard.user) == 0  # type: ignore[attr-defined]


def test_the_risk_averages_over_the_reward() -> None:
    w = torch.zeros(len(NAMES))
    w[0], w[4] = -20.0, 40.0  # the first bad item ends a session for certain, and nothing else does
    hazard = Hazard(w, 2.0, torch.zeros(3), torch.zeros(3, 0), 0.5, torch.zeros(2))
    session, mean = reset(torch.arange(2), 3, 4), torch.tensor([[2.0, 3.0, 1.0]] * 2)
    rule = FeltExit(2.0, 2.0)
    found, strike = hazard.at(session, mean, torch.ones(2, 3))
    torch.testing.assert_close(found, rule.chances(session, mean, torch.ones(2, 3)).leave, atol=1e-4, rtol=0)
    torch.testing.assert_close(strike, torch.zeros(2, 3), atol=1e-4, rtol=0)
    w[0], w[2], w[4] = 0.0, 1.0, 0.0  # P(leave) = sigmoid(reward): compare with many draws
    drawn = mean[:1] + torch.randn((100_000, 3), generator=torch.Generator().manual_seed(0))
    found, strike = hazard.at(session, mean, torch.ones(2, 3))
    torch.testing.assert_close(found[0], torch.sigmoid(drawn).mean(0), atol=0.01, rtol=0)
    stays = torch.sigmoid(-drawn) * (drawn < 2.0)
    torch.testing.assert_close(strike[0], stays.mean(0), atol=0.01, rtol=0)
    seen = replace(
        session, items=torch.tensor([[-1, 0, 1, 2], [0, 1, 2, 0]]), rewards=torch.tensor([[0.0, 1, 3, 1]] * 2)
    )
    assert LearnedExit(hazard, Unit()).state(seen).tolist() == [2, 3]  # padding is no bad item


def test_logistic_regression_meets_the_slope_of_its_posterior() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([np.ones(500), rng.standard_normal(500)], 1)
    y = rng.random(500) < 1 / (1 + np.exp(-(0.5 + 2 * x[:, 1])))
    found, _ = logistic(x, y)
    slope = x.T @ (y - 1 / (1 + np.exp(-(x @ found)))) - found / 25
    assert np.abs(slope).max() < 0.1
    assert abs(found[1] - 2) < 0.5
