"""The error of predicted rewards on logged events that the model never saw, with intervals over users.

Ratings are measured by RMSE, MAE, and the order of each user's own events. Where a log records positives alone, errors
mean nothing; the measure is the order of a user's unseen positives among all items that are new to the user.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import InteractionLog
from darlr.errors import DataError
from darlr.evaluation.statistics import bootstrap_ratio, interval
from darlr.world.implicit import distinct

Reals = NDArray[np.float64]
Sums = Mapping[str, tuple[Reals, Reals]]

K = 30  # items of NDCG@K among positives: as long as a session
CELLS = 2**22  # pairs of events, or cells of users x items, held at once


@dataclass(frozen=True)
class Interval:
    """A value with its 95% bootstrap interval over users."""

    value: float
    low: float
    high: float


def held_out_sums(
    table: NDArray[np.floating], unseen: InteractionLog, known: InteractionLog, least: float | None = None
) -> Sums:
    """The part of each user in each metric: name -> (numerator, denominator), both float64 [U].

    table: predicted rewards [U, I]. unseen: the events to predict; known: those that the model was fitted on, whose
    cells do not count. "RMSE" holds squared errors. "pairs": share of a user's pairs of
    differently rewarded events in the right order, equal predictions counted half; of positives, pairs of a positive
    and an item without event. "NDCG": over a user's unseen events with gain reward - least (no gain below it); of
    positives @30. least: by default the lower end of the log's range.
    pairs and NDCG are means over the users who have such a pair. Raises DataError when there is no unseen event.
    """
    if unseen.implicit and known.implicit:
        unseen = distinct(unseen, known)
        _require_events(unseen)
        return _positives(table, unseen, known)
    _require_events(unseen)
    error = table[unseen.user, unseen.item].astype(np.float64) - unseen.reward
    count = np.bincount(unseen.user, minlength=unseen.n_users).astype(np.float64)
    return {
        "RMSE": (_by_user(unseen, np.square(error)), count),
        "MAE": (_by_user(unseen, np.abs(error)), count),
        **_order(table, unseen, unseen.reward_range[0] if least is None else least),
    }


def summary(sums: Sums, *, seed: int = 0, resamples: int = 2000) -> dict[str, Interval]:
    """Each metric with its interval; metrics without any user that counts are left out."""
    return {
        name: Interval(_value(name, sums[name]), *interval(_draws(name, sums[name], seed, resamples)))
        for name in _measured(sums)
    }


def difference(sums: Sums, baseline: Sums, *, seed: int = 0, resamples: int = 2000) -> dict[str, Interval]:
    """Each metric minus that of the baseline on the same events, paired by user."""
    return {
        name: Interval(
            _value(name, sums[name]) - _value(name, baseline[name]),
            *interval(_draws(name, sums[name], seed, resamples) - _draws(name, baseline[name], seed, resamples)),
        )
        for name in _measured(sums)
    }


def _require_events(log: InteractionLog) -> None:
    if len(log) == 0:
        raise DataError(f"{log.name}: no event on the scope's items that the model did not see; nothing to measure")


def _by_user(log: InteractionLog, values: Reals) -> Reals:
    return np.asarray(np.bincount(log.user, values, log.n_users), dtype=np.float64)


def _measured(sums: Sums) -> list[str]:
    return [name for name, (_, count) in sums.items() if count.sum() > 0]


def _value(name: str, sums: tuple[Reals, Reals]) -> float:
    ratio = float(sums[0].sum() / sums[1].sum())
    return ratio**0.5 if name == "RMSE" else ratio


def _draws(name: str, sums: tuple[Reals, Reals], seed: int, resamples: int) -> Reals:
    ratio = bootstrap_ratio(*sums, generator=np.random.default_rng(seed), resamples=resamples)
    return np.sqrt(ratio) if name == "RMSE" else ratio


def _order(table: NDArray[np.floating], log: InteractionLog, least: float) -> Sums:
    """Pairs and NDCG of each user's own events."""
    order = np.argsort(log.user, kind="stable")
    user, item, reward = log.user[order], log.item[order], log.reward[order].astype(np.float64)
    score = table[user, item]
    size = np.bincount(user, minlength=log.n_users)
    start = np.cumsum(size) - size
    right, pairs = np.zeros(log.n_users), np.zeros(log.n_users)
    reach = np.cumsum(size[user])  # pairs up to and with this event
    bounds = np.searchsorted(reach, np.arange(0, reach[-1], CELLS), side="right")
    for low, high in zip(bounds, [*bounds[1:], len(user)], strict=True):
        of = np.repeat(np.arange(low, high), size[user[low:high]])
        ends = np.cumsum(size[user[low:high]])
        other = start[user[of]] + np.arange(len(of)) - np.repeat(ends - size[user[low:high]], size[user[low:high]])
        better = reward[of] > reward[other]
        of, other = of[better], other[better]
        found = (score[of] > score[other]) + 0.5 * (score[of] == score[other])
        right += np.bincount(user[of], found, log.n_users)
        pairs += np.bincount(user[of], minlength=log.n_users)
    some = pairs > 0
    tie = np.random.default_rng(0).random(len(user))  # equal scores are in random order
    gain = np.maximum(reward - least, 0.0)
    discount = 1 / np.log2(np.arange(len(user)) - start[user] + 2)
    ideal = np.bincount(user, gain[np.lexsort((-gain, user))] * discount, log.n_users)
    reached = np.bincount(user, gain[np.lexsort((tie, -score, user))] * discount, log.n_users)
    return {
        "pairs": (np.divide(right, pairs, out=np.zeros_like(right), where=some), some.astype(np.float64)),
        "NDCG": (np.divide(reached, ideal, out=np.zeros_like(right), where=some), some.astype(np.float64)),
    }


def _positives(table: NDArray[np.floating], unseen: InteractionLog, known: InteractionLog) -> Sums:
    """Pairs and NDCG@K of each user's unseen positives among all items but the known ones."""
    n_users, n_items = table.shape
    shuffle = np.random.default_rng(0).permutation(n_items)  # equal scores are in random order
    place = np.empty(n_items, dtype=np.int64)
    place[shuffle] = np.arange(n_items)
    discount = 1 / np.log2(np.arange(K) + 2)
    right, reached, counted = np.zeros(n_users), np.zeros(n_users), np.zeros(n_users)
    chunk = max(1, CELLS // n_items)
    for start in range(0, n_users, chunk):
        rows = slice(start, min(start + chunk, n_users))
        liked, hidden = (_cells(log, rows, place, n_items) for log in (unseen, known))
        score = np.where(hidden, -np.inf, table[rows][:, shuffle])
        best = np.argsort(-score, axis=1, kind="stable")
        ordered = np.take_along_axis(score, best, 1)
        first = np.ones_like(liked)
        first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        position = np.arange(n_items)
        begin = np.maximum.accumulate(np.where(first, position, 0), axis=1)
        last = np.ones_like(liked)
        last[:, :-1] = first[:, 1:]
        end = np.flip(np.minimum.accumulate(np.flip(np.where(last, position, n_items), 1), axis=1), 1)
        hit = np.take_along_axis(liked, best, 1)
        candidates, count = n_items - hidden.sum(1), hit.sum(1)
        # An item beats all candidates after its ties and half its ties; positives beat each other half the time.
        beats = (candidates[:, None] - 1 - end) + (end - begin) / 2
        pairs = count * (candidates - count)
        some = pairs > 0
        won = (beats * hit).sum(1) - count * (count - 1) / 2
        ideal = np.cumsum(discount)[np.clip(count, 1, K) - 1]
        gained = hit[:, :K] @ discount[: min(K, n_items)] / ideal
        right[rows] = np.divide(won, pairs, out=np.zeros(len(won)), where=some)
        reached[rows], counted[rows] = np.where(some, gained, 0.0), some
    return {"pairs": (right, counted), f"NDCG@{K}": (reached, counted)}


def _cells(log: InteractionLog, rows: slice, place: NDArray[np.int64], n_items: int) -> NDArray[np.bool_]:
    """Which cells of some users have an event, bool [rows, I], columns at `place`."""
    inside = (log.user >= rows.start) & (log.user < rows.stop)
    cells = np.zeros((rows.stop - rows.start, n_items), dtype=bool)
    cells[log.user[inside] - rows.start, place[log.item[inside]]] = True
    return cells
