"""A synthetic world. Its true rewards are known, and its log is missing not at random (docs/data.md).

Exposure follows popularity and the preferences of the user. Logged rewards are noisy and suffer from boredom. With
options, users also tire and leave, so that the log consists of sessions (`darlr.data.sets.visits`). There is
no Python loop over users or items: users are drawn in chunks of about `CHUNK` cells or candidates, and no table of all
users and items is ever made.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import FeatureColumn, FloatArray, IntArray, InteractionLog, Mask
from darlr.data.report import PrepareReport
from darlr.data.sets.exposure import DRAWS, exact, exposure_of, logits, pair_logits, sampled
from darlr.data.sets.visits import gaps, visits
from darlr.io.memory import require_free
from darlr.options import SyntheticConfig

Floats = NDArray[np.floating]
CHUNK = 4_000_000
RANGE = (1.0, 5.0)
EVENT_BYTES, FACTOR_BYTES = 80, 12  # memory at the peak, by measurement: of an event, of a factor of a user or item
MOST_KNOWN, SAMPLE_KNOWN = 2**30, 2**28  # the most true rewards that evaluation knows of all users; of a sample of them
MEMORY = 2  # a category bores for this many events after it was shown

# Logits and log weights. They are chosen so that the trivial lists lie well apart (docs/data.md has the numbers).
MID = -2.2  # logit of an ordinary item
HIT = 1.5  # logit that the best item of a category gains
FALL = 0.1  # gain of an item of the category relative to that of the next better one
CROWD = 0.7  # logit that a category loses for each e-fold of items above the median category
QUALITY = 0.3  # standard deviation of quality between items
PREFERENCE = 3.0  # standard deviation of the latent preferences
BLAND = 0.5  # weight of latent preferences for an item that is not the best of its category, whose weight is 1
CATEGORY_PREFERENCE = 0.4  # standard deviation of the preference of a user for a category
TWO = 0.3  # share of two-category items among those that are not the best of their category
FAME = 0.6  # standard deviation of log popularity
LEAD = 3.0  # log popularity that the most famous item of a category gains
FAME_OF_QUALITY = 0.1  # log popularity that a unit of quality adds


@dataclass(frozen=True)
class SyntheticWorld:
    """A log and the truth it was drawn from.

    user_factors: float32 [U, d]. item_factors: float32 [I, d]. The true expected reward of a user who is not bored is
    1 + 4 * sigmoid(user_factors @ item_factors.T). categories: int64 [I, 2], padded with -1. popularity: float32 [I],
    the log weight of the exposure of each item.
    """

    log: InteractionLog
    user_factors: FloatArray
    item_factors: FloatArray
    categories: IntArray
    popularity: FloatArray

    def true_reward(self, users: IntArray | None = None, items: IntArray | None = None) -> FloatArray:
        """Expected rewards of these users x items, by default of all, float32 [users, items]."""
        rows = self.user_factors if users is None else self.user_factors[users]
        return rewards(rows, self.item_factors if items is None else self.item_factors[items])

    def true_pairs(self, user: IntArray, item: IntArray) -> FloatArray:
        """Expected rewards of pairs, float32 [n]: the same bits as those cells of `true_reward`."""
        return pair_rewards(self.user_factors, self.item_factors, user, item)

    @property
    def reward(self) -> FloatArray:
        """Expected rewards of all users, float32 [U, I], computed at each call."""
        return self.true_reward()


def read(folder: Path, options: SyntheticConfig | None = None) -> tuple[InteractionLog, PrepareReport]:
    """The log of the world that the options describe. No file of the folder is read."""
    log = generate(options or SyntheticConfig()).log
    return log, PrepareReport("synthetic", rows_read=len(log), rows_kept=len(log))


def generate(config: SyntheticConfig) -> SyntheticWorld:
    """The world of `config`. The same seed and options give the same world.

    Raises MachineError, before any work, where the world takes more memory than is free.
    """
    events = config.users * min(config.events_per_user, config.items)
    require_free(
        EVENT_BYTES * events + FACTOR_BYTES * (config.users + config.items) * (1 + config.latent + config.categories),
        f"a synthetic world of {config.users:,} users and {config.items:,} items with {events:,} events",
        "make a smaller one (options users, items, events-per-user)",
    )
    exposure, noise, marks = (np.random.default_rng([config.seed, k]) for k in range(2, 5))
    user_factors, item_factors, categories, popularity = _factors(config)
    expose = exact if exposure_of(config) == "exact" else sampled
    size = max(1, CHUNK // (config.items if expose is exact else DRAWS * config.events_per_user))
    chunks = (user_factors[start : start + size] for start in range(0, config.users, size))
    parts = [expose(config, chunk, item_factors, popularity, exposure) for chunk in chunks]
    counts, item, logit = (np.concatenate(part) for part in zip(*parts, strict=True))
    user = np.repeat(np.arange(config.users), counts)
    bored = _bored(user, item, categories)
    reward = _squash(logit) + config.noise * noise.standard_normal(len(item)) - config.boredom * bored
    begins = None
    if config.visits:
        luck = np.random.default_rng([config.seed, 6]).random((len(item), 2))
        reward, begins = visits(config, counts, item, reward, categories, luck)
    log = InteractionLog(
        name="synthetic",
        user=user,
        item=item,
        reward=reward.clip(*RANGE).astype(np.float32),
        user_ids=tuple(range(config.users)),
        item_ids=tuple(range(config.items)),
        timestamp=_times(user, counts, marks, begins),
        user_features=_user_features(user_factors[:, 1 : 1 + config.latent], marks),
        item_features=_item_features(config, categories, popularity, marks),
        category="category",
        reward_range=RANGE,
        exit="category",
    )
    return SyntheticWorld(log, user_factors, item_factors, categories, popularity)


def known_factors(config: SyntheticConfig) -> tuple[IntArray, FloatArray, FloatArray]:
    """The users whose true rewards evaluation knows, int64 [Ue], rising, their factors, and those of all items.

    All users, or as many as `config.truth_users` says, drawn at random with the seed of the world; no log is drawn.
    """
    count = config.truth_users or config.users
    if not config.truth_users and config.users * config.items > MOST_KNOWN:
        count = SAMPLE_KNOWN // config.items
    count = min(max(2, count), config.users)
    users = np.arange(config.users)
    if count < config.users:
        users = np.sort(np.random.default_rng([config.seed, 5]).choice(config.users, count, replace=False))
    user_factors, item_factors, _, _ = _factors(config)
    return users, user_factors[users], item_factors


def world_categories(config: SyntheticConfig) -> IntArray:
    """The categories of a `SyntheticWorld`, int64 [I, 2]; no log is drawn."""
    return _catalogue(config, np.random.default_rng([config.seed, 1]))[0]


def _factors(config: SyntheticConfig) -> tuple[FloatArray, FloatArray, IntArray, FloatArray]:
    """The factors of users and of items, the categories and the popularity of a `SyntheticWorld`."""
    users, items = (np.random.default_rng([config.seed, k]) for k in range(2))
    categories, quality, best = _catalogue(config, items)
    item_factors = _item_factors(config, categories, quality, best, items)
    return _user_factors(config, users), item_factors, categories, _fame(quality, categories, items)


def pair_rewards(user_factors: FloatArray, item_factors: FloatArray, user: IntArray, item: IntArray) -> FloatArray:
    """The expected rewards of pairs, float32 [n]: the same bits as those cells of `rewards`."""
    return _squash(pair_logits(user_factors, item_factors, user, item))


def rewards(user_factors: FloatArray, item_factors: FloatArray) -> FloatArray:
    """The expected rewards of all these users and items, float32 [users, items]."""
    table = np.empty((len(user_factors), len(item_factors)), dtype=np.float32)
    size = max(1, CHUNK // max(1, len(item_factors)))
    for start in range(0, len(table), size):
        table[start : start + size] = _squash(logits(user_factors[start : start + size], item_factors))
    return table


def _squash(logit: Floats) -> FloatArray:
    low, high = RANGE
    return np.asarray(low + (high - low) / (1 + np.exp(-logit)), dtype=np.float32)


def _catalogue(config: SyntheticConfig, rng: np.random.Generator) -> tuple[IntArray, Floats, Mask]:
    """Categories int64 [I, 2] padded with -1, quality [I], and which items are the best of their category, bool [I].

    Sizes of categories are skewed (weight of rank r: 1 / r). Crowded categories are worse. The best item of each stands
    out and has no second category.
    """
    weight = 1 / np.arange(1, config.categories + 1)
    main, second = rng.choice(config.categories, size=(2, config.items), p=weight / weight.sum())
    own = rng.standard_normal(config.items)
    rank = _rank(own, main)
    best = rank == 0
    second[(second == main) | best | (rng.random(config.items) > TWO)] = -1
    size = np.bincount(main)
    crowd = np.log(np.maximum(size, 1) / np.median(size[size > 0]))
    quality = QUALITY * own + HIT * FALL**rank - CROWD * np.maximum(crowd, 0)[main]
    return np.stack([main, second], axis=1), quality, best


def _fame(quality: Floats, categories: IntArray, rng: np.random.Generator) -> FloatArray:
    """Log popularity, float32 [I]. Attention goes to one item of a category, not always to the best one."""
    own = rng.standard_normal(len(quality)) + FAME_OF_QUALITY * (quality - quality.mean())
    return np.asarray(FAME * own + LEAD * FALL ** _rank(own, categories[:, 0]), dtype=np.float32)


def _rank(value: Floats, group: IntArray) -> IntArray:
    """Place of each value within its group, 0 for the largest; int64 [n]."""
    order = np.lexsort((-value, group))
    size = np.bincount(group)
    rank = np.empty(len(value), dtype=np.int64)
    rank[order] = np.arange(len(value)) - (np.cumsum(size) - size)[group[order]]
    return rank


def _item_factors(
    config: SyntheticConfig, categories: IntArray, quality: Floats, best: Mask, rng: np.random.Generator
) -> FloatArray:
    """float32 [I, d]. Columns: quality, latent factors, categories (those of an item share weight 1)."""
    latent = rng.standard_normal((config.items, config.latent)) / np.sqrt(config.latent)
    latent *= np.where(best, 1.0, BLAND)[:, None]
    member = np.zeros((config.items, config.categories + 1))
    np.put_along_axis(member, categories, 1.0, axis=1)  # -1 lands in the last column
    member = member[:, :-1] / (categories >= 0).sum(1, keepdims=True)
    return np.concatenate([(MID + quality)[:, None], latent, member], axis=1, dtype=np.float32)


def _user_factors(config: SyntheticConfig, rng: np.random.Generator) -> FloatArray:
    """float32 [U, d], columns as in `_item_factors`."""
    latent = PREFERENCE * rng.standard_normal((config.users, config.latent))
    member = CATEGORY_PREFERENCE * rng.standard_normal((config.users, config.categories))
    return np.concatenate([np.ones((config.users, 1)), latent, member], axis=1, dtype=np.float32)


def _bored(user: IntArray, item: IntArray, categories: IntArray) -> Mask:
    """Which events share a category with one of the previous MEMORY events of the user, bool [L]."""
    bored = np.zeros(len(item), dtype=bool)
    for start in range(0, len(item), CHUNK):
        stop = min(start + CHUNK, len(item))
        for lag in range(1, MEMORY + 1):
            first = max(start, lag)
            now, before = categories[item[first:stop]], categories[item[first - lag : stop - lag]]
            shared = ((now[:, :, None] == before[:, None, :]) & (now >= 0)[:, :, None]).any((1, 2))
            bored[first:stop] |= shared & (user[first:stop] == user[first - lag : stop - lag])
    return bored


def _times(user: IntArray, counts: IntArray, rng: np.random.Generator, begins: Mask | None) -> IntArray:
    """Times in seconds, int64 [L], ascending within a user. begins: which events begin a session, if there are any."""
    drawn = rng.exponential(3600.0, len(user))
    if begins is not None:  # the log of all users ends at one time
        total = np.cumsum(gaps(drawn / 3600, begins))
        return np.asarray(total - total[np.cumsum(counts) - 1][user] + int(total.max()))
    total = np.cumsum(1 + drawn.astype(np.int64))
    first = total[np.cumsum(counts) - counts]
    return np.asarray(total - first[user] + rng.integers(0, 86_400 * 30, len(counts))[user])


def _user_features(preferences: FloatArray, rng: np.random.Generator) -> tuple[FeatureColumn, ...]:
    """A segment (noisy signs of the first three latent preferences) and an age that is independent of the rewards."""
    first = preferences[:, :3]
    signs = first + 0.5 * PREFERENCE * rng.standard_normal(first.shape) > 0
    segment = signs @ (1 << np.arange(signs.shape[1]))
    names = tuple(f"segment {code}" for code in range(1 << signs.shape[1]))
    age = rng.integers(18, 80, len(preferences)).astype(np.float32)
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
