"""A profile of a log: sizes, rewards, popularity, repeats, times, and leaks, which give the reward away."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import FeatureColumn, IntArray, InteractionLog
from darlr.data.scope import scope_of

BINS = 10  # of a histogram
LEAK = 0.999  # share of the rewards' variance, or absolute correlation, from which on something gives the reward away
LEAST_GROUPS, LEAST_EVENTS = 5, 20  # below these, agreement is chance
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Least value, quartiles, greatest value and mean."""

    least: float
    quarter: float
    median: float
    three_quarters: float
    most: float
    mean: float


@dataclass(frozen=True)
class Histogram:
    """The number of rewards in each bin. There is one edge more than counts; the last bin includes its right edge."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Leak:
    """A feature, user or item that predicts the reward, or ids that follow an order. strength: the explained share of
    the variance, or an absolute correlation. groups: the number of distinct values, or of events, behind it.
    """

    kind: Literal["item", "user", "feature", "time", "id order"]
    name: str
    strength: float
    groups: int


@dataclass(frozen=True)
class Profile:
    """All numbers of a log.

    users, items: with or without events; active ones have events. cells: the pairs of a user and an item in the tables
    of a world model. density: the share of the cells of active users and items that are logged. repeats: events after
    the first of their cell. conflicts: cells whose events differ in reward. levels: distinct rewards. tail: the largest
    absolute reward divided by the 99th percentile of absolute rewards. single_users, single_items: those with one
    event. gini: 0 where all have equally many events, near 1 where one has them all. head: the share of the events on
    the 1% most logged items (at least one). times: the first and the last, as logged. backwards: events earlier than
    the row before. leaks: strongest first.
    """

    name: str
    events: int
    users: int
    items: int
    active_users: int
    active_items: int
    cells: int
    density: float
    repeats: int
    conflicts: int
    reward: Spread
    levels: int
    tail: float
    histogram: Histogram
    events_per_user: Spread
    events_per_item: Spread
    single_users: int
    single_items: int
    gini_users: float
    gini_items: float
    head: float
    times: tuple[int, int] | None
    backwards: int
    least_propensity: float | None
    category: str | None
    whole: bool
    leaks: tuple[Leak, ...]


def profile(log: InteractionLog) -> Profile:
    """The profile of a log with at least one event."""
    reward = log.reward.astype(np.float64)
    per_user, per_item = (np.bincount(codes) for codes in (log.user, log.item))
    per_user, per_item = per_user[per_user > 0], per_item[per_item > 0]
    cells = pl.DataFrame({"user": log.user, "item": log.item, "reward": reward}).group_by("user", "item")
    differ = cells.agg(differ=pl.col("reward").min() < pl.col("reward").max())["differ"]
    scope, usual = scope_of(log), float(np.quantile(np.abs(reward), 0.99))
    head = np.sort(per_item)[::-1][: max(1, len(per_item) // 100)]
    return Profile(
        name=log.name,
        events=len(log),
        users=log.n_users,
        items=log.n_items,
        active_users=len(per_user),
        active_items=len(per_item),
        cells=len(scope.users) * len(scope.items),
        density=len(differ) / (len(per_user) * len(per_item)),
        repeats=len(log) - len(differ),
        conflicts=int(differ.sum()),
        reward=_spread(reward),
        levels=len(np.unique(log.reward)),
        tail=float(np.abs(reward).max() / usual) if usual > 0 else 1.0,
        histogram=_histogram(reward),
        events_per_user=_spread(per_user),
        events_per_item=_spread(per_item),
        single_users=int((per_user == 1).sum()),
        single_items=int((per_item == 1).sum()),
        gini_users=gini(per_user),
        gini_items=gini(per_item),
        head=float(head.sum() / len(log)),
        times=None if log.timestamp is None else (int(log.timestamp.min()), int(log.timestamp.max())),
        backwards=0 if log.timestamp is None else int((np.diff(log.timestamp) < 0).sum()),
        least_propensity=None if log.propensity is None else float(log.propensity.min()),
        category=log.category,
        whole=scope.whole,
        leaks=tuple(sorted(_leaks(log, reward), key=lambda leak: -leak.strength)),
    )


def gini(counts: IntArray) -> float:
    """Gini coefficient of non-negative counts, from 0 to 1 - 1/n."""
    ordered = np.sort(counts).astype(np.float64)
    n, total = len(ordered), ordered.sum()
    return float((2 * (np.arange(1, n + 1) @ ordered) / (n * total)) - (n + 1) / n)


def _spread(values: NDArray[np.generic]) -> Spread:
    numbers = values.astype(np.float64)
    return Spread(*map(float, (*np.quantile(numbers, [0, 0.25, 0.5, 0.75, 1]), numbers.mean())))


def _histogram(reward: Numbers) -> Histogram:
    """A bin for each value where there are at most BINS, otherwise bins of equal width."""
    values, counts = np.unique(reward, return_counts=True)
    if len(values) > BINS:
        counts, edges = np.histogram(reward, bins=BINS)
    else:
        edges = np.append(values, values[-1])
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def _leaks(log: InteractionLog, reward: Numbers) -> list[Leak]:
    """Everything that predicts the reward (almost) perfectly, and ids that follow time or popularity."""
    found = []
    if reward.min() < reward.max():
        found += [_grouped("item", "item", log.item, reward), _grouped("user", "user", log.user, reward)]
        for codes, features in ((log.item, log.item_features), (log.user, log.user_features)):
            found += [_feature(column, codes, reward) for column in features]
        if log.timestamp is not None:
            found.append(Leak("time", "time", _correlation(log.timestamp.astype(np.float64), reward), len(log)))
    sides = (("user", log.user, log.user_ids), ("item", log.item, log.item_ids))
    found += [_ordered(name, codes, log) for name, codes, ids in sides if isinstance(ids[0], int)]
    return [leak for leak in found if leak.strength > LEAK and leak.groups >= LEAST_GROUPS]


def _feature(column: FeatureColumn, codes: IntArray, reward: Numbers) -> Leak:
    """How well a feature of the events' users or items predicts their reward."""
    values = np.asarray(column.values)[codes]
    if column.kind == "numeric":
        known = ~np.isnan(values.astype(np.float64))
        values, reward = values[known].astype(np.float64), reward[known]
        straight = _correlation(values, reward)
        leak = _grouped("feature", column.name, np.unique(values, return_inverse=True)[1], reward)
        return leak if leak.strength > straight else Leak("feature", column.name, straight, leak.groups)
    if column.kind == "multi":
        _, group = np.unique(np.sort(values, axis=1), axis=0, return_inverse=True)
        return _grouped("feature", column.name, group.reshape(-1), reward)
    known = values >= 0
    return _grouped("feature", column.name, values[known], reward[known])


def _grouped(kind: Literal["item", "user", "feature"], name: str, group: IntArray, reward: Numbers) -> Leak:
    """The share of the rewards' variance between groups, in groups of at least two events."""
    counts = np.bincount(group)
    many = counts[group] > 1
    group, reward = group[many], reward[many]
    groups = int((counts > 1).sum())
    if len(reward) < LEAST_EVENTS or reward.min() == reward.max():
        return Leak(kind, name, 0.0, groups)
    centred = reward - reward.mean()
    means = np.bincount(group, centred, len(counts)) / np.maximum(counts, 1)
    return Leak(kind, name, float(1 - np.square(centred - means[group]).sum() / np.square(centred).sum()), groups)


def _ordered(name: str, codes: IntArray, log: InteractionLog) -> Leak:
    """How well whole-number ids follow the time of their first event, or their number of events."""
    by_id = pl.DataFrame({"code": codes, "time": log.timestamp}).group_by("code").agg(pl.len(), pl.col("time").min())
    by_id = by_id.sort("code")
    orders = [by_id["len"]] if log.timestamp is None else [by_id["len"], by_id["time"]]
    place = np.arange(len(by_id), dtype=np.float64)
    return Leak("id order", name, max(_correlation(place, order.rank().to_numpy()) for order in orders), len(by_id))


def _correlation(first: Numbers, second: Numbers) -> float:
    """Absolute Pearson correlation; 0 where one side does not vary, or below LEAST_EVENTS values."""
    if len(first) < LEAST_EVENTS or first.min() == first.max() or second.min() == second.max():
        return 0.0
    return float(abs(np.corrcoef(first, second)[0, 1]))
