"""Interquartile means, bootstrap intervals and paired comparisons, by hand and against scipy."""

import numpy as np
import pytest
import scipy  # its `stats` load when they are first used

from darlr.errors import ConfigError, DataError
from darlr.evaluation.statistics import (
    bootstrap_ratio,
    compare,
    draw_samples,
    interval,
    iqm,
    resampled,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def bootstrap(values, statistic="mean", *, generator, resamples=2000):
    return resampled(values, draw_samples(np.shape(values), generator, resamples=resamples), statistic)


def bootstrap_interval(*arguments, **options):
    return interval(bootstrap(*arguments, **options))


def test_iqm_by_hand():
    assert iqm(np.array([9.0, 1.0, 4.0, 2.0])) == 3.0  # the middle two
    assert iqm(np.array([5.0])) == 5.0
    assert iqm(np.array([0.0, 3.0, 99.0])) == pytest.approx((0.25 * 0 + 3 + 0.25 * 99) / 1.5)
    values = rng().normal(size=(4, 25))
    assert iqm(values) == pytest.approx(scipy.stats.trim_mean(values, 0.25, axis=None))


def test_constant_returns_have_no_spread():
    for statistic in ("mean", "iqm"):
        assert bootstrap_interval(np.full((3, 7), 2.5), statistic, generator=rng()) == pytest.approx((2.5, 2.5))


def test_one_seed_is_the_ordinary_bootstrap_over_users():
    values = rng(1).exponential(size=(1, 80))
    low, high = bootstrap_interval(values, generator=rng(2), resamples=9000)
    expected = scipy.stats.bootstrap((values[0],), np.mean, method="percentile", rng=rng(3)).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.02)
    draws = bootstrap(values, "iqm", generator=rng(2), resamples=4000)
    how = {"method": "percentile", "n_resamples": 2000, "rng": rng(3), "vectorized": True}
    again = scipy.stats.bootstrap((values[0],), iqm_axis, **how)
    assert draws.std() == pytest.approx(again.standard_error, rel=0.08)


def iqm_axis(sample, axis):
    return scipy.stats.trim_mean(sample, 0.25, axis=axis)


def test_seeds_and_users_both_spread():
    users = np.tile(rng().normal(size=50), (5, 1))  # every seed alike: only users differ
    seeds = np.tile(rng().normal(size=(5, 1)), (1, 50))
    by_user = bootstrap(users, generator=rng(1)).std()
    assert by_user == pytest.approx(users[0].std() / np.sqrt(50), rel=0.1)  # not / sqrt(250): users are shared
    student = np.sqrt(4 / 2)  # the standard deviation of Student's t with 4 degrees of freedom
    by_seed = student * seeds[:, 0].std(ddof=1) / np.sqrt(5)
    assert bootstrap(seeds, generator=rng(1)).std() == pytest.approx(by_seed, rel=0.1)
    assert bootstrap(seeds, "iqm", generator=rng(1)).std() > bootstrap(users, "iqm", generator=rng(1)).std()


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
@pytest.mark.parametrize(
    ("seeds", "between_seeds", "noise"), [(5, 3.0, 0.0), (5, 1.0, 3.0), (3, 1.0, 0.0), (1, 0.0, 3.0), (30, 3.0, 0.0)]
)
def test_intervals_cover_the_truth_as_often_as_they_say(statistic, seeds, between_seeds, noise):
    """5 seeds with a standard deviation of 3, as users have, were covered 0.84 of the time when drawn as users are."""
    hits = 0
    for trial in range(150):
        draw = rng(trial)
        values = between_seeds * draw.normal(size=(seeds, 1)) + 3 * draw.normal(size=(1, 60))
        values = values + noise * draw.normal(size=(seeds, 60))
        low, high = bootstrap_interval(values, statistic, generator=draw, resamples=300)
        hits += low < 0 < high
    assert 0.91 <= hits / 150 <= 0.995


def test_false_alarms_of_few_seeds_are_rare():
    """Five seeds of two methods that are alike, each with a standard deviation of 3 over seeds; it was 0.16."""
    alarms = 0
    for trial in range(150):
        draw = rng(trial)
        users = 3 * draw.normal(size=(1, 60))
        one, other = (users + 3 * draw.normal(size=(5, 1)) for _ in range(2))
        found = compare(one, other, samples=draw_samples((5, 60), draw, resamples=300))
        alarms += not found.low <= 0 <= found.high
    assert alarms / 150 <= 0.08


def test_two_seeds_have_the_interval_of_student():
    seeds = np.array([[1.0], [3.0]]) + np.zeros((1, 40))  # users alike: only seeds differ
    low, high = bootstrap_interval(seeds, generator=rng(), resamples=4000)
    assert (low, high) == pytest.approx((2 - 12.706, 2 + 12.706), rel=0.01)
    assert bootstrap_interval(seeds[:1], generator=rng()) == (1.0, 1.0)


def test_a_row_compared_with_itself_is_no_better():
    row = rng().normal(size=(3, 20))
    found = compare(row, row)
    assert (found.difference, found.low, found.high, found.users_better) == (0, 0, 0, 0.5)
    assert found.p_value == 1


def test_the_same_generator_gives_the_same_interval():
    values = rng().normal(size=(3, 9))
    assert bootstrap_interval(values, generator=rng(4)) == bootstrap_interval(values, generator=rng(4))


def test_compare_by_hand():
    a = np.array([[3.0, 5.0, 1.0, 2.0], [5.0, 5.0, 1.0, 2.0]])
    b = np.array([[1.0, 4.0, 2.0, 2.0]])  # a list: one seed against both
    found = compare(a, b)
    assert found.difference == pytest.approx((2 + 1 - 1 + 0 + 4 + 1 - 1 + 0) / 8)
    assert found.users_better == (2 + 0.5) / 4
    assert found.low < found.difference < found.high
    back = compare(b, a)
    assert back.difference == -found.difference
    assert back.users_better == 1 - found.users_better


def test_pairing_finds_a_small_steady_difference():
    users = 100 * rng().normal(size=(1, 60))
    a, b = users + 1.0 + rng(1).normal(size=(5, 60)), users + rng(2).normal(size=(5, 60))
    found = compare(a, b)
    assert found.low > 0.5
    assert found.p_value <= 0.001
    apart = bootstrap_interval(a, generator=rng())
    assert apart[1] - apart[0] > 10  # the unpaired interval would hide it


def test_wrong_shapes_are_refused():
    with pytest.raises(ConfigError, match="seeds by users"):
        resampled(np.ones(3), draw_samples((1, 3), rng()))
    with pytest.raises(ConfigError, match="same seeds and users"):
        compare(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(ConfigError, match="same seeds and users"):
        compare(np.ones((2, 3)), np.ones((2, 4)))


def test_ratios_draw_whole_users(monkeypatch):
    values, count = rng(1).exponential(size=30), np.ones(30)
    plain = bootstrap(values[None], generator=rng(2), resamples=400)
    assert bootstrap_ratio(values, 2 * count, generator=rng(2), resamples=400).mean() == pytest.approx(
        plain.mean() / 2, rel=0.03
    )
    whole = bootstrap_ratio(values, count, generator=rng(3), resamples=400)
    monkeypatch.setattr("darlr.evaluation.statistics.CHUNK", 30 * 7)  # in parts
    parts = bootstrap_ratio(values, count, generator=rng(3), resamples=400)
    assert parts == pytest.approx(whole)
    sizes = np.array([1.0, 9.0])  # two users with 1 and 9 events: one of four samples has only the first
    draws = bootstrap_ratio(np.array([1.0, 0.0]), sizes, generator=rng(4), resamples=4000)
    assert np.unique(draws) == pytest.approx([0, 0.1, 1])
    assert (draws == 1).mean() == pytest.approx(0.25, abs=0.03)


def test_a_ratio_without_events_is_no_number():
    draws = bootstrap_ratio(np.array([1.0, 0.0]), np.array([1.0, 0.0]), generator=rng(), resamples=200)
    assert np.isnan(draws).any()
    assert interval(draws) == (1.0, 1.0)
    with pytest.raises(DataError, match="too few users"):
        interval(np.full(3, np.nan))
