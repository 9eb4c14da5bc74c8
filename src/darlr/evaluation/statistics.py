"""Statistics of returns over seeds and users: interquartile mean, bootstrap intervals, paired comparisons."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from darlr.errors import ConfigError, DataError

Array = NDArray[np.float64]
Statistic = Literal["mean", "iqm"]
CHUNK = 2**22  # weights held at once while bootstrapping the interquartile mean


def iqm(values: NDArray[np.floating]) -> float:
    """Interquartile mean: the mean of the middle half of all values (Agarwal et al. 2021, rliable).

    A value that straddles a quartile counts with the part inside; for 4n values this is scipy's trim_mean(0.25).
    """
    flat = np.sort(np.asarray(values, dtype=np.float64), axis=None)
    return float(_weighted_iqm(flat, np.ones((1, flat.size)))[0])


def _weighted_iqm(ordered: Array, weights: Array) -> Array:
    """Interquartile means [R] of sorted values [n] under weights [R, n], each row of the same sum."""
    inside = weights.cumsum(1)
    inside /= inside[0, -1]
    np.clip(inside, 0.25, 0.75, out=inside)
    # Sum of value times its share of the middle half, summed by parts: one product for all rows.
    return np.asarray(2 * (0.75 * ordered[-1] - 0.25 * ordered[0] - inside[:, :-1] @ np.diff(ordered)))


def _counts(n: int, resamples: int, generator: np.random.Generator) -> Array:
    """How often each of n things occurs in n draws with replacement, float64 [resamples, n]."""
    drawn = generator.integers(n, size=(resamples, n))
    drawn += np.arange(resamples)[:, None] * n
    return np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


def bootstrap(
    values: NDArray[np.floating],
    statistic: Statistic = "mean",
    *,
    generator: np.random.Generator,
    strata: NDArray[np.integer] | None = None,
    resamples: int = 2000,
) -> Array:
    """Bootstrap samples of the statistic of returns [seeds, users], float64 [resamples].

    The spread covers other training seeds and other users. Users are drawn with replacement within their stratum, and a
    drawn user counts for all seeds. Seeds are few, so that resampling them would spread too little. Each sample is
    therefore moved by the jackknife standard error over seeds times a draw of Student's t with seeds - 1 degrees of
    freedom. With one seed the spread is over users alone. strata: int [users]; None = one stratum.
    """
    table = _table(values)
    return resampled(table, draw_samples(table.shape, generator, strata=strata, resamples=resamples), statistic)


@dataclass(frozen=True)
class Samples:
    """Samples for a table of returns. users: how often each was drawn, float64 [R, U].

    seeds: by how many standard errors over seeds a sample is moved, float64 [R]; 0 for one seed.
    """

    seeds: Array
    users: Array


def draw_samples(
    shape: tuple[int, ...],
    generator: np.random.Generator,
    *,
    strata: NDArray[np.integer] | None = None,
    resamples: int = 2000,
) -> Samples:
    """The samples of `bootstrap` for any table of this shape, (seeds, users)."""
    n_seeds, n_users = shape
    level = (generator.permutation(resamples) + 0.5) / resamples  # every quantile comes once
    seeds = np.zeros(resamples)
    if n_seeds > 1:
        from scipy.special import stdtrit  # slow to import

        seeds = np.asarray(stdtrit(n_seeds - 1, level))
    if strata is None:
        return Samples(seeds, _counts(n_users, resamples, generator))
    users = np.empty((resamples, n_users))
    for group in np.unique(strata):
        inside = np.flatnonzero(strata == group)
        users[:, inside] = _counts(inside.size, resamples, generator)
    return Samples(seeds, users)


@lru_cache(maxsize=2)
def shared_samples(shape: tuple[int, ...], resamples: int = 2000, seed: int = 0) -> Samples:
    """The samples of all rows and comparisons of this shape, drawn once."""
    return draw_samples(shape, np.random.default_rng(seed), resamples=resamples)


def resampled(values: NDArray[np.floating], samples: Samples, statistic: Statistic = "mean") -> Array:
    """The statistic of returns [seeds, users] on each of the samples, float64 [resamples]."""
    table = _table(values)
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
    """The mean of returns [seeds, users] over the users of each sample and all seeds, float64 [resamples]."""
    return np.asarray(samples.users @ table.mean(0) / table.shape[1])


def without_each_seed(table: Array) -> list[Array]:
    """The tables that leave one seed out, [S - 1, ...] each; there are none for one seed."""
    return [np.delete(table, seed, axis=0) for seed in range(len(table))] if len(table) > 1 else []


def other_seeds(draws: Array, left_out: Array, samples: Samples) -> Array:
    """Draws [resamples] over users, moved by the spread over training seeds.

    left_out: the statistic without each seed, [S]; NaN where it cannot be computed.
    """
    known = left_out[~np.isnan(left_out)]
    if len(known) < 2:
        return draws
    error = np.sqrt((len(known) - 1) * known.var())
    return np.asarray(draws + error * samples.seeds)


def _table(values: NDArray[np.floating]) -> Array:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ConfigError(f"returns must be a non-empty table of seeds by users, not of shape {table.shape}")
    return table


def bootstrap_ratio(
    numerator: NDArray[np.floating],
    denominator: NDArray[np.floating],
    *,
    generator: np.random.Generator,
    resamples: int = 2000,
) -> Array:
    """sum(numerator) / sum(denominator) on bootstrap samples of users, float64 [resamples]; NaN where a sample has 0.

    Both [users], the sums of a user's events, so that all events of a drawn user come together; or [users, ratios],
    for [resamples, ratios]. Ratios drawn together, or from generators of one seed, are paired: they are of the same
    users.
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
    """Percentile interval of bootstrap draws; those that could not be computed (NaN) are left out.

    Raises DataError when none is left.
    """
    known = draws[~np.isnan(draws)]
    if not len(known):
        raise DataError("no bootstrap sample gives a value: too few users have any event that counts")
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """A minus B, paired over users and seeds.

    difference: mean difference of returns; low, high: its 95% bootstrap interval; users_better: share of users with a
    larger mean return under A, ties counted half; p_value: two-sided, from the bootstrap share beyond 0.
    """

    difference: float
    low: float
    high: float
    users_better: float
    p_value: float


def compare(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    *,
    generator: np.random.Generator | None = None,
    resamples: int = 2000,
) -> Comparison:
    """Paired comparison of returns a and b, each [seeds, users]; the same users, seed by seed.

    A side with one seed (a fixed list) is compared with every seed of the other. generator: of the samples; None = the
    samples that all comparisons share.
    Raises ConfigError where users or seeds do not match.
    """
    if a.shape[1] != b.shape[1] or (a.shape[0] != b.shape[0] and 1 not in (a.shape[0], b.shape[0])):
        raise ConfigError(f"a paired comparison needs the same seeds and users on both sides, not {a.shape}, {b.shape}")
    difference = a.astype(np.float64) - b.astype(np.float64)
    shape = difference.shape
    samples = (
        shared_samples(shape, resamples) if generator is None else draw_samples(shape, generator, resamples=resamples)
    )
    draws = resampled(difference, samples)
    low, high = interval(draws)
    by_user = difference.mean(0)
    beyond = min((draws <= 0).mean(), (draws >= 0).mean())
    return Comparison(
        difference=float(difference.mean()),
        low=low,
        high=high,
        users_better=float((by_user > 0).mean() + (by_user == 0).mean() / 2),
        p_value=float(min(1.0, max(2 * beyond, 1 / resamples))),
    )
