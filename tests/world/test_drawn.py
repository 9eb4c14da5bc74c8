"""Drawn worlds: their departures by hand, the two halves of draws, and the rewards of sessions in them."""

import numpy as np
import pytest
import torch

from darlr.errors import ConfigError
from darlr.options import WorldModelConfig
from darlr.world.drawn import DrawnRows, Members, Tastes, of_members, of_posterior, tastes_of
from darlr.world.estimates import Dense
from darlr.world.fit import train_world
from darlr.world.models.bayesian import BayesianFM
from darlr.world.noise import by_item
from tests.world.tiny import log_of

USER, ITEM, DRAW = torch.tensor([0, 1, 1]), torch.tensor([2, 0, 1]), torch.tensor([0, 3, 1])


def posterior(draws: int = 4, users: int = 2, items: int = 3) -> BayesianFM:
    generator = torch.Generator().manual_seed(0)
    tables = {
        f"{side}_{name}": torch.randn((1, draws, size, *more), generator=generator)
        for side, size in (("user", users), ("item", items))
        for name, more in (("linear", ()), ("vector", (2,)))
    }
    return BayesianFM(**tables, noise=torch.ones(1))


def test_a_departure_is_a_draw_less_the_mean_of_all_draws() -> None:
    model = posterior()
    rows = model.user_linear[0, ..., None] + model.item_linear[0, :, None]
    every = 2.0 * (rows + model.user_vector[0] @ model.item_vector[0].mT)  # [draws, users, items]
    wanted = (every - every.mean(0))[DRAW, USER, ITEM]
    by_factors = of_posterior(model, 2.0, torch.arange(2), torch.arange(3))
    assert by_factors.count == 4
    for draws in (by_factors, of_members(every)):
        torch.testing.assert_close(draws.departure(DRAW, USER, ITEM), wanted, rtol=1e-5, atol=1e-5)


def test_training_and_the_choice_of_the_policy_meet_different_draws() -> None:
    for count in (2, 5):
        tastes = Tastes(Members(torch.zeros(count, 1, 1)), torch.ones(1), 0.0, 1.0)
        met, other = (tastes.sample((200,), torch.Generator().manual_seed(0), met=met) for met in (True, False))
        assert set(met.tolist()) == set(range(0, count, 2))
        assert set(other.tolist()) == set(range(1, count, 2))


def test_expected_rewards_stay_in_the_range_and_feedback_has_the_noise_of_the_item() -> None:
    tastes = Tastes(Members(torch.tensor([[[-9.0, 0.5]], [[9.0, -0.5]]])), torch.tensor([4.0, 0.0]), 1.0, 5.0)
    draw, user, item = torch.tensor([0, 1, 0]), torch.zeros(3, dtype=torch.int64), torch.tensor([0, 0, 1])
    found = tastes.of(draw, user, item, torch.full((3,), 3.0), torch.ones(3))
    assert (3 + found.departure).tolist() == [1.0, 5.0, 3.5]
    assert found.noise.tolist() == [2.0, 2.0, 0.0]


def test_all_policies_are_told_the_same_of_an_item_in_a_session() -> None:
    tastes = Tastes(Members(torch.zeros(2, 1, 400)), torch.full((400,), 4.0), 1.0, 5.0)
    rows = DrawnRows(
        Dense(torch.full((1, 400), 3.0)), tastes, torch.zeros(50, dtype=torch.int64), torch.ones(50).long()
    )
    session, item = torch.arange(50)[:, None], torch.arange(400)
    told = rows.pairs(session, item)
    assert torch.equal(told[7], rows.pairs(torch.tensor([7]), item))
    assert float(told.std()) == pytest.approx(2.0, abs=0.03)
    assert float(told.mean()) == pytest.approx(3.0, abs=0.04)
    assert float(torch.corrcoef(told[:2])[0, 1].abs()) < 0.2  # sessions have noise of their own


def test_an_ensemble_has_its_members_and_one_member_has_no_worlds() -> None:
    generator = np.random.default_rng(0)
    user, item = np.divmod(generator.permutation(60), 6)
    log = log_of(user, item, generator.integers(1, 6, 60), 10, 6)
    fitted = {k: train_world(log, log, WorldModelConfig("deepfm", members=k, epochs=1)).finish() for k in (1, 2)}
    tastes = tastes_of(fitted[2], log)
    assert isinstance(tastes.draws, Members)
    torch.testing.assert_close(tastes.draws.table.sum(0), torch.zeros(10, 6), rtol=0, atol=1e-5)
    assert tastes.noise.shape == (6,)
    with pytest.raises(ConfigError, match=r"session\.tastes: drawn needs .* has 1; choose model\.kind bayesian"):
        tastes_of(fitted[1], log)


def test_noise_by_item_is_found_and_shrunk_where_events_are_few() -> None:
    generator = np.random.default_rng(0)
    true = np.array([0.25, 4.0, 1.0, 1.0])
    items = np.repeat(np.arange(4), [4000, 4000, 4000, 1])
    squares = true[items] * generator.standard_normal(len(items)) ** 2
    squares[-1] = 100.0
    found = by_item(items, squares, 5)
    np.testing.assert_allclose(found[:3], true[:3], rtol=0.1)
    assert found[4] == pytest.approx(squares.mean())  # without an event: that of all
    assert squares.mean() < found[3] < 80


def test_noise_of_items_that_are_alike_is_that_of_all() -> None:
    generator = np.random.default_rng(1)
    items = np.repeat(np.arange(500), 8)
    found = by_item(items, generator.standard_normal(4000) ** 2, 500)
    assert found.std() < 0.1  # 0.5 without shrinkage
