"""Greedy use of a posterior, and how policies serve new users."""

import numpy as np
import torch

from darlr.data.histories import last_events
from darlr.policies.bandits import LinUCB
from darlr.policies.bayes import Bayes
from darlr.policies.fixed import FixedList, UserGreedy
from darlr.policies.new_users import for_new_users
from darlr.simulation.session import reset, show
from darlr.world.hashing import normals
from tests.world.tiny import log_of


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def policy(items: torch.Tensor, rewards: torch.Tensor) -> Bayes:
    return Bayes(numbers(9), numbers(9, 3, seed=1), torch.full((9,), 0.4), items, rewards)


def test_the_log_of_a_user_counts_like_answers_of_the_session() -> None:
    items, rewards = torch.tensor([[-1, 4, 7], [1, 2, 3]]), numbers(2, 3, seed=2)
    known, new = policy(items, rewards), policy(items[:, :0], rewards[:, :0])
    session, answered = reset(torch.tensor([1, 0]), 9, 5), reset(torch.tensor([1, 0]), 9, 5)
    for place in range(3):
        action, reward = items[[1, 0], place], rewards[[1, 0], place]
        answered = show(answered, action, reward.masked_fill(action < 0, 0), torch.zeros(2, dtype=torch.bool))
    torch.testing.assert_close(known.scores(session), new.scores(answered))
    stay, later = torch.zeros(2, dtype=torch.bool), (torch.tensor([0, 8]), torch.tensor([2.0, -1.0]))
    both = known.scores(show(session, *later, stay)), new.scores(show(answered, *later, stay))
    torch.testing.assert_close(*both)
    assert not torch.allclose(both[0], known.scores(session))


def test_the_last_events_of_each_user_are_taken() -> None:
    log = log_of([1, 0, 1, 1], [5, 6, 7, 8], [1, 2, 3, 4], 3, 9, timestamp=np.array([4, 0, 9, 1]))
    items, rewards = last_events(log, most=2)
    assert items.tolist() == [[-1, 6], [5, 7], [-1, -1]]
    assert rewards.tolist() == [[0, 2], [1, 3], [0, 0]]


def test_draws_are_normal_and_differ_by_user_turn_and_seed() -> None:
    user, turn = torch.arange(200), torch.zeros(200, dtype=torch.int64)
    found = normals(user, turn, 100, seed=0)
    assert abs(float(found.mean())) < 0.03
    assert abs(float(found.std()) - 1) < 0.03
    assert abs(float((found[:, 1:] * found[:, :-1]).mean())) < 0.03
    others = [normals(user, turn + 1, 100, 0), normals(user + 200, turn, 100, 0), normals(user, turn, 100, 1)]
    assert all(abs(float((found * other).mean())) < 0.03 for other in others)


def test_new_users_get_the_mean_row_or_the_prior() -> None:
    table, session = numbers(4, 9), reset(torch.arange(2), 9, 5)
    greedy = for_new_users(UserGreedy(table), 2)
    assert isinstance(greedy, FixedList)
    torch.testing.assert_close(greedy.value, table.mean(0))
    linear = for_new_users(LinUCB(table, torch.ones(9, 2), 1.0, 0.0), 2)
    torch.testing.assert_close(linear.scores(session), table.mean(0).expand(2, -1))
    known = policy(torch.tensor([[1], [2]]), torch.ones(2, 1))
    torch.testing.assert_close(for_new_users(known, 2).scores(session), known.mean.expand(2, -1))
