"""The unit of rewards: whatever unit a log has, it is learned on 1 to 5."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.data.log import InteractionLog, check
from darlr.data.unit import Unit, as_learned, unit_of

GENERATOR = np.random.default_rng(0)
RATINGS = GENERATOR.choice([1.0, 2.0, 3.0, 4.0, 5.0], size=2000, p=[0.05, 0.1, 0.25, 0.35, 0.25])
TAILED = np.exp(1.5 * GENERATOR.standard_normal(10_000))  # dwell times


def log_of(reward: np.ndarray, limits: tuple[float, float] | None = None, dtype: type = np.float64) -> InteractionLog:
    codes = np.arange(len(reward), dtype=np.int64)
    return InteractionLog(
        name="made up",
        user=codes % 20,
        item=codes % 30,
        reward=reward.astype(dtype),
        user_ids=tuple(range(20)),
        item_ids=tuple(range(30)),
        reward_range=limits or (float(reward.min()), float(reward.max())),
    )


def learn(log: InteractionLog) -> InteractionLog:
    return as_learned(log, unit_of(log))


def test_ratings_from_1_to_5_are_learned_as_they_are():
    log = log_of(RATINGS, dtype=np.float32)
    found = learn(log)
    assert found.unit.identity
    assert found.reward is log.reward  # not a bit is touched
    assert found.reward_range == (1.0, 5.0)


@pytest.mark.parametrize("b", [-5.0, 0.0, 100.0])
@pytest.mark.parametrize("a", [0.01, 1.0, 10.0, 1000.0, 2.0**-7, 1024.0])
@pytest.mark.parametrize("rewards", [RATINGS, TAILED], ids=["ratings", "tailed"])
def test_the_unit_of_a_log_changes_nothing_that_is_learned(rewards, a, b):
    one, other = learn(log_of(rewards)), learn(log_of(a * rewards + b))
    check(other)
    if np.log2(a) % 1 == 0 and b == 0:
        assert np.array_equal(one.reward, other.reward)
    assert np.abs(one.reward - other.reward).max() <= 1e-6
    if rewards is RATINGS:
        assert np.array_equal(one.reward, other.reward)  # numbers that float32 holds come out exactly
    shown = other.unit.show(torch.from_numpy(one.reward).double()).numpy()
    inside = one.reward < 5
    assert shown[inside] == pytest.approx((a * rewards + b)[inside], rel=1e-6, abs=1e-6 * a)


def spread(log: InteractionLog) -> float:
    """Of what is learned between the 5th and the 95th percentile of those rewards that are not the usual one."""
    values = log.reward[log.reward != np.median(log.reward)]
    low, high = np.quantile(values, [0.05, 0.95])
    return float(high - low)


def test_a_heavy_tail_is_cut():
    log = log_of(TAILED)
    found = learn(log)
    assert found.unit.low == TAILED.min()
    assert np.quantile(TAILED, 0.99) < found.unit.high < TAILED.max()
    assert spread(found) > 0.5  # by the range alone it would be 0.1
    assert (found.reward == 5).sum() == (found.unit.high <= TAILED).sum()  # who is beyond is learned as the bound
    assert "lie far outside" in found.unit.describe(log)


def test_one_outlier_does_not_squeeze_the_others():
    log = log_of(np.append(RATINGS, 1e6))
    found = learn(log)
    assert (found.unit.low, found.unit.high) == (1.0, 5.0)
    assert np.array_equal(found.reward[:-1], RATINGS)
    assert found.reward[-1] == 5.0
    low = learn(log_of(np.append(RATINGS, -1e6)))
    assert np.array_equal(low.reward[:-1], RATINGS)


def test_a_range_far_wider_than_the_rewards_is_cut():
    assert unit_of(log_of(RATINGS, (0.0, 1e9))).high == 5.0
    assert unit_of(log_of(RATINGS, (0.0, 10.0))).high == 10.0  # not far: taken at its word


def test_rare_rewards_are_no_outliers():
    rare = np.zeros(10_000)
    rare[::100] = 1.0
    assert (unit_of(log_of(rare)).low, unit_of(log_of(rare)).high) == (0.0, 1.0)
    assert set(learn(log_of(rare)).reward) == {1.0, 5.0}
    revenue = rare * np.exp(GENERATOR.standard_normal(len(rare)))
    found = learn(log_of(revenue))
    assert found.unit.low == 0.0
    assert found.unit.high > np.quantile(revenue[revenue > 0], 0.9)


def test_equal_rewards():
    positives = learn(log_of(np.full(50, 3.0), (0.0, 3.0)))  # a log of positives: no event is 0, and 0 stays 0
    assert set(positives.reward) == {4.0}
    assert positives.reward_range == (0.0, 4.0)
    assert positives.unit.zero == 0.0
    assert set(learn(log_of(np.full(50, 3.0), (1.0, 5.0))).reward) == {3.0}


def test_two_rewards_and_none():
    assert set(learn(log_of(np.array([7.0, 7.0, 9.0]))).reward) == {1.0, 5.0}
    none = learn(replace(log_of(np.array([7.0]), (0.0, 10.0)), reward=np.array([]), user=GENERATOR.integers(1, size=0)))
    assert len(none.reward) == 0


def test_back_and_forth():
    unit = Unit(-10.0, 10.0, bounds=(-10.0, 10.0))
    reward = torch.tensor([-10.0, -5.0, 0.0, 10.0, 25.0])
    assert unit.learn(reward).tolist() == [1.0, 2.0, 3.0, 5.0, 5.0]
    assert unit.show(torch.tensor([1.0, 2.0, 5.0])).tolist() == [-10.0, -5.0, 10.0]
    assert unit.scale == 5.0
    assert unit.zero == 3.0
    assert Unit().zero == 0.0
    assert unit.describe(log_of(np.array([-10.0, 10.0]))) == "rewards from -10 to 10 are learned as 1 to 5"
    assert Unit().describe(log_of(RATINGS)) is None


@pytest.mark.parametrize("sentinel", [573.0, -999.0])
def test_a_value_that_comes_back_among_rewards_that_do_not_is_still_a_tail(sentinel: float):
    shares = np.linspace(0, 1, 991)  # no two are alike, so that the sentinel is the most frequent reward
    found = unit_of(log_of(np.concatenate([shares, np.full(4, sentinel)])))
    assert (found.low, found.high) == pytest.approx((0, 1), abs=0.01)


@pytest.mark.parametrize("spread", [1.0, 1.5, 2.0, 3.0])
def test_a_log_normal_reward_keeps_a_spread_of_its_own(spread):
    log = log_of(np.exp(spread * np.random.default_rng(3).standard_normal(5000)))
    assert learn(log).reward.std() > 0.3  # by the range alone 0.1 and less, where ratings have about 1
