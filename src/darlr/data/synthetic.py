"""A synthetic world: its true rewards are known, its log is missing not at random (docs/data.md).

Who sees what follows popularity and the user's own taste; what is logged is noisy and suffers from boredom.
No Python loop over users or items: users go in chunks of about `CHUNK` cells.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darlr.config import SyntheticConfig
from darlr.data.log import FeatureColumn, FloatArray, InteractionLog, IntArray, SessionDefaults

CHUNK = 4_000_000
RANGE = (1.0, 5.0)
MEMORY = 2  # events for which a category that was shown bores

MID = -1.6  # logit of the mean item
HIT = 2.0  # what the best item of a category gains; the second gains half of it, and so on
CROWD = 0.7  # what a category loses for each e-fold of items above the median category
QUALITY = 0.3
TASTE = 1.5
CATEGORY_TASTE = 0.6
FAME = 1.2  # spread of log popularity
FAME_OF_QUALITY = 0.35  # what a unit of quality adds to log popularity
SELF_SELECTION = 0.5


@dataclass(frozen=True)
class SyntheticWorld:
    """A log and the truth it was drawn from.

    user_factors: float32 [U, d]; item_factors: float32 [I, d]; the true expected reward of a user who is
    not bored is 1 + 4 * sigmoid(user_factors @ item_factors.T). categories: int64 [I, 2], padded with -1.
    popularity: float32 [I], log weight of an item's exposure.
    """

    log: InteractionLog
    user_factors: FloatArray
    item_factors: FloatArray
    categories: IntArray
    popularity: FloatArray

    def true_reward(self, users: IntArray | None = None) -> FloatArray:
        """Expected rewards, float32 [users, I]; all users by default (4 bytes a cell)."""
        rows = self.user_factors if users is None else self.user_factors[users]
        return _squash(rows @ self.item_factors.T)

    @property
    def reward(self) -> FloatArray:
        """Expected rewards of all users, float32 [U, I], computed anew at each call."""
        return self.true_reward()


def generate(config: SyntheticConfig) -> SyntheticWorld:
    """The world of `config`: the same seed and sizes give the same world."""
    taste, items, exposure, noise, marks = (np.random.default_rng([config.seed, k]) for k in range(5))
    categories = _categories(config, items)
    quality = _quality(config, categories, items)
    item_factors, user_factors = _factors(config, categories, quality, items, taste)
    popularity = (FAME * items.standard_normal(config.items) + FAME_OF_QUALITY * (quality - quality.mean())).astype(
        np.float32
    )
    parts = [_expose(config, user_factors[rows] @ item_factors.T, popularity, exposure) for rows in _chunks(config)]
    counts = np.concatenate([part[0] for part in parts])
    item = np.concatenate([part[1] for part in parts])
    user = np.repeat(np.arange(config.users), counts)
    logit = np.concatenate([part[2] for part in parts])
    bored = _bored(user, item, categories)
    reward = _squash(logit) + config.noise * noise.standard_normal(len(item)) - config.boredom * bored
    log = InteractionLog(
        name="synthetic",
        user=user,
        item=item,
        reward=reward.clip(*RANGE).astype(np.float32),
        user_ids=tuple(range(config.users)),
        item_ids=tuple(range(config.items)),
        timestamp=_times(user, counts, marks),
        user_features=_user_features(user_factors[:, 1 : 1 + config.latent], marks),
        item_features=_item_features(config, categories, popularity, marks),
        category="category",
        reward_range=RANGE,
        session=SessionDefaults(exit="category", window=1, threshold=0.0, turns=30),
    )
    return SyntheticWorld(log, user_factors, item_factors, categories, popularity)


def _squash(logit: NDArray[np.floating]) -> FloatArray:
    low, high = RANGE
    return (low + (high - low) / (1 + np.exp(-logit))).astype(np.float32)


def _chunks(config: SyntheticConfig) -> Iterator[slice]:
    rows = max(1, CHUNK // config.items)
    return (slice(start, min(start + rows, config.users)) for start in range(0, config.users, rows))


def _categories(config: SyntheticConfig, rng: np.random.Generator) -> IntArray:
    """One or two categories an item, int64 [I, 2]; sizes are skewed (weight of rank r: 1 / r)."""
    weight = 1 / np.arange(1, config.categories + 1)
    first, second = rng.choice(config.categories, size=(2, config.items), p=weight / weight.sum())
    second[(second == first) | (rng.random(config.items) > 0.3)] = -1
    return np.stack([first, second], axis=1)


def _quality(config: SyntheticConfig, categories: IntArray, rng: np.random.Generator) -> FloatArray:
    """float64 [I]: each category has a hit or two, and crowded categories are worse."""
    own = rng.standard_normal(config.items)
    main = categories[:, 0]
    order = np.lexsort((-own, main))
    size = np.bincount(main, minlength=config.categories)
    rank = np.empty(config.items)
    rank[order] = np.arange(config.items) - (np.cumsum(size) - size)[main[order]]
    crowd = np.log(np.maximum(size, 1) / np.median(size[size > 0]))
    return QUALITY * own + HIT / (1 + rank) - CROWD * np.maximum(crowd, 0)[main]


def _factors(
    config: SyntheticConfig,
    categories: IntArray,
    quality: FloatArray,
    items: np.random.Generator,
    taste: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Columns: quality; latent taste; taste for categories (mean over the item's categories)."""
    latent = items.standard_normal((config.items, config.latent)) / np.sqrt(max(config.latent, 1))
    member = np.zeros((config.items, config.categories + 1))
    np.put_along_axis(member, categories, 1.0, axis=1)
    member = member[:, :-1] / (categories >= 0).sum(1, keepdims=True)
    item_factors = np.concatenate([(MID + quality)[:, None], latent, member], axis=1)
    user_factors = np.concatenate(
        [
            np.ones((config.users, 1)),
            TASTE * taste.standard_normal((config.users, config.latent)),
            CATEGORY_TASTE * taste.standard_normal((config.users, config.categories)),
        ],
        axis=1,
    )
    return item_factors.astype(np.float32), user_factors.astype(np.float32)


def _expose(
    config: SyntheticConfig, logit: FloatArray, popularity: FloatArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray, FloatArray]:
    """Events of a chunk of users: counts [b], and items and their logits [sum of counts] in order of exposure.

    Items are drawn without replacement with weight exp(bias * popularity + self-selection * logit)
    (Gumbel top-k).
    """
    users, n = logit.shape
    mean = min(config.events_per_user, n)
    counts = np.minimum(1 + rng.poisson(mean - 1, users), n)
    key = rng.gumbel(size=(users, n)).astype(np.float32)
    key += config.popularity_bias * (popularity + SELF_SELECTION * logit)
    most = int(counts.max())
    top = np.argpartition(-key, most - 1, axis=1)[:, :most]
    top = np.take_along_axis(top, np.argsort(-np.take_along_axis(key, top, 1), axis=1), 1)[:, :most]
    shown = np.arange(most) < counts[:, None]
    return counts, top[shown], np.take_along_axis(logit, top, 1)[shown]


def _bored(user: IntArray, item: IntArray, categories: IntArray) -> NDArray[np.bool_]:
    """bool [L]: shares a category with one of the user's previous MEMORY events."""
    bored = np.zeros(len(item), dtype=bool)
    for lag in range(1, MEMORY + 1):
        now, before = categories[item[lag:]], categories[item[:-lag]]
        shared = ((now[:, :, None] == before[:, None, :]) & (now >= 0)[:, :, None]).any((1, 2))
        bored[lag:] |= shared & (user[lag:] == user[:-lag])
    return bored


def _times(user: IntArray, counts: IntArray, rng: np.random.Generator) -> IntArray:
    """int64 [L] seconds, growing within a user."""
    gaps = 1 + rng.exponential(3600.0, len(user)).astype(np.int64)
    total = np.cumsum(gaps)
    first = total[np.cumsum(counts) - counts]
    return total - first[user] + rng.integers(0, 86_400 * 30, len(counts))[user]


def _user_features(taste: FloatArray, rng: np.random.Generator) -> tuple[FeatureColumn, ...]:
    """A segment (noisy signs of the first three tastes) and an age that says nothing."""
    first = taste[:, :3]
    signs = first + 0.5 * TASTE * rng.standard_normal(first.shape) > 0
    segment = signs @ (1 << np.arange(signs.shape[1]))
    names = tuple(f"segment {code}" for code in range(1 << signs.shape[1]))
    age = rng.integers(18, 80, len(taste)).astype(np.float32)
    return (
        FeatureColumn("segment", "categorical", segment.astype(np.int64), names),
        FeatureColumn("age", "numeric", age),
    )


def _item_features(
    config: SyntheticConfig, categories: IntArray, popularity: FloatArray, rng: np.random.Generator
) -> tuple[FeatureColumn, ...]:
    """The categories, and an age that grows with popularity."""
    days = np.exp(0.5 * popularity + 0.5 * rng.standard_normal(config.items)) * 30
    names = tuple(f"category {code}" for code in range(config.categories))
    return (
        FeatureColumn("category", "multi", categories, names),
        FeatureColumn("days", "numeric", days.astype(np.float32)),
    )
