"""What staying is worth: the table by hand, sessions in drawn worlds, and which of three prices is taken."""

from dataclasses import replace

import pytest
import torch

from darlr.policies import staying
from darlr.policies.staying import Earned, Learner, Worlds, critic, play, value_of_staying
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.exits import never
from darlr.simulation.felt import FeltExit
from darlr.world.belief import Belief

NUMBERS = torch.Generator().manual_seed(0)
BELIEF = Belief(3 + torch.randn(9, generator=NUMBERS), torch.randn(9, 3, generator=NUMBERS), torch.rand(9) + 0.1, 1.5)
NOBODY = torch.zeros(1, 0)
ALIKE = Belief(torch.full((9,), 2.0), torch.zeros(9, 1), torch.full((9,), 1e-12))


def worlds(belief: Belief) -> Worlds:
    return Worlds(belief, NOBODY.long(), NOBODY)


def test_the_table_holds_means_and_leans_on_the_next_turn() -> None:
    many = staying.FEW  # sessions of two turns with 2 and 3, and as many that leave after 4
    later = torch.cat([torch.tensor([[5.0, 3.0]]), torch.tensor([[4.0, 0.0]])]).repeat_interleave(many, 0)
    state = torch.tensor([[0, 1]]).repeat(2 * many, 1)
    there = torch.tensor([[True, True], [True, False]]).repeat_interleave(many, 0)
    found = critic(Earned(later, state, there), 2)
    # the mean 3 of FEW sessions counts half, and so do 4.5 of twice as many by two thirds; state 0 is worth no less
    torch.testing.assert_close(found, torch.tensor([[3.0, 1.5], [1.5, 1.5], [0.0, 0.0]]))


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
    found = play(Worlds(replace(BELIEF, factors=torch.ones(9, 1)), items, rewards), Dynamics(), 2).later[:, 0]
    assert found[::2].min() > found[1::2].max()


def test_staying_is_worth_what_is_left_where_nobody_need_leave() -> None:
    rule = FeltExit(1.0, 1.0)  # all rewards are 2
    found = value_of_staying(worlds(ALIKE), Dynamics(rule), 5)
    torch.testing.assert_close(found[:, 0], 2.0 * torch.arange(5, -1, -1), atol=0.2, rtol=0)
    strikes = value_of_staying(worlds(ALIKE), Dynamics(replace(rule, threshold=3.0, patience=3)), 5)
    assert strikes.shape == (6, 3)
    torch.testing.assert_close(strikes[1:3].diagonal(1), torch.tensor([4.0, 2.0]), atol=0.2, rtol=0)  # left after 3
    assert value_of_staying(worlds(ALIKE), Dynamics(replace(rule, patience=10**9)), 2).shape == (3, 3)


def test_another_price_is_taken_only_where_it_surely_earns_more(monkeypatch: pytest.MonkeyPatch) -> None:
    rule, turns = FeltExit(3.0, 3.0), 4
    returns = {"table": 1.0, "left": 1.0, "greedy": 1.0}

    def earned(_: Worlds, known: Dynamics, turns: int, judged: bool = False) -> Earned:
        left = known.staying is not None and float(known.staying[0, 0]) == 8.0  # c is 2 where nobody leaves
        table = known.staying is not None and not left and bool(known.staying.any())
        if not judged:
            value = torch.full((50, turns), 8.0 if known.rule is never else 1.0)
            return Earned(value, torch.zeros(50, turns).long(), value > 0)
        value = returns["left" if left else "table" if table else "greedy"]
        noise = torch.linspace(-1, 1, 50) * (not table)
        return Earned((value + noise)[:, None], torch.zeros(50, 1).long(), torch.ones(50, 1) > 0)

    monkeypatch.setattr(staying, "play", earned)
    table = value_of_staying(worlds(ALIKE), Dynamics(rule), turns)
    assert table.any()
    assert float(table[0, 0]) != 8.0
    for better, first in (("left", 8.0), ("greedy", 0.0)):
        returns[better] = 1.1  # not surely
        assert torch.equal(value_of_staying(worlds(ALIKE), Dynamics(rule), turns), table)
        returns[better] = 2.0
        assert float(value_of_staying(worlds(ALIKE), Dynamics(rule), turns)[0, 0]) == first
        returns[better] = 1.0
