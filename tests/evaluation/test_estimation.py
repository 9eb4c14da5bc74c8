"""Reward estimation error by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from darlr.evaluation import estimation
from darlr.evaluation.estimation import reward_error

# users 2 and 0, items 1 and 3 of a 3 by 4 world
TRUTH = SimpleNamespace(users=np.array([2, 0]), items=np.array([1, 3]), reward=torch.tensor([[1.0, 5.0], [2.0, 5.0]]))
ESTIMATE = torch.tensor([[9.0, 2.5, 9.0, 4.0], [9.0, 9.0, 9.0, 9.0], [9.0, 3.0, 9.0, 5.0]])


def test_one_interval_a_distinct_reward():
    # errors: |3 - 1|, |5 - 5|; |2.5 - 2|, |4 - 5|
    assert reward_error(ESTIMATE, TRUTH) == {"all": 3.5 / 4, "1": 2.0, "2": 0.5, "5": 0.5}


def test_parts_of_the_table_are_the_whole(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    reward, estimate = torch.randint(1, 6, (9, 4), generator=generator).float(), torch.rand(9, 4, generator=generator)
    truth = SimpleNamespace(users=np.arange(9), items=np.arange(4), reward=reward)
    many = SimpleNamespace(users=np.arange(9), items=np.arange(4), reward=reward + estimate)  # distinct rewards
    whole = reward_error(estimate, truth), reward_error(estimate, many)
    assert len(whole[1]) == 6
    monkeypatch.setattr(estimation, "CELLS", 8)
    assert reward_error(estimate, truth) == pytest.approx(whole[0])
    assert reward_error(estimate, many) == pytest.approx(whole[1])


def test_many_distinct_rewards_fall_into_five_intervals():
    reward = torch.linspace(0, 10, 101)[None]
    truth = SimpleNamespace(users=np.array([0]), items=np.arange(101), reward=reward)
    found = reward_error(reward + 1, truth)
    assert list(found) == ["all", "0 to 2", "2 to 4", "4 to 6", "6 to 8", "8 to 10"]
    assert list(found.values()) == pytest.approx([1.0] * 6)
    assert reward_error(reward, truth)["all"] == 0
