"""The value of the new items of a session, estimated from feedback on items that were drawn for users at random.

A completed matrix holds predictions, while these events are observed. Chance alone decides which shown items were
drawn. Their mean feedback therefore estimates the mean over all new items that are shown (a ratio of Horvitz-Thompson
sums; Sarndal, Swensson and Wretman 1992, section 5.7).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import IntArray, InteractionLog
from darlr.data.scope import places
from darlr.evaluation.statistics import Samples, draw_samples, interval, other_seeds, user_means, without_each_seed

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RandomFeedback:
    """Feedback on random items. A repeated pair counts once, with its mean.

    cell: int64 [n], row * columns + column of the truth, rising. reward: float32 [n]. columns: Ie.
    """

    cell: Tensor
    reward: Tensor
    columns: int

    def tally(self, row: Tensor, column: Tensor) -> Array:
        """Sum the feedback on shown items, the number of these items, and the turns of each session, float64 [B, 3].

        row: users, int64 [B]. column: the items shown, int64 [B, T], -1 after the end. The first two sums are divided
        by the number of the user's random items, so that all users have equal weights.
        """
        wanted = row[:, None] * self.columns + column
        place = torch.searchsorted(self.cell, wanted).clamp(max=len(self.cell) - 1)
        heard = (self.cell[place] == wanted) & (column >= 0)
        asked = torch.bincount(self.cell // self.columns, minlength=int(row.max()) + 1)[row].clamp(min=1)
        total = (self.reward[place].double() * heard).sum(1) / asked
        return torch.stack([total, heard.sum(1) / asked, (column >= 0).sum(1).double()], 1).numpy()


def random_feedback(random: InteractionLog, users: IntArray, items: IntArray) -> RandomFeedback | None:
    """Collect the events of `random` on users [Ue] and items [Ie] of a truth, log codes; None without any."""
    inside, cells = _cells(random, users, items)
    cell, place, count = np.unique(cells, return_inverse=True, return_counts=True)
    if not len(cell):
        return None
    reward = np.bincount(place, random.reward[inside]) / count
    return RandomFeedback(torch.from_numpy(cell), torch.from_numpy(reward.astype(np.float32)), len(items))


def unlogged(feedback: RandomFeedback, log: InteractionLog, users: IntArray, items: IntArray) -> RandomFeedback | None:
    """Keep the feedback on pairs that are not in the log, as a policy may have memorised its log; None without any.

    users [Ue] and items [Ie] of the truth, log codes.
    """
    kept = torch.from_numpy(~np.isin(feedback.cell.numpy(), _cells(log, users, items)[1]))
    if not bool(kept.any()):
        return None
    return replace(feedback, cell=feedback.cell[kept], reward=feedback.reward[kept])


def _cells(log: InteractionLog, users: IntArray, items: IntArray) -> tuple[NDArray[np.bool_], IntArray]:
    """Mark the events on users and items of a truth, bool [L], and return their cells in it, int64."""
    row, column = places(users, log.n_users)[log.user], places(items, log.n_items)[log.item]
    inside = (row >= 0) & (column >= 0)
    return inside, row[inside] * len(items) + column[inside]


def estimate(tallies: Array) -> float | None:
    """Compute R_random, mean turns times mean feedback, of tallies [seeds, users, 3]; None without any feedback."""
    total, asked, turns = tallies.mean((0, 1))
    return float(turns * total / asked) if asked > 0 else None


def estimate_interval(tallies: Array, samples: Samples) -> tuple[float, float]:
    """Compute the 95% bootstrap interval of `estimate` over seeds and users."""
    return interval(other_seeds(estimate_draws(tallies, samples), _left_out(tallies), samples))


def difference(one: Array, other: Array, *, resamples: int = 2000) -> tuple[float, float, float]:
    """Compute `estimate` of one less that of the other and its 95% interval, paired by seed and user.

    A side with one seed, such as a fixed list, is compared with every seed of the other.
    """
    shape = (max(len(one), len(other)), *one.shape[1:])
    a, b = np.broadcast_to(one, shape), np.broadcast_to(other, shape)
    samples = draw_samples(shape[:2], np.random.default_rng(0), resamples=resamples)
    draws = other_seeds(estimate_draws(a, samples) - estimate_draws(b, samples), _left_out(a) - _left_out(b), samples)
    return float((estimate(a) or np.nan) - (estimate(b) or np.nan)), *interval(draws)


def estimate_draws(tallies: Array, samples: Samples) -> Array:
    """Compute `estimate` over the users of each sample and all seeds, float64 [R]; NaN without any feedback."""
    total, asked, turns = (user_means(tallies[..., part], samples) for part in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(asked > 0, turns * total / asked, np.nan))


def _left_out(tallies: Array) -> Array:
    """Compute `estimate` without each seed, float64 [S]; NaN without any feedback."""
    return np.array([np.nan if (found := estimate(part)) is None else found for part in without_each_seed(tallies)])
