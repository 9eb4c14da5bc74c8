"""The error of predicted rewards on held-out events, with intervals over users.

Ratings are measured by RMSE, MAE, and the order of each user's own events. In a log of positives alone errors mean
nothing, and the measure is the order of a user's held-out positives among all items that are new to the user.
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

K = 30  # the cut-off of NDCG among positives, as long as a session
CELLS = 2**22  # pairs of events, or cells of users x items, in memory at once


@dataclass(frozen=True)
class Interval:
    """A value with its 95% bootstrap interval over users."""

    value: float
    low: float
    high: float


def held_out_sums(
    table: NDArray[np.floating], unseen: InteractionLog, known: InteractionLog, least: float | None = None
) -> Sums:
    """Compute the part of each user in each metric: name -> (numerator, denominator), both float64 [U].

    table: predicted rewards [U, I]. unseen: the events to predict. known: the events that the model was fitted on,
    whose cells do not count. least: the reward with gain 0; None = the lower end of the log's range.

    "RMSE" holds squared errors. "pairs" is the share of a user's pairs of differently rewarded events in the right
    order; ties count half. "NDCG" is over a user's held-out events with gain max(reward - least, 0). Among positives,
    pairs are of a positive and an item without event, and NDCG is cut off at 30. pairs and NDCG are means over the
    users with such a pair. Raises DataError where there is no event to predict.
    """
    positives = unseen.implicit and known.implicit
    unseen = distinct(unseen, known) if positives else unseen
    if not len(unseen):
        raise DataError(f"{unseen.name}: no event on the scope's items is new to the model, so nothing can be measured")
    if positives:
        return _positives(table, unseen, known)
    error = table[unseen.user, unseen.item].astype(np.float64) - unseen.reward
    squared, absolute, count = (
        np.bincount(unseen.user, values, unseen.n_users).astype(np.float64)
        for values in (np.square(error), np.abs(error), None)
    )
    return {
        "RMSE": (squared, count),
        "MAE": (absolute, count),
        **_order(table, unseen, unseen.reward_range[0] if least is None else least),
    }


def summary(sums: Sums, baseline: Sums | None = None, *, seed: int = 0, resamples: int = 2000) -> dict[str, Interval]:
    """Compute each metric with its interval; a metric in which no user counts is left out.

    baseline: sums on the same events. The result is then the difference from them, paired by user.
    """
    found = {}
    for name, own in sums.items():
        if own[1].sum() > 0:
            value, draws = _value_and_draws(name, own, seed, resamples)
            if baseline is not None:
                other, other_draws = _value_and_draws(name, baseline[name], seed, resamples)
                value, draws = value - other, draws - other_draws
            found[name] = Interval(value, *interval(draws))
    return found


def _value_and_draws(name: str, sums: tuple[Reals, Reals], seed: int, resamples: int) -> tuple[float, Reals]:
    ratio = float(sums[0].sum() / sums[1].sum())
    draws = bootstrap_ratio(*sums, generator=np.random.default_rng(seed), resamples=resamples)
    return (ratio**0.5, np.sqrt(draws)) if name == "RMSE" else (ratio, draws)


def _order(table: NDArray[np.floating], log: InteractionLog, least: float) -> Sums:
    """Compute pairs and NDCG of each user's own events."""
    order = np.argsort(log.user, kind="stable")
    user, item, reward = log.user[order], log.item[order], log.reward[order].astype(np.float64)
    score = table[user, item]
    size = np.bincount(user, minlength=log.n_users)
    start = np.cumsum(size) - size
    right, pairs = np.zeros(log.n_users), np.zeros(log.n_users)
    reach = np.cumsum(size[user])  # the number of pairs up to and including each event
    bounds = np.searchsorted(reach, np.arange(0, reach[-1], CELLS), side="right")
    for low, high in zip(bounds, [*bounds[1:], len(user)], strict=True):
        others = size[user[low:high]]
        of = np.repeat(np.arange(low, high), others)
        other = start[user[of]] + np.arange(len(of)) - np.repeat(np.cumsum(others) - others, others)
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
    """Compute pairs and NDCG@K of each user's held-out positives among all items but the known ones."""
    from scipy.stats import rankdata  # slow to import

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
        candidates, count = n_items - hidden.sum(1), liked.sum(1)
        # an item beats all candidates after its ties and half its ties; positives beat each other half the time
        beats = candidates[:, None] - rankdata(-score, axis=1)
        pairs = count * (candidates - count)
        some = pairs > 0
        won = (beats * liked).sum(1) - count * (count - 1) / 2
        hit = np.take_along_axis(liked, np.argsort(-score, axis=1, kind="stable")[:, :K], 1)
        ideal = np.cumsum(discount)[np.clip(count, 1, K) - 1]
        right[rows] = np.divide(won, pairs, out=np.zeros(len(won)), where=some)
        reached[rows], counted[rows] = np.where(some, hit @ discount[: min(K, n_items)] / ideal, 0.0), some
    return {"pairs": (right, counted), f"NDCG@{K}": (reached, counted)}


def _cells(log: InteractionLog, rows: slice, place: NDArray[np.int64], n_items: int) -> NDArray[np.bool_]:
    """Mark the cells of some users that have an event, bool [rows, I], with items at `place`."""
    inside = (log.user >= rows.start) & (log.user < rows.stop)
    cells = np.zeros((rows.stop - rows.start, n_items), dtype=bool)
    cells[log.user[inside] - rows.start, place[log.item[inside]]] = True
    return cells
