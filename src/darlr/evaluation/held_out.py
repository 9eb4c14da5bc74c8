"""The quality of predicted rewards on held-out events: with intervals over users, and of completed matrices."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.errors import DataError
from darlr.evaluation.statistics import bootstrap_ratio, interval
from darlr.world.estimates import Estimate, estimate_of
from darlr.world.implicit import distinct

Reals = NDArray[np.float64]
Sums = Mapping[str, tuple[Reals, Reals]]

K = 30  # the cut-off of NDCG among positives, as long as a session
BINS = 10  # of a calibration
CELLS = 2**22  # pairs of events, or cells of users x items, in memory at once


@dataclass(frozen=True)
class Interval:
    """A value with its 95% bootstrap interval over users."""

    value: float
    low: float
    high: float


def held_out_sums(
    table: Estimate | Tensor, unseen: InteractionLog, known: InteractionLog, least: float | None = None
) -> Sums:
    """Compute the part of each user in each metric: name -> (numerator, denominator), both float64 [U].

    table: the predicted rewards. unseen: the events to predict. known: the events that the model was fitted on, whose
    cells do not count. least: the reward with gain 0; None = the lower end of the log's range.

    "RMSE" holds squared errors. "pairs" is the share of a user's pairs of differently rewarded events in the right
    order; ties count half. "NDCG" is over a user's events with gain max(reward - least, 0). Among positives, pairs are
    of a positive and an item without event, and NDCG is cut off at 30. Both are means over users with such a pair.
    Raises DataError where there is no event to predict.
    """
    predicted, positives = estimate_of(table), unseen.implicit and known.implicit
    unseen = distinct(unseen, known) if positives else unseen
    if not len(unseen):
        raise DataError(f"{unseen.name}: no event on the scope's items is new to the model, so nothing can be measured")
    if positives:
        return _positives(predicted, unseen, known)
    error = _pairs(predicted, unseen.user, unseen.item).astype(np.float64) - unseen.reward
    squared, absolute, count = (
        np.bincount(unseen.user, values, unseen.n_users).astype(np.float64)
        for values in (np.square(error), np.abs(error), None)
    )
    return {
        "RMSE": (squared, count),
        "MAE": (absolute, count),
        **_order(predicted, unseen, unseen.reward_range[0] if least is None else least),
    }


def summary(sums: Sums, baseline: Sums | None = None, *, seed: int = 0, resamples: int = 2000) -> dict[str, Interval]:
    """Compute each metric with any user, or its difference from the baseline, paired by user, with intervals."""
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


def _pairs(predicted: Estimate, user: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.floating]:
    """The predictions of events, [n]."""
    found: NDArray[np.floating] = predicted.pairs(*map(torch.from_numpy, (user, item))).numpy()
    return found


def _order(predicted: Estimate, log: InteractionLog, least: float) -> Sums:
    """Compute pairs and NDCG of each user's own events."""
    order = np.argsort(log.user, kind="stable")
    user, item, reward = log.user[order], log.item[order], log.reward[order].astype(np.float64)
    score = _pairs(predicted, user, item)
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


def _positives(predicted: Estimate, unseen: InteractionLog, known: InteractionLog) -> Sums:
    """Compute pairs and NDCG@K of each user's held-out positives among all items but the known ones."""
    from scipy.stats import rankdata  # slow to import

    n_users, n_items = predicted.shape
    shuffle = np.random.default_rng(0).permutation(n_items)  # equal scores are in random order
    place = np.empty(n_items, dtype=np.int64)
    place[shuffle] = np.arange(n_items)
    discount = 1 / np.log2(np.arange(K) + 2)
    right, reached, counted = np.zeros(n_users), np.zeros(n_users), np.zeros(n_users)
    chunk = max(1, CELLS // n_items)
    for start in range(0, n_users, chunk):
        rows = slice(start, min(start + chunk, n_users))
        liked, hidden = (_cells(log, rows, place, n_items) for log in (unseen, known))
        every = predicted.rows(torch.arange(rows.start, rows.stop)).numpy()
        score = np.where(hidden, -np.inf, every[:, shuffle])
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


@dataclass(frozen=True)
class Quality:
    """Measures of predictions on held-out events. rmse and calibration are in units of reward.

    auc: the probability that an event above the middle of the reward range is ranked before one below. ndcg: the mean
    over users whose rewards differ. calibration: the expected calibration error over the deciles. deciles: mean
    prediction and mean reward of each tenth of the events by prediction, fewer where predictions tie.
    """

    auc: float
    ndcg: float
    rmse: float
    calibration: float
    deciles: tuple[tuple[float, float], ...]


def quality(predicted: Reals, held: InteractionLog) -> Quality:
    """Compare predictions, float64 [L], with the rewards of the held-out events."""
    seen = held.reward.astype(np.float64)
    edges = np.unique(np.quantile(predicted, np.arange(1, BINS) / BINS))
    place = np.searchsorted(edges, predicted, side="left")  # ties share a decile
    count = np.bincount(place, minlength=len(edges) + 1)
    sums = np.stack([np.bincount(place, values, len(edges) + 1) for values in (predicted, seen)], axis=1)
    means, count = sums[count > 0] / count[count > 0, None], count[count > 0].astype(np.float64)
    return Quality(
        auc=auc(predicted, seen > sum(held.reward_range) / 2),
        ndcg=ndcg(predicted, held),
        rmse=float(np.sqrt(np.square(predicted - seen).mean())),
        calibration=float(np.abs(means[:, 0] - means[:, 1]) @ count / len(seen)),
        deciles=tuple((one, other) for one, other in means.tolist()),
    )


def auc(predicted: Reals, positive: NDArray[np.bool_]) -> float:
    """Compute the area under the ROC curve; NaN where all events are of one kind."""
    from scipy.stats import rankdata  # slow to import

    n = int(positive.sum())
    if n in (0, len(positive)):
        return float("nan")
    return float((rankdata(predicted)[positive].sum() - n * (n + 1) / 2) / (n * (len(positive) - n)))


def ndcg(predicted: Reals, held: InteractionLog) -> float:
    """Compute nDCG with gain = reward - lowest reward; ties share their gain. NaN where no user's rewards differ."""
    gain = held.reward.astype(np.float64) - held.reward_range[0]
    ideal = _discounted(held.user, gain, gain, held.n_users)
    found = _discounted(held.user, predicted, gain, held.n_users)
    rewarded = np.unique(np.column_stack([held.user, gain]), axis=0)[:, 0].astype(np.int64)
    differ = np.bincount(rewarded, minlength=held.n_users) > 1
    return float((found[differ] / ideal[differ]).mean()) if differ.any() else float("nan")


def _discounted(user: NDArray[np.int64], score: Reals, gain: Reals, n_users: int) -> Reals:
    """Sum gain / log2(1 + place) over each user's events by falling score, float64 [U]."""
    order = np.lexsort((-score, user))
    sorted_user, sorted_score = user[order], score[order]
    events = np.bincount(user, minlength=n_users)
    place = np.arange(len(user)) - (np.cumsum(events) - events)[sorted_user]
    new = np.append(True, (np.diff(sorted_user) != 0) | (np.diff(sorted_score) != 0))
    tie = np.cumsum(new) - 1  # events of one user and score share the mean gain of them all
    shared = (np.bincount(tie, gain[order]) / np.bincount(tie))[tie]
    return np.bincount(sorted_user, shared / np.log2(place + 2), minlength=n_users).astype(np.float64)


def report(predicted: Mapping[str, Reals], held: InteractionLog, *, fitted: int) -> list[str]:
    """Describe predictions of the held-out events, float64 [L], one line for each, and the deciles of the first."""
    lines = [f"fitted on {fitted:,} random events; on {len(held):,} others:"]
    rows = {name: quality(values, held) for name, values in predicted.items()}
    lines += [
        f"{name}: AUC {q.auc:.3f}, NDCG {q.ndcg:.3f}, RMSE {q.rmse:.3f}, calibration error {q.calibration:.4f}"
        for name, q in rows.items()
    ]
    name, first = next(iter(rows.items()))
    pairs = ", ".join(f"{mean:.2f} {seen:.2f}" for mean, seen in first.deciles)
    return [*lines, f"{name}, by tenths of the predictions, mean predicted and mean seen: {pairs}"]
