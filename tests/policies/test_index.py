"""The index that prices leaving, in a small Gaussian world."""

import pytest
import torch

from darlr.policies.index import Index
from darlr.policies.staying import Worlds, play
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.exits import CategoryExit
from darlr.simulation.felt import FeltExit
from darlr.simulation.session import reset
from darlr.world.belief import Belief

LEFT = torch.arange(10, -1.0, -1)[None, :, None].repeat(2, 1, 1)  # a turn is worth 1


def index(**more: object) -> Index:
    """Items 0 to 9 are risky: a little better on average, and each is much worse for many users."""
    mean = torch.cat([torch.full((10,), 2.1), torch.full((30,), 2.0)])
    factors = torch.cat([1.5 * torch.eye(10), torch.zeros(30, 10)])
    nothing = torch.zeros(1, 0)
    return Index(mean, factors, torch.full((40,), 0.05), nothing.long(), nothing, **more)  # type: ignore[arg-type]


def test_it_is_the_mean_less_what_leaving_costs() -> None:
    rule, session = FeltExit(1.0, 1.0), reset(torch.tensor([0]), 40, 11)
    plain, priced = index().scores(session)[0], index(rule=rule, costs=LEFT).scores(session)[0]
    torch.testing.assert_close(plain, index().mean)
    spread = (index().factors.square().sum(1) + 0.05).sqrt()
    torch.testing.assert_close(priced, plain - 10 * torch.special.ndtr((1.0 - plain) / spread))


def test_it_stays_where_a_greedy_policy_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darlr.policies.staying.USERS", 256)
    rule, plain = FeltExit(1.0, 1.0), index()
    found = plain.knowing(rule, 20)
    worlds = Worlds(Belief(plain.mean, plain.factors, plain.noise), plain.items, plain.rewards)
    policies = found.dynamics, Dynamics(rule), Dynamics()
    returns = [float(play(worlds, known, 20, judged=True).returns.mean()) for known in policies]
    assert returns[0] > 1.2 * returns[1]
    assert returns[0] < returns[2]  # where nobody leaves


def test_items_that_end_a_session_for_sure_come_last() -> None:
    rule = CategoryExit(torch.cat([torch.ones(10, 1), torch.full((30, 1), 2)]).long(), 1, 0)
    session = reset(torch.tensor([0]), 40, 11)
    shown = index(rule=rule, costs=LEFT)
    session = type(session)(session.user, session.items.clone(), session.rewards, session.turn + 1, session.done, 40)
    session.items[0, -1] = 39
    session.rewards[0, -1] = 2.0
    assert shown.scores(session)[0].argmax() < 10
