"""Statistics of returns over seeds and users: interquartile mean, bootstrap intervals, paired comparisons."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from darlr.errors import ConfigError

Array = NDArray[np.float64]
Statistic = Literal["mean", "iqm"]
BLOCK = 2**22  # weights held at once while bootstrapping the interquartile mean


def iqm(values: NDArray[np.floating]) -> float:
    """Interquartile mean: the mean of the middle half of all values (Agarwal et al. 2021, rliable).

    A value that straddles a quartile counts with the part inside; for 4n values this is scipy's trim_mean(0.25).
    """
    flat = np.sort(np.asarray(values, dtype=np.float64), axis=None)
    return float(_weighted_iqm(flat, np.ones((1, flat.size)))[0])


def _weighted_iqm(ordered: Array, weights: Array) -> Array:
    """Interquartile means [R] of sorted values [n] under weights [R, n]."""
    upper = weights.cumsum(1) / weights.sum(1, keepdims=True)
    lower = np.concatenate([np.zeros((len(upper), 1)), upper[:, :-1]], axis=1)
    inside = upper.clip(0.25, 0.75) - lower.clip(0.25, 0.75)
    return np.asarray(inside @ ordered / inside.sum(1))


def bootstrap(
    values: NDArray[np.floating],
    statistic: Statistic = "mean",
    *,
    generator: np.random.Generator,
    strata: NDArray[np.integer] | None = None,
    resamples: int = 2000,
) -> Array:
    """The statistic on `resamples` bootstrap samples of returns [seeds, users], float64 [resamples].

    Seeds and users are crossed (the same users play every seed), so both are drawn with replacement and a drawn user is
    drawn for all seeds: the spread covers other training seeds and other users alike. Users are drawn within their
    stratum. With one seed the spread is over users alone. strata: int [users], e.g. one a data set; None = one stratum.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ConfigError(f"returns must be a non-empty table of seeds by users, not of shape {table.shape}")
    n_seeds, n_users = table.shape
    seeds = generator.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=resamples).astype(np.float64)
    users = np.zeros((resamples, n_users))
    groups = np.zeros(n_users, dtype=np.int64) if strata is None else np.asarray(strata)
    for group in np.unique(groups):
        inside = np.flatnonzero(groups == group)
        users[:, inside] = generator.multinomial(inside.size, np.full(inside.size, 1 / inside.size), size=resamples)
    if statistic == "mean":
        return np.asarray(((seeds @ table) * users).sum(1) / table.size)
    order = np.argsort(table, axis=None, kind="stable")
    ordered, seed, user = table.ravel()[order], order // n_users, order % n_users
    size = max(1, BLOCK // table.size)
    parts = [
        _weighted_iqm(ordered, seeds[start : start + size, seed] * users[start : start + size, user])
        for start in range(0, resamples, size)
    ]
    return np.concatenate(parts)


def stratified_bootstrap(
    values: NDArray[np.floating],
    statistic: Statistic = "mean",
    *,
    generator: np.random.Generator,
    strata: NDArray[np.integer] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> tuple[float, float]:
    """Percentile interval of the statistic of returns [seeds, users]; see `bootstrap`."""
    draws = bootstrap(values, statistic, generator=generator, strata=strata, resamples=resamples)
    return _interval(draws, confidence)


def _interval(draws: Array, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
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
    a: NDArray[np.floating], b: NDArray[np.floating], *, generator: np.random.Generator, resamples: int = 2000
) -> Comparison:
    """Paired comparison of returns a and b, each [seeds, users]; the same users, seed by seed.

    A side with one seed (a fixed list) is compared with every seed of the other.
    Raises ConfigError where users or seeds do not match.
    """
    if a.shape[1] != b.shape[1] or (a.shape[0] != b.shape[0] and 1 not in (a.shape[0], b.shape[0])):
        raise ConfigError(f"a paired comparison needs the same seeds and users on both sides, not {a.shape}, {b.shape}")
    difference = a.astype(np.float64) - b.astype(np.float64)
    draws = bootstrap(difference, generator=generator, resamples=resamples)
    low, high = _interval(draws, 0.95)
    by_user = difference.mean(0)
    beyond = min((draws <= 0).mean(), (draws >= 0).mean())
    return Comparison(
        difference=float(difference.mean()),
        low=low,
        high=high,
        users_better=float((by_user > 0).mean() + (by_user == 0).mean() / 2),
        p_value=float(min(1.0, max(2 * beyond, 1 / resamples))),
    )
