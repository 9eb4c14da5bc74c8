"""Measures of drift: known answers, a slow twin, and planted shifts."""

import math

import numpy as np
import pytest

from darlr.evaluation.drift import CLOCK, Adwin, stability_index


def test_the_stability_index_by_hand() -> None:
    reference, seen = np.array([0.0] * 9 + [1.0] * 10), np.array([0.0] * 14 + [1.0] * 5)
    p, q = np.array([9.5, 10.5]) / 20, np.array([14.5, 5.5]) / 20
    expected = float(((q - p) * np.log(q / p)).sum())
    assert stability_index(reference, seen, bins=2) == pytest.approx(expected)
    values = np.random.default_rng(0).normal(size=(2, 5000))
    assert stability_index(*values) < 0.01
    assert stability_index(values[0], values[1] + 0.6) > 0.25


def found_by_hand(values: np.ndarray, width: float, delta: float) -> bool:
    """Whether some cut between blocks separates two means, with every block by itself."""
    n, blocks = len(values), values.reshape(-1, CLOCK).mean(1)
    if len(blocks) < 8:
        return False
    for cut in range(CLOCK, n, CLOCK):
        parts, means = (values[:cut], values[cut:]), (blocks[: cut // CLOCK], blocks[cut // CLOCK :])
        within = sum(((part - part.mean()) ** 2).sum() for part in parts) / n
        between = CLOCK * sum(((part - part.mean()) ** 2).sum() for part in means) / (len(blocks) - 2)
        variance = max(within, between)
        chance = math.log(2 * math.log(n) / delta) * (1 / cut + 1 / (n - cut))
        if abs(values[:cut].mean() - values[cut:].mean()) > math.sqrt(2 * variance * chance) + 2 / 3 * width * chance:
            return True
    return False


@pytest.mark.parametrize("shift", [0.0, 0.5, 0.8, 1.2, 2.0])
def test_a_cut_is_found_where_the_slow_twin_finds_one(shift: float) -> None:
    values = np.random.default_rng(1).normal(size=12 * CLOCK)
    values[8 * CLOCK :] += shift
    cuts = Adwin(1.0, 0.01).add(values)
    first = next((n for n in range(CLOCK, len(values) + 1, CLOCK) if found_by_hand(values[:n], 1.0, 0.01)), None)
    assert (first is None) == (shift == 0)
    assert bool(cuts) == (first is not None)
    assert not cuts or first is None or 0 <= cuts[0] - first <= 2 * CLOCK  # older blocks were joined in pairs


def test_joined_blocks_keep_count_sum_and_variance() -> None:
    values = np.random.default_rng(2).normal(3, 2, size=64 * CLOCK)
    window = Adwin(10.0)
    assert window.add(values) == []
    blocks = [(CLOCK << level, *one) for level, some in enumerate(window.levels) for one in some]
    count, total, squares, means = np.array(blocks).T
    assert count.sum() == len(values)
    assert total.sum() == pytest.approx(values.sum())
    assert squares.sum() == pytest.approx((values**2).sum())
    assert means.sum() == pytest.approx(CLOCK * (values.reshape(-1, CLOCK).mean(1) ** 2).sum())
    assert len(blocks) < 40


def test_neighbours_that_are_alike_raise_no_alarm() -> None:
    """Visits of ten events by users who differ: as independent values they would be cut."""
    generator = np.random.default_rng(4)
    values = np.repeat(generator.normal(size=6_000), 10) + generator.normal(size=60_000)
    assert Adwin(8.0).add(values) == []


def test_a_planted_shift_is_found_within_2000_events_and_nothing_before() -> None:
    generator = np.random.default_rng(3)
    window = Adwin(8.0)
    assert window.add(generator.normal(size=30_000).clip(-4, 4)) == []
    cuts = window.add(generator.normal(0.25, 1, size=3_000).clip(-4, 4))
    assert cuts[0] <= 2_000


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 2.0])
def test_river_finds_the_same_shift_in_independent_values(shift: float) -> None:
    """River's ADWIN is the published one, which looks for cuts after each block of as many values."""
    from river.drift import ADWIN  # slow to import

    for seed in range(5):
        values = np.random.default_rng(seed).normal(size=2_000)
        values[1_000:] += shift
        values, other = values.clip(-4, 4), ADWIN(delta=0.002, clock=CLOCK)
        found = []
        for place, value in enumerate(values, 1):
            other.update(value)
            if other.drift_detected:
                found.append(place)
        cuts = Adwin(1.0, 0.002).add(values)
        assert bool(cuts) == bool(found) == (shift > 0)
        assert not cuts or 0 <= cuts[0] - found[0] <= 4 * CLOCK  # the larger variance makes ours a little slower
