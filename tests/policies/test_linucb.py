"""LinUCB against the closed form, and the choice of its ridge on the log."""

import numpy as np
import torch

from darlr.policies.bandits import LinUCB
from darlr.simulation.session import freeze, reset, show
from darlr.world.preferences import LEVEL, choose_spreads


def test_sherman_morrison_equals_the_closed_form():
    generator = torch.Generator().manual_seed(0)
    features, prior = torch.randn(20, 4, generator=generator), torch.randn(3, 20, generator=generator)
    policy = LinUCB(prior, features, noise=0.7, alpha=1.5)
    session, shown, felt = reset(torch.tensor([2, 0]), 20, 8), [], []
    for turn in range(6):
        action, reward = torch.tensor([turn, 19 - 2 * turn]), torch.randn(2, generator=generator)
        shown.append(action)
        felt.append(reward)
        session = freeze(session, show(session, action, reward, torch.tensor([False, turn == 3])))
    for row, user, length in ((0, 2, 6), (1, 0, 4)):
        x = np.array([features[a[row]].numpy() for a in shown[:length]], dtype=np.float64)
        y = np.array([float(r[row] - prior[user, a[row]]) for a, r in zip(shown, felt, strict=True)][:length])
        inverse = np.linalg.inv(0.49 * np.eye(4) + x.T @ x)
        every = features.numpy().astype(np.float64)
        spread = np.sqrt(np.einsum("id,de,ie->i", every, inverse, every))
        expected = prior[user].numpy() + every @ inverse @ x.T @ y + 1.5 * 0.7 * spread
        np.testing.assert_allclose(policy.scores(session)[row].numpy(), expected, atol=2e-4)


def test_no_feedback_no_bonus_is_the_prior():
    prior = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    policy = LinUCB(prior, torch.ones(5, 2), 1.0, 0.0)
    assert torch.equal(policy.scores(reset(torch.tensor([1, 2]), 5, 3)), prior[1:])


def test_the_ridge_trusts_what_explains_residuals_and_nothing_else():
    generator = torch.Generator().manual_seed(2)
    groups = [torch.ones(60, 1), torch.randn(60, 2, generator=generator), torch.randn(60, 2, generator=generator)]
    items = torch.stack([torch.randperm(60, generator=generator)[:25] for _ in range(200)])
    items[:, 20:] = -1
    preference = torch.randn(200, 2, generator=generator)
    residual = (groups[1][items.clamp(min=0)] * preference[:, None]).sum(-1) + torch.randn(200, 25, generator=generator)
    level, useful, useless = choose_spreads(groups, items, torch.where(items < 0, 0.0, residual))
    assert level == LEVEL
    assert useful == 0.8
    assert useless == 0.0
