"""The world model of users' histories: known structure, honest choice, members, IPS, and back from disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from darlr.data.log import Block, InteractionLog
from darlr.data.scope import scope_of
from darlr.data.split import select
from darlr.errors import ConfigError
from darlr.options import WorldModelConfig
from darlr.world.fit import fit_world
from darlr.world.fitted import load
from darlr.world.models.history import (
    _ridge,
    choose,
    coordinates,
    factor_shares,
    fit_history,
    neighbour_shares,
    preference_directions,
)
from tests.world.tiny import log_of

USERS, ELSEWHERE, OFFERED = 120, 30, 8


def two_preferences(seed: int = 0, block_users: int = 20) -> tuple[InteractionLog, np.ndarray]:
    """Even users like even items, odd users odd ones; the first users have no events on the first items."""
    generator = np.random.default_rng(seed)
    same = (np.arange(USERS)[:, None] % 2) == (np.arange(OFFERED + ELSEWHERE) % 2)
    liked = same & (generator.random(same.shape) < 0.6)
    liked[:block_users, :OFFERED] = False
    user, item = np.nonzero(liked)
    block = Block(np.arange(block_users), np.arange(OFFERED))
    return log_of(user, item, np.ones(len(user)), *same.shape, block=block), same[:block_users, :OFFERED]


def none_of(log: InteractionLog) -> InteractionLog:
    return select(log, np.zeros(len(log), dtype=bool))


@pytest.fixture(autouse=True)
def few_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are users would be everybody."""
    monkeypatch.setattr("darlr.world.models.history.NEIGHBOURS", 30)


def test_users_of_the_block_get_the_preferences_of_similar_users() -> None:
    log, same = two_preferences()
    fitted = fit_world(log, none_of(log), WorldModelConfig())
    assert fitted.config.kind == "history"
    assert fitted.reward.shape == same.shape
    assert fitted.reward_range == (0.0, 1.0)
    assert fitted.reward[torch.from_numpy(same)].mean() == pytest.approx(0.6, abs=0.08)  # the truth, shrunk a little
    assert fitted.reward[torch.from_numpy(~same)].mean() == pytest.approx(0.0, abs=0.08)
    assert fitted.metrics["explained"] > 0.3
    assert fitted.user_vectors.shape == (20, 8)
    assert fitted.item_vectors.shape == (OFFERED, 8)


def test_an_item_that_nobody_tells_apart_is_worth_its_share() -> None:
    """Events on the offered items at random: nothing is explained, and the ridge is the strongest."""
    generator = np.random.default_rng(0)
    liked = generator.random((USERS, OFFERED + ELSEWHERE)) < 0.4
    liked[:20, :OFFERED] = False
    user, item = np.nonzero(liked)
    log = log_of(user, item, np.ones(len(user)), *liked.shape, block=Block(np.arange(20), np.arange(OFFERED)))
    model, explained = fit_history(log, scope_of(log), WorldModelConfig(members=1))
    assert explained < 0
    mean, log_variance = model.table(torch.arange(20), torch.arange(OFFERED))
    share = torch.from_numpy(liked[20:, :OFFERED].mean(0)).float()
    assert (mean[0].mean(0) - share).abs().max() < 0.1
    torch.testing.assert_close(log_variance.exp(), mean * (1 - mean))


def test_members_average_regression_neighbours_and_factors() -> None:
    log, _ = two_preferences()
    scope = scope_of(log)
    model, _ = fit_history(log, scope, WorldModelConfig(members=1))
    regression = (model.base[0] + model.coordinates[:20] @ model.weight[0]).clamp(0, 1)
    expected = (regression + neighbour_shares(log, scope) + factor_shares(log, scope, 0)) / 3
    torch.testing.assert_close(model.table(torch.arange(20), torch.arange(OFFERED))[0][0], expected)
    some, items = torch.tensor([7, 2]), torch.tensor([5, 0, 1])
    torch.testing.assert_close(model.table(some, items)[0][0], expected[some][:, items])


def test_shares_do_not_depend_on_the_unit_of_rewards() -> None:
    log, same = two_preferences()
    fives = replace(log, reward=5 * log.reward, reward_range=(0.0, 5.0))
    for shares in (neighbour_shares, lambda log, scope: factor_shares(log, scope, 0)):
        found = shares(log, scope_of(log))
        torch.testing.assert_close(found, shares(fives, scope_of(fives)))
        assert found[torch.from_numpy(same)].mean() > found[torch.from_numpy(~same)].mean()


def test_ridge_by_hand() -> None:
    """Points -1 and 1, targets 0 and 1: slope sum(xy) / (sum(x^2) + ridge) = 1 / 4, intercept 1 / 2."""
    base, weight = _ridge(torch.tensor([[-1.0], [1.0]]), torch.tensor([[0.0], [1.0]]), 2.0, torch.ones(2))
    torch.testing.assert_close((base, weight), (torch.tensor([0.5]), torch.tensor([[0.25]])))
    # Without a ridge the line goes through both points, however often each counts.
    twice = _ridge(torch.tensor([[0.0], [3.0]]), torch.tensor([[1.0], [4.0]]), 0.0, torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(twice, (torch.tensor([1.0]), torch.tensor([[1.0]])))


def test_coordinates_do_not_read_the_offered_items() -> None:
    log, _ = two_preferences()
    without = select(log, log.item >= OFFERED)
    items = scope_of(log).feedback_items(log)
    assert torch.equal(coordinates(log, items, 5), coordinates(without, items, 5))
    strength = coordinates(log, items, 5).square().sum(0)
    assert (strength[:-1] >= strength[1:]).all()


def test_the_choice_is_made_on_users_left_out() -> None:
    """A weak ridge always fits the users at hand best; noise calls for a strong one, a law for the weakest."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(100, 32, generator=generator) / 32**0.5
    noise, law = torch.randn(100, 4, generator=generator), points @ torch.randn(32, 4, generator=generator)
    assert choose(points, noise, 0)[1] >= 10.0
    size, ridge, explained = choose(points, law, 0)
    assert (size, ridge) == (32, 0.3)
    assert explained > 0.9


def test_members_are_bootstraps_and_one_member_is_the_fit() -> None:
    log, _ = two_preferences()
    three = fit_world(log, none_of(log), WorldModelConfig(members=3))
    mean, variance = three.predict_members()
    assert mean.std(0).mean() > 1e-3
    torch.testing.assert_close(three.reward, mean.mean(0))
    torch.testing.assert_close(three.risk, variance.amax(0))
    again = fit_world(log, none_of(log), WorldModelConfig(members=3))
    assert torch.equal(again.reward, three.reward)
    assert not torch.equal(fit_world(log, none_of(log), WorldModelConfig(members=3, seed=1)).reward, three.reward)


def test_inverse_popularity_lifts_rare_items() -> None:
    log, _ = two_preferences()
    rare = select(log, (log.item != 0) | (log.user % 12 == 0))
    plain, ips = (
        fit_world(rare, none_of(rare), WorldModelConfig(weighting=kind)).reward.mean(0)
        for kind in ("none", "inverse-popularity")
    )
    assert (ips / plain).argmax() == 0
    assert ips[0] > 1.5 * plain[0]


def test_back_from_disk(tmp_path: Path) -> None:
    log, _ = two_preferences()
    fitted = fit_world(log, none_of(log), WorldModelConfig(members=2))
    fitted.save(tmp_path / "world")
    found = load(tmp_path / "world")
    assert found.config == fitted.config
    assert torch.equal(found.reward, fitted.reward)
    for mine, theirs in zip(fitted.predict_members(), found.predict_members(), strict=True):
        assert torch.equal(mine, theirs)


def test_other_logs_are_refused() -> None:
    log, _ = two_preferences()
    with pytest.raises(ConfigError, match=r"model\.kind: history is for implicit logs with a block"):
        fit_world(replace(log, block=None), none_of(log), WorldModelConfig(kind="history"))


def test_preference_directions_cover_what_histories_do_not_predict() -> None:
    """A third of the offered items go together at random: no history predicts who likes them, but any of them does."""
    generator = np.random.default_rng(0)
    liked = generator.random((400, OFFERED + ELSEWHERE)) < 0.3
    liked[:, :3] = generator.random((400, 1)) < 0.5
    liked[:20, :OFFERED] = False
    user, item = np.nonzero(liked)
    log = log_of(user, item, np.ones(len(user)), *liked.shape, block=Block(np.arange(20), np.arange(OFFERED)))
    directions, noise = preference_directions(log, scope_of(log), 0, turns=3)
    assert directions.shape == (OFFERED, 7)
    assert noise == pytest.approx(0.5, abs=0.03)  # at the three items, the best ones: a fair coin
    covariance = noise**2 * directions @ directions.T
    assert covariance[:3, :3].min() > 0.22  # 0.25 in truth
    assert covariance[:3, 3:].abs().max() < 0.05
