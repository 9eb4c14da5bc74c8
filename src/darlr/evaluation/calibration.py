"""The quality of a completed matrix on random events that it was not fitted on: ranking, error, calibration."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from darlr.data.log import InteractionLog

Reals = NDArray[np.float64]
BINS = 10


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
    count, means = _deciles(predicted, seen)
    return Quality(
        auc=auc(predicted, seen > sum(held.reward_range) / 2),
        ndcg=ndcg(predicted, held),
        rmse=float(np.sqrt(np.square(predicted - seen).mean())),
        calibration=float(np.abs(means[:, 0] - means[:, 1]) @ count / len(seen)),
        deciles=tuple((one, other) for one, other in means.tolist()),
    )


def auc(predicted: Reals, positive: NDArray[np.bool_]) -> float:
    """Compute the area under the ROC curve; NaN where all events are of one kind."""
    n = int(positive.sum())
    if n in (0, len(positive)):
        return float("nan")
    return float((rankdata(predicted)[positive].sum() - n * (n + 1) / 2) / (n * (len(positive) - n)))


def ndcg(predicted: Reals, held: InteractionLog) -> float:
    """Compute nDCG with gain = reward - lowest reward; ties share their gain. NaN where no user's rewards differ."""
    gain = held.reward.astype(np.float64) - held.reward_range[0]
    ideal = _discounted(held.user, gain, gain, held.n_users)
    found = _discounted(held.user, predicted, gain, held.n_users)
    low, high = np.full(held.n_users, np.inf), np.full(held.n_users, -np.inf)
    np.minimum.at(low, held.user, gain)
    np.maximum.at(high, held.user, gain)
    differ = low < high
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


def _deciles(predicted: Reals, seen: Reals) -> tuple[Reals, Reals]:
    """Return the events [bins], and mean prediction and reward [bins, 2], of tenths; ties stay together."""
    edges = np.unique(np.quantile(predicted, np.arange(1, BINS) / BINS))
    place = np.searchsorted(edges, predicted, side="left")
    count = np.bincount(place, minlength=len(edges) + 1)
    sums = np.stack([np.bincount(place, values, minlength=len(edges) + 1) for values in (predicted, seen)], axis=1)
    return count[count > 0].astype(np.float64), sums[count > 0] / count[count > 0, None]


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
