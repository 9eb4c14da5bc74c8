"""Epsilon-greedy and UCB by hand."""

import math

import numpy as np
import torch
from scipy.stats import chisquare

from darlr.policies.bandits import UCB, EpsilonGreedy
from darlr.simulation.session import reset, show


def test_epsilon_greedy_explores_as_often_as_it_says_and_uniformly():
    table = torch.arange(5.0).expand(20_000, 5)
    policy = EpsilonGreedy(table, 0.2, seed=1)
    session = reset(torch.arange(20_000), 5, 3)
    stay = torch.zeros(20_000, dtype=torch.bool)
    for _ in range(2):  # coins of a later turn are new ones
        found = policy.scores(session).argmax(1).bincount(minlength=5).numpy()
        assert chisquare(found, 20_000 * np.array([0.04] * 4 + [0.84])).pvalue > 1e-4
        coins = (policy.scores(session) != table).any(1)
        session = show(session, torch.zeros(20_000, dtype=torch.int64), torch.zeros(20_000), stay)
    later = (policy.scores(session) != table).any(1)
    both = float((coins & later).float().mean())
    assert abs(both - 0.04) < 0.006
    other = EpsilonGreedy(table, 0.2, seed=2)
    assert not torch.equal(other.scores(session), policy.scores(session))


def test_ucb_by_hand_counts_log_and_session():
    policy = UCB(torch.tensor([[3.0, 3.0, 1.0]]), torch.tensor([8.0, 2.0, 0.0]), scale=0.5, c=2.0)
    session = reset(torch.tensor([0]), 3, 4)

    def bound(counts):
        total = sum(counts)
        return [r + 2 * 0.5 * math.sqrt(2 * math.log(total) / n) for r, n in zip((3, 3, 1), counts, strict=True)]

    torch.testing.assert_close(policy.scores(session), torch.tensor([bound([8, 2, 1])]))
    for _ in range(2):
        session = show(session, torch.tensor([1]), torch.tensor([5.0]), torch.tensor([False]))
    torch.testing.assert_close(policy.scores(session), torch.tensor([bound([8, 4, 1])]))
