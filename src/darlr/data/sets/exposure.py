"""Which items the users of the synthetic world meet: drawn among all items, or among candidates (docs/data.md)."""

from typing import Literal

import numpy as np

from darlr.data.log import FloatArray, IntArray
from darlr.options import SyntheticConfig

CACHED = 1 << 15  # cells that are summed at once, so that they fit the cache of a core
SELF_SELECTION = 0.25  # log weight of exposure for each logit of the expected reward of the user
MOST_EXACT = 20_000  # items up to which `auto` is `exact`
DRAWS = 8  # candidates that are drawn for each event


def exposure_of(config: SyntheticConfig) -> Literal["exact", "sampled"]:
    """The exposure that `auto` stands for: `exact` up to MOST_EXACT items."""
    if config.exposure == "auto":
        return "exact" if config.items <= MOST_EXACT else "sampled"
    return config.exposure


def logits(user_factors: FloatArray, item_factors: FloatArray) -> FloatArray:
    """user_factors @ item_factors.T, float32 [users, I], summed factor by factor. The rounding of a matrix product
    depends on the number of threads, and so would the log.
    """
    table = np.zeros((len(user_factors), len(item_factors)), dtype=np.float32)
    size, columns = max(1, CACHED // max(1, len(item_factors))), np.ascontiguousarray(item_factors.T)
    for start in range(0, len(table), size):
        part = table[start : start + size]
        for of_users, of_items in zip(user_factors[start : start + size].T, columns, strict=True):
            part += of_users[:, None] * of_items
    return table


def pair_logits(user_factors: FloatArray, item_factors: FloatArray, user: IntArray, item: IntArray) -> FloatArray:
    """The cells (user, item) of `logits`, bit for bit, float32 [n]."""
    cells = np.zeros(len(user), dtype=np.float32)
    size = max(1, CACHED // user_factors.shape[1])
    for start in range(0, len(cells), size):
        part = cells[start : start + size]
        products = user_factors[user[start : start + size]] * item_factors[item[start : start + size]]
        for column in products.T:
            part += column
    return cells


def exact(
    config: SyntheticConfig,
    user_factors: FloatArray,
    item_factors: FloatArray,
    popularity: FloatArray,
    rng: np.random.Generator,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Events of a chunk of users [b, d]: counts [b], and items and their logits [sum of counts] in order of exposure.

    Items are drawn without replacement with weight exp(bias * (popularity + SELF_SELECTION * logit)) (Gumbel top-k).
    """
    logit = logits(user_factors, item_factors)
    users, n = logit.shape
    counts = _counts(config, users, rng)
    key = rng.gumbel(size=(users, n)).astype(np.float32)
    key += config.popularity_bias * (popularity + SELF_SELECTION * logit)
    most = int(counts.max())
    top = np.argpartition(-key, most - 1, axis=1)[:, :most]
    top = np.take_along_axis(top, np.argsort(-np.take_along_axis(key, top, 1), axis=1), 1)
    shown = np.arange(most) < counts[:, None]
    return counts, top[shown], np.take_along_axis(logit, top, 1)[shown]


def sampled(
    config: SyntheticConfig,
    user_factors: FloatArray,
    item_factors: FloatArray,
    popularity: FloatArray,
    rng: np.random.Generator,
) -> tuple[IntArray, IntArray, FloatArray]:
    """As `exact`, at a cost by event and not by cell: each user chooses among candidates.

    Candidates are DRAWS items for each event, drawn with replacement with weight exp(bias * popularity). Among them a
    user draws without replacement, with weight (times drawn) * exp(bias * SELF_SELECTION * logit), so that the
    weights are those of `exact` as DRAWS grows. A user with fewer candidates than events has that many events.
    """
    n = len(item_factors)
    counts = _counts(config, len(user_factors), rng)
    reached = np.cumsum(np.exp(config.popularity_bias * (popularity - popularity.max()).astype(np.float64)))
    owner = np.repeat(np.arange(len(counts)), DRAWS * np.maximum(counts, config.events_per_user))
    drawn = np.searchsorted(reached, reached[-1] * rng.random(len(owner)), side="right")
    cell = owner * n + np.minimum(drawn, n - 1)
    cell.sort()
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    times = np.diff(first, append=len(cell))
    user, item = np.divmod(cell[first], n)
    logit = pair_logits(user_factors, item_factors, user, item)
    key = np.log(times) + config.popularity_bias * SELF_SELECTION * logit + rng.gumbel(size=len(user))
    order = np.lexsort((-key, user))
    distinct = np.bincount(user, minlength=len(counts))
    rank = np.arange(len(user)) - (np.cumsum(distinct) - distinct)[user]
    shown = order[rank < counts[user]]  # `user` rises, and so is the same before and after the sort
    return np.minimum(counts, distinct), item[shown], logit[shown]


def _counts(config: SyntheticConfig, users: int, rng: np.random.Generator) -> IntArray:
    """The number of events of each user, int64 [users]."""
    mean = min(config.events_per_user, config.items)
    return np.minimum(1 + rng.poisson(mean - 1, users), config.items)
