"""Statistics of returns over seeds and users: interquartile mean, bootstrap intervals, paired comparisons."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from darlr.errors import ConfigError, DataError

Array = NDArray[np.float64]
Statistic = Literal["mean", "iqm"]
CHUNK = 2**22  # weights held at once while bootstrapping the interquartile mean


def iqm(values: NDArray[np.floating]) -> float:
    """Compute the interquartile mean, the mean of the middle half of all values (Agarwal et al. 2021, rliable).

    A value that straddles a quartile counts with its part inside. For 4n values this is scipy's trim_mean(0.25).
    """
    flat = np.sort(np.asarray(values, dtype=np.float64), axis=None)
    return float(_weighted_iqm(flat, np.ones((1, flat.size)))[0])


def _weighted_iqm(ordered: Array, weights: Array) -> Array:
    """Compute the interquartile means [R] of sorted values [n] under weights [R, n], whose rows have equal sums."""
    inside = torch.from_numpy(weights).cumsum(1)  # NumPy takes four times longer
    middle = inside.div_(inside[0, -1].clone()).clamp_(0.25, 0.75).numpy()
    # the sum of each value times its share of the middle half, by summation by parts: one product for all rows
    return np.asarray(2 * (0.75 * ordered[-1] - 0.25 * ordered[0] - middle[:, :-1] @ np.diff(ordered)))


def _counts(n: int, resamples: int, generator: np.random.Generator) -> Array:
    """Count how often each of n users occurs in n draws with replacement, float64 [resamples, n]."""
    drawn = generator.integers(n, size=(resamples, n))
    drawn += np.arange(resamples)[:, None] * n
    return np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


@dataclass(frozen=True)
class Samples:
    """Bootstrap samples: their shifts in standard errors over seeds, [R], and how often they have each user, [R, U]."""

    seeds: Array
    users: Array


def draw_samples(shape: tuple[int, ...], generator: np.random.Generator, *, resamples: int = 2000) -> Samples:
    """Draw bootstrap samples for tables of this shape, (seeds, users).

    Users are drawn with replacement, and a drawn user counts for all seeds. Seeds are so few that resampling them would
    spread too little. Each sample is therefore shifted by the jackknife standard error over seeds times a quantile of
    Student's t with seeds - 1 degrees of freedom. With one seed the spread is over users alone.
    """
    n_seeds, n_users = shape
    level = (generator.permutation(resamples) + 0.5) / resamples  # every quantile occurs once
    seeds = np.zeros(resamples)
    if n_seeds > 1:
        from scipy.special import stdtrit  # slow to import

        seeds = np.asarray(stdtrit(n_seeds - 1, level))
    return Samples(seeds, _counts(n_users, resamples, generator))


@lru_cache(maxsize=2)
def shared_samples(shape: tuple[int, ...], seed: int = 0) -> Samples:
    """Draw the samples that all rows and comparisons of this shape share."""
    return draw_samples(shape, np.random.default_rng(seed))


def resampled(values: NDArray[np.floating], samples: Samples, statistic: Statistic = "mean") -> Array:
    """Compute the statistic of returns [seeds, users] on each sample, float64 [R]. Raises ConfigError otherwise."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ConfigError(f"returns must be a non-empty table of seeds by users, not of shape {table.shape}")
    if statistic == "mean":
        left_out = np.array([part.mean() for part in without_each_seed(table)])
        return other_seeds(user_means(table, samples), left_out, samples)
    users = samples.users
    order = np.argsort(table, axis=None, kind="stable")
    ordered, place = table.ravel()[order], order % table.shape[1]
    size = max(1, CHUNK // table.size)
    parts = [_weighted_iqm(ordered, users[start : start + size].take(place, 1)) for start in range(0, len(users), size)]
    left_out = np.array([iqm(part) for part in without_each_seed(table)])
    return other_seeds(np.concatenate(parts), left_out, samples)


def user_means(table: Array, samples: Samples) -> Array:
    """Average returns [seeds, users] over the users of each sample and all seeds, float64 [resamples]."""
    return np.asarray(samples.users @ table.mean(0) / table.shape[1])


def without_each_seed(table: Array) -> list[Array]:
    """Return the tables that leave one seed out, [S - 1, ...] each; none for one seed."""
    return [np.delete(table, seed, axis=0) for seed in range(len(table))] if len(table) > 1 else []


def other_seeds(draws: Array, left_out: Array, samples: Samples) -> Array:
    """Shift draws over users, [R], by the spread over seeds. left_out: the statistic without each seed, [S], or NaN."""
    known = left_out[~np.isnan(left_out)]
    if len(known) < 2:
        return draws
    error = np.sqrt((len(known) - 1) * known.var())
    return np.asarray(draws + error * samples.seeds)


def bootstrap_ratio(
    numerator: Array, denominator: Array, *, generator: np.random.Generator, resamples: int = 2000
) -> Array:
    """Compute sum(numerator) / sum(denominator) on bootstrap samples of users, float64 [resamples]; NaN for x / 0.

    Both are sums over the events of each user, [users], or [users, ratios] for a result [resamples, ratios]. Ratios
    from one call, or from generators of one seed, are paired: they are of the same users.
    """
    both = np.column_stack([numerator, denominator]).astype(np.float64)
    size = max(1, CHUNK // len(both))
    sums = np.concatenate(
        [_counts(len(both), min(size, resamples - start), generator) @ both for start in range(0, resamples, size)]
    )
    above, below = np.split(sums, 2, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(below != 0, above / below, np.nan)).reshape(resamples, *numerator.shape[1:])


def interval(draws: Array, confidence: float = 0.95) -> tuple[float, float]:
    """Compute the percentile interval of bootstrap draws without NaN. Raises DataError where all draws are NaN."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        raise DataError("no bootstrap sample gives a value: too few users have an event that counts")
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """The paired difference of two rows, A minus B.

    difference: the mean difference of returns. low, high: its 95% bootstrap interval. users_better: the share of users
    with a larger mean return under A; ties count half. p_value: two-sided, from the share of samples beyond 0.
    """

    difference: float
    low: float
    high: float
    users_better: float
    p_value: float


def compare(a: Array, b: Array, *, samples: Samples | None = None) -> Comparison:
    """Compare returns a and b, each [seeds, users], paired by user and seed.

    A side with one seed, such as a fixed list, is compared with every seed of the other. samples: None = those that all
    comparisons share. Raises ConfigError where users or seeds do not match.
    """
    if a.shape[1] != b.shape[1] or (a.shape[0] != b.shape[0] and 1 not in (a.shape[0], b.shape[0])):
        raise ConfigError(f"a paired comparison needs the same seeds and users on both sides, not {a.shape}, {b.shape}")
    difference = a.astype(np.float64) - b.astype(np.float64)
    draws = resampled(difference, samples or shared_samples(difference.shape, 0))  # as `sound` asks, so it is kept
    low, high = interval(draws)
    by_user = difference.mean(0)
    beyond = min((draws <= 0).mean(), (draws >= 0).mean())
    return Comparison(
        difference=float(difference.mean()),
        low=low,
        high=high,
        users_better=float((by_user > 0).mean() + (by_user == 0).mean() / 2),
        p_value=float(min(1.0, max(2 * beyond, 1 / len(draws)))),
    )


def random_reward(tallies: Array) -> float | None:
    """Compute R_random, mean turns times mean feedback, of tallies [seeds, users, 3]; None without any feedback.

    Chance alone decides which shown items were drawn at random. Their mean feedback therefore estimates the mean over
    all new items that are shown (a ratio of Horvitz-Thompson sums; Sarndal, Swensson and Wretman 1992, section 5.7).
    """
    total, drawn, turns = tallies.mean((0, 1))
    return float(turns * total / drawn) if drawn > 0 else None


def random_interval(tallies: Array, samples: Samples) -> tuple[float, float]:
    """Compute the 95% bootstrap interval of R_random over seeds and users."""
    return interval(other_seeds(*_random_draws(tallies, samples), samples))


def random_difference(one: Array, other: Array) -> tuple[float, float, float]:
    """Compute R_random of one less that of the other and its 95% interval, paired by seed and user as in `compare`."""
    shape = (max(len(one), len(other)), *one.shape[1:])
    a, b = np.broadcast_to(one, shape), np.broadcast_to(other, shape)
    samples = shared_samples(shape[:2])
    (draws, left_out), (b_draws, b_left_out) = (_random_draws(side, samples) for side in (a, b))
    ends = interval(other_seeds(draws - b_draws, left_out - b_left_out, samples))
    return float((random_reward(a) or np.nan) - (random_reward(b) or np.nan)), *ends


def _random_draws(tallies: Array, samples: Samples) -> tuple[Array, Array]:
    """Compute R_random on each of the samples, [R], and without each seed, [S]; NaN without any feedback."""
    total, drawn, turns = (user_means(tallies[..., part], samples) for part in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.where(drawn > 0, turns * total / drawn, np.nan)
    left_out = [np.nan if (found := random_reward(part)) is None else found for part in without_each_seed(tallies)]
    return draws, np.array(left_out)
