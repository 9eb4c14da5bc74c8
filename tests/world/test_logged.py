"""What the log says of its users' preferences: by hand, and against the posterior of the belief."""

import pytest
import torch

import darlr.world.logged as logged
from darlr.world.belief import Belief
from darlr.world.logged import Certainty, Histories, certainty

HELD = Histories(torch.tensor([0, 3, 3, 7]), torch.tensor([0, 4, 7, 1, 2, 9, 11], dtype=torch.int32))
ITEMS = torch.tensor([[-1, 3, 5], [2, 3, 3], [-1, -1, -1]])
USERS = torch.arange(3)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_user_with_a_log_is_moved_less_by_hand() -> None:
    # x = 2, noise 0.5, and three logged events of x = 1 and noise 1: covariance 1 / (1 + 3), after strength 1
    features, noise = torch.tensor([[2.0], [1.0]]), torch.tensor([0.5, 1.0])
    held = Histories(torch.tensor([0, 3, 3]), torch.tensor([1, 1, 1], dtype=torch.int32))
    told = Certainty(noise, held)
    items, surprise = torch.tensor([[0], [0]]), torch.tensor([[1.5], [1.5]])
    found = told.preference(features, 1.0, torch.arange(2), items, surprise)
    assert found[:, 0].tolist() == pytest.approx([0.25 * 2 * 1.5 / (4 * 0.25 + 0.5), 2 * 1.5 / (4 + 0.5)])
    of_new = told.of_new_users.preference(features, 1.0, torch.arange(2), items, surprise)
    torch.testing.assert_close(of_new, found[1:].expand(2, 1))


@pytest.mark.parametrize("held", [logged.HELD, 0])
def test_rows_move_as_the_belief_given_the_log_moves_them(monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    """Logged events whose rewards are as expected shape the covariance and move nothing."""
    monkeypatch.setattr(logged, "HELD", held)
    prior = Belief(torch.zeros(12), numbers(12, 4), 0.3 + numbers(12, seed=1).abs(), tempering=2.0)
    surprise = numbers(3, 3, seed=2)
    features, told = certainty(prior, HELD)
    own = HELD.of(USERS, -1)
    rewards = torch.cat([torch.zeros(own.shape), surprise * (ITEMS >= 0)], 1)
    posterior = prior.given(torch.cat([own, ITEMS], 1), rewards)
    found = told.preference(features, 1.0, USERS, ITEMS, surprise)
    torch.testing.assert_close(found @ features.T, posterior.theta() @ prior.factors.T, atol=1e-5, rtol=1e-4)
    assert found[2].eq(0).all()
    again = told.preference(features, 1.0, USERS[:1], ITEMS[:1], surprise[:1])
    torch.testing.assert_close(again, found[:1])


def test_the_strength_scales_the_variance_of_the_prior() -> None:
    prior, wide = (Belief(torch.zeros(12), scale * numbers(12, 4), torch.ones(12)) for scale in (1.0, 3.0))
    surprise = numbers(3, 3, seed=2)
    rows = []
    for belief, strength in ((prior, 9.0), (wide, 1.0)):
        features, told = certainty(belief, HELD)
        rows.append(told.preference(features, strength, USERS, ITEMS, surprise) @ features.T)
    torch.testing.assert_close(*rows, atol=1e-5, rtol=1e-4)
