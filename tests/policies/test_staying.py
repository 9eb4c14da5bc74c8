"""What leaving costs: by hand, sessions in drawn worlds, and which of three prices is taken."""

from dataclasses import replace

import pytest
import torch

from darlr.policies import staying
from darlr.policies.staying import Learner, Paths, Worlds, cost_of_leaving, costs, play
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.felt import FeltExit
from darlr.world.belief import Belief

NUMBERS = torch.Generator().manual_seed(0)
BELIEF = Belief(3 + torch.randn(9, generator=NUMBERS), torch.randn(9, 3, generator=NUMBERS), torch.rand(9) + 0.1, 1.5)
NOBODY = torch.zeros(1, 0)
ALIKE = Belief(torch.full((9,), 2.0), torch.zeros(9, 1), torch.full((9,), 1e-12))


def worlds(belief: Belief) -> Worlds:
    return Worlds(belief, NOBODY.long(), NOBODY)


def test_costs_are_what_users_lose_who_leave_or_come_nearer_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """User 0 is disappointed in both turns, user 1 in the second; the second disappointment makes users leave."""
    monkeypatch.setattr(staying, "FEW", 1e-9)
    strike = torch.tensor([[True, True, False], [False, True, False]])
    leave = torch.zeros(2, 3, 2)
    leave[..., 1] = strike.float()
    paths = Paths(torch.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, 8.0]]), leave, strike)
    torch.testing.assert_close(paths.later()[0], torch.tensor([[3.0, 1.0], [16.0, 8.0]]))  # the rest is never earned
    assert paths.returns.tolist() == [3.0, 16.0]
    found = costs(paths)
    assert found[0, 1, 1] == 4.0  # user 0 leaves, who would have had the last turn
    assert found[1, 0, 0] == (2 + 4) - 2.0  # without the first strike user 0 would have stayed to the end
    assert found[1, 1, 0] == 0.0  # user 1 was struck, and no turn is left that disappoints
    monkeypatch.setattr(staying, "FEW", 1e9)
    torch.testing.assert_close(costs(paths)[0, 1], torch.full((2,), 6.0))  # all users alike


def test_a_learner_has_the_posterior_of_the_belief() -> None:
    start, rows = BELIEF.given(NOBODY.long().expand(4, 0), NOBODY.expand(4, 0)), torch.zeros(4, 9)
    learner = Learner(Dynamics(), BELIEF, rows, start.rows(start.theta()), start.variance(), start.whitened.float())
    items = torch.stack([torch.randperm(9, generator=NUMBERS)[:5] for _ in range(4)])
    rewards = torch.randn(4, 5, generator=NUMBERS)
    for turn in range(5):
        learner.learn(items[:, turn], rewards[:, turn])
    found = BELIEF.given(items, rewards)
    torch.testing.assert_close(learner.mean, found.rows(found.theta()), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(learner.variance, found.variance(), atol=1e-4, rtol=1e-4)


def test_users_of_the_log_are_drawn_from_their_posteriors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staying, "USERS", 64)
    items = torch.arange(9).repeat(2, 20)  # all is known of two users, of whom one likes everything
    rewards = torch.cat([torch.full((1, 180), 5.0), torch.full((1, 180), 1.0)])
    found = play(Worlds(replace(BELIEF, factors=torch.ones(9, 1)), items, rewards), Dynamics(), 2).returns
    assert found[::2].min() > found[1::2].max()


@pytest.mark.parametrize("turns", [5, 12])  # 9 items end a session
def test_sessions_earn_what_the_rule_lets_them(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staying, "USERS", 8)
    most, rule = min(turns, 9), FeltExit(3.0, 3.0, patience=3, chance=0.5)  # all rewards are 2
    paths = play(worlds(ALIKE), Dynamics(rule), turns)
    torch.testing.assert_close(paths.returns, torch.full((8,), 4 + 2 * (2 - 0.5 ** (most - 3))), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        play(worlds(ALIKE), Dynamics(replace(rule, patience=10**9)), turns).returns, torch.full((8,), 2.0 * most)
    )


@pytest.mark.parametrize("best", ["greedy", "left", "table"])
def test_the_price_that_earns_most_is_taken(best: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, turns = FeltExit(3.0, 3.0), 4

    def played(_: Worlds, known: Dynamics, turns: int, judged: bool = False) -> Paths:
        price = 0.0 if known.costs is None else float(known.costs[0, 0, 0])
        name = {0.0: "greedy", 6.0: "left"}.get(price, "table")
        gain = torch.full((50, turns), 2.0 + (judged and name == best))
        return Paths(gain, torch.full((50, turns, 1), 0.5), gain > 9)

    monkeypatch.setattr(staying, "play", played)
    found = cost_of_leaving(worlds(ALIKE), Dynamics(rule), turns)[0, :, 0].tolist()
    assert found == {"greedy": [0.0] * 4, "left": [6.0, 4.0, 2.0, 0.0], "table": [3.5, 3.0, 2.0, 0.0]}[best]
