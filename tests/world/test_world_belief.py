"""The Gaussian belief: its posterior by hand and by the other closed form, its draws, and priors of known worlds."""

import numpy as np
import torch

from darlr.world.belief import Belief
from darlr.world.fit import fit_belief
from darlr.world.models.bayesian import BayesianFM
from darlr.world.prior import of_draws
from tests.world.tiny import log_of


def belief(items: int = 12, width: int = 3) -> Belief:
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(items, width, generator=generator)
    return Belief(torch.randn(items, generator=generator), factors, 0.3 + torch.rand(items, generator=generator))


ITEMS, REWARDS = torch.tensor([[-1, 2, 5, 9], [0, 1, 2, 3], [-1, -1, -1, -1]]), torch.arange(12.0).view(3, 4)


def test_the_posterior_is_that_of_ridge_regression() -> None:
    prior = belief()
    found = prior.given(ITEMS, REWARDS)
    for row, (items, rewards) in enumerate(zip(ITEMS, REWARDS, strict=True)):
        known = items >= 0
        x, noise = prior.factors[items[known]].double(), prior.noise[items[known]].double()
        covariance = torch.linalg.inv(torch.eye(3).double() + x.T @ (x / noise[:, None]))
        theta = covariance @ x.T @ ((rewards[known] - prior.mean[items[known]]) / noise)
        torch.testing.assert_close(found.theta()[row], theta.float(), rtol=1e-4, atol=1e-5)
        spread = torch.einsum("id,de,ie->i", prior.factors.double(), covariance, prior.factors.double())
        torch.testing.assert_close(found.variance()[row], spread.float() + prior.noise, rtol=1e-4, atol=1e-5)
    assert torch.equal(found.rows(found.theta())[2], prior.mean)  # without an answer it is the prior


def test_a_belief_forgets_answers_of_small_power() -> None:
    prior, power = belief(), torch.tensor([[1.0, 0.5, 1.0, 1e-9]]).expand(3, -1)
    found = prior.given(ITEMS, REWARDS, power)
    # an answer of half the power, given twice, counts as one; one of no power is as if it were not there
    twice = torch.cat([ITEMS, ITEMS[:, 1:2]], 1), torch.cat([REWARDS, REWARDS[:, 1:2]], 1)
    again = prior.given(*twice, torch.cat([power, power[:, 1:2]], 1))
    whole = prior.given(ITEMS[:, :3], REWARDS[:, :3])
    torch.testing.assert_close(again.theta(), whole.theta(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(again.variance(), whole.variance(), rtol=1e-4, atol=1e-5)
    assert (found.variance()[:2] > whole.variance()[:2] - 1e-6).all()


def test_draws_have_the_mean_and_the_covariance_of_the_posterior() -> None:
    prior, draws, generator = belief(), 20_000, torch.Generator().manual_seed(1)
    many = prior.given(ITEMS[:1].expand(draws, -1), REWARDS[:1].expand(draws, -1))
    drawn = many.draw(torch.randn(draws, 3, generator=generator), torch.randn(draws, 4, generator=generator))
    one = prior.given(ITEMS[:1], REWARDS[:1])
    torch.testing.assert_close(drawn.mean(0), one.theta()[0], rtol=0, atol=0.03)
    of_rows = prior.factors @ torch.cov(drawn.T) @ prior.factors.T
    torch.testing.assert_close(of_rows.diagonal(), one.variance()[0] - prior.noise, rtol=0.06, atol=0.02)


def test_the_prior_of_draws_is_the_spread_of_users_and_of_the_mean_row() -> None:
    generator = torch.Generator().manual_seed(2)
    shapes = {"user_linear": (1, 7, 40), "user_vector": (1, 7, 40, 2), "item_linear": (1, 7, 9)}
    tables = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    tables["item_vector"] = torch.randn(1, 7, 9, 2, generator=generator)
    model = BayesianFM(**tables, noise=torch.ones(1))
    mean, factors, left_out = of_draws(model, torch.arange(40), torch.arange(9))
    rows = (model.user_linear[0, ..., None] + model.item_linear[0, :, None]).double()
    rows = rows + (model.user_vector[0] @ model.item_vector[0].mT).double()  # [draws, users, items]
    centred = (rows - rows.mean((0, 1))).flatten(0, 1)
    torch.testing.assert_close(mean.double(), rows.mean((0, 1)), rtol=0, atol=1e-5)
    torch.testing.assert_close((factors @ factors.T).double(), centred.T @ centred / len(centred), rtol=0, atol=1e-4)
    torch.testing.assert_close(left_out, torch.zeros(9), rtol=0, atol=1e-5)


def test_positives_have_the_covariance_of_their_rows() -> None:
    generator = np.random.default_rng(0)
    kind = generator.random(400) < 0.5  # two kinds of users, who like one half of the items each
    likes = generator.random((400, 6)) < np.where(kind[:, None] == (np.arange(6) < 3), 0.8, 0.1)
    user, item = np.nonzero(likes)
    log = log_of(user, item, np.ones(len(user)), 400, 6)
    found = fit_belief(log, log, log)
    np.testing.assert_allclose(found.mean.numpy(), likes.mean(0), atol=1e-6)
    likely = found.given(torch.tensor([[0, 5]]), torch.tensor([[1.0, 0.0]]))
    rows = likely.rows(likely.theta())[0]
    assert rows[1:3].min() > rows[3:5].max() + 0.3  # who likes item 0 likes 1 and 2


def test_the_prior_is_in_the_unit_of_the_logs_rewards(few_sweeps: None) -> None:
    generator = np.random.default_rng(0)
    user, item = (grid.ravel() for grid in np.indices((30, 5)))
    reward = generator.choice([1.0, 2.0, 4.0, 5.0], 150)
    one, other = (log_of(user, item, scale * reward + 100, 30, 5, reward_range=(0.0, 1000.0)) for scale in (1, 2))
    found, twice = (fit_belief(log, log, log) for log in (one, other))
    assert abs(found.mean.mean() - one.reward.mean()) < 0.5
    torch.testing.assert_close(twice.mean - 100, 2 * (found.mean - 100), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(twice.noise, 4 * found.noise, rtol=1e-2, atol=1e-3)
