"""The criterion by which a run chooses its policy, played in drawn worlds."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from darlr.agents.sink import Earned, Keeper, Memory
from darlr.data.unit import Unit
from darlr.experiments.finished import HandedOver, chosen
from darlr.experiments.watch import criterion_of, kept
from darlr.simulation.exits import never
from darlr.world.drawn import Members, Tastes
from tests.agents.tiny import build, make_world, options

USERS, ITEMS, TURNS = 4, 6, 2
OTHER = torch.linspace(-1, 1, USERS * ITEMS).view(USERS, ITEMS)  # the draw of three that training does not meet


def game(keep: str, noise: float) -> tuple[Any, Any, torch.Tensor]:
    """A criterion, a policy that is greedy on r_0 and ignores the session, and the rewards of its items."""
    plain = make_world(n_users=USERS, n_items=ITEMS)
    table = torch.stack([torch.full((USERS, ITEMS), 5.0), OTHER, torch.full((USERS, ITEMS), -5.0)])
    world = replace(plain, tastes=Tastes(Members(table), torch.full((ITEMS,), noise), 0.0, 9.0))
    more = {"recommender__prior": 1000.0, "session__turns": TURNS, "session__tastes": "drawn", "keep": keep}
    config = options("mbpo", **more)
    learner, _ = build(world, config, decided=False)
    logs: Any = SimpleNamespace(unit=Unit())
    best = plain.reward.rows(torch.arange(USERS)).topk(TURNS).indices
    expected = (plain.reward.rows(torch.arange(USERS)) + OTHER).gather(1, best).sum(1)
    fitted: Any = None
    return criterion_of(world, never, config, logs, fitted), learner.recommender, expected


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_sessions_are_paid_what_they_are_expected_to_earn_in_worlds_that_training_never_meets(noise: float) -> None:
    criterion, policy, expected = game("sure", noise)
    found = criterion(policy)
    assert found.learned == pytest.approx(float(expected.mean()), abs=1e-5)
    assert len(found.sessions) == 16 * USERS
    assert sorted(set(found.sessions)) == pytest.approx(sorted(expected.tolist()), abs=1e-5)
    criterion, policy, _ = game("best", noise)
    assert criterion(policy) == replace(found, sessions=())


def test_the_run_says_where_and_by_how_much() -> None:
    sink, net = Memory(), torch.nn.Linear(1, 1)
    earned = [Earned(1.0, 1.0, 5.0, (0.0, 1.0, 2.0)), Earned(1.5, 1.5, 5.0, (0.5, 1.6, 2.4))]
    steps = iter(earned)
    keeper = Keeper(sink, lambda _: next(steps), net, 0)
    keeper.see(1, net)
    text = kept(chosen({}, 1, sink.load_best()), drawn=True)
    assert "it earns most in drawn worlds that training never met, 1.5 a session; the start earns 1" in text
    assert "0.5 +- 0.1" in text
    start = {"learned": 1.0, "shown": 1.0, "sessions": [1.0]}
    start_kept = HandedOver({}, 0, 2, {"start": start, "earned": start})
    assert kept(start_kept, gains=[-0.5, 0.25]).endswith("no epoch surely earns more; the best epoch earns 0.25 more")
    assert kept(start_kept, gains=[-2.0, -3.0]).endswith("the best epoch earns 2 less")
