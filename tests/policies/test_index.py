"""The index that prices leaving, in a small Gaussian world."""

import pytest
import torch

from darlr.policies.index import Index, drawn_returns
from darlr.simulation.exits import CategoryExit, never
from darlr.simulation.felt import FeltExit
from darlr.simulation.session import reset


def index(worth: float = 1.0) -> Index:
    """Items 0 to 9 are risky: a little better on average, and each is much worse for many users."""
    mean = torch.cat([torch.full((10,), 2.1), torch.full((30,), 2.0)])
    factors = torch.cat([1.5 * torch.eye(10), torch.zeros(30, 10)])
    nothing = torch.zeros(1, 0)
    return Index(mean, factors, torch.full((40,), 0.05), nothing.long(), nothing, worth=worth)


def test_it_is_the_mean_less_the_price_of_the_turns_left() -> None:
    rule, session = FeltExit(1.0, 1.0), reset(torch.tensor([0]), 40, 11)
    plain, priced = (one.scores(session)[0] for one in (index(), Index(**{**vars(index()), "rule": rule})))
    torch.testing.assert_close(plain, index().mean)
    spread = (index().factors.square().sum(1) + 0.05).sqrt()
    torch.testing.assert_close(priced, plain - 10 * torch.special.ndtr((1.0 - plain) / spread))


def test_it_stays_where_a_greedy_policy_leaves_and_its_factor_comes_from_drawn_worlds() -> None:
    rule = FeltExit(1.0, 1.0)
    found = index().knowing(rule, 20)
    assert found.worth > 0
    greedy = Index(**{**vars(index(0.0)), "rule": rule})
    earned = drawn_returns(found, rule, 20).mean()
    assert earned > 1.2 * drawn_returns(greedy, rule, 20).mean()
    assert earned < drawn_returns(greedy, never, 20).mean()


def test_items_that_end_a_session_for_sure_come_last() -> None:
    rule = CategoryExit(torch.cat([torch.ones(10, 1), torch.full((30, 1), 2)]).long(), 1, 0)
    session = reset(torch.tensor([0]), 40, 11)
    shown = Index(**{**vars(index()), "rule": rule})
    session = type(session)(session.user, session.items.clone(), session.rewards, session.turn + 1, session.done, 40)
    session.items[0, -1] = 39
    session.rewards[0, -1] = 2.0
    assert shown.scores(session)[0].argmax() < 10


def test_another_factor_is_taken_only_where_it_surely_earns_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darlr.policies.index.USERS", 32)
    rule = FeltExit(1.0, 1.0)
    assert index(1e4).knowing(rule, 8).worth == 1e4  # all factors are alike, and nothing is sure
    assert index(1e-9).knowing(rule, 8).worth == 1e-9
