"""The value of the new items of a session, estimated from feedback on items that were drawn for users at random.

A completed matrix holds predictions; these events are observed. Whether a uniformly drawn item is among the shown ones
depends on chance alone. The mean feedback on shown items therefore estimates the mean over all new items that are shown
(a ratio of Horvitz-Thompson sums; Sarndal, Swensson and Wretman 1992, section 5.7).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import places
from darlr.evaluation.statistics import Samples, draw_samples, interval, other_seeds, user_means, without_each_seed

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RandomFeedback:
    """Feedback on random items. A repeated pair counts once, with its mean.

    cell: int64 [n], rising, row * columns + column of the truth; reward: float32 [n]; columns: Ie.
    """

    cell: Tensor
    reward: Tensor
    columns: int

    def tally(self, row: Tensor, column: Tensor) -> Array:
        """Sums of each session, float64 [B, 3]: the feedback on shown items, the number of these items, and the turns.

        row: users, int64 [B]. column: the items shown, int64 [B, T], -1 after the end. The first two sums are divided
        by the number of the user's random items, so that all users weigh the same.
        """
        wanted = row[:, None] * self.columns + column
        place = torch.searchsorted(self.cell, wanted).clamp(max=len(self.cell) - 1)
        heard = (self.cell[place] == wanted) & (column >= 0)
        asked = torch.bincount(self.cell // self.columns, minlength=int(row.max()) + 1)[row].clamp(min=1)
        total = (self.reward[place].double() * heard).sum(1) / asked
        return torch.stack([total, heard.sum(1) / asked, (column >= 0).sum(1).double()], 1).numpy()

    def without(self, cell: NDArray[np.int64]) -> "RandomFeedback | None":
        """The same without the feedback on these cells [m]; None where nothing is left."""
        kept = torch.from_numpy(~np.isin(self.cell.numpy(), cell))
        return replace(self, cell=self.cell[kept], reward=self.reward[kept]) if bool(kept.any()) else None


def random_feedback(
    random: InteractionLog, users: NDArray[np.int64], items: NDArray[np.int64]
) -> RandomFeedback | None:
    """The events of `random` among a truth's users [Ue] and items [Ie], log codes; None without any."""
    row, column = places(users, random.n_users)[random.user], places(items, random.n_items)[random.item]
    inside = (row >= 0) & (column >= 0)
    cell, place, count = np.unique(row[inside] * len(items) + column[inside], return_inverse=True, return_counts=True)
    if not len(cell):
        return None
    reward = np.bincount(place, random.reward[inside]) / count
    return RandomFeedback(torch.from_numpy(cell), torch.from_numpy(reward.astype(np.float32)), len(items))


def unlogged(
    feedback: RandomFeedback, log: InteractionLog, users: NDArray[np.int64], items: NDArray[np.int64]
) -> RandomFeedback | None:
    """The feedback on pairs that the log does not hold, as a policy may remember the pairs of its log.

    users [Ue] and items [Ie] of the truth, log codes. None where the log holds them all.
    """
    row, column = places(users, log.n_users)[log.user], places(items, log.n_items)[log.item]
    inside = (row >= 0) & (column >= 0)
    return feedback.without(row[inside] * len(items) + column[inside])


def estimate(tallies: Array) -> float | None:
    """R_random of tallies [seeds, users, 3]: mean turns times mean feedback; None where no shown item has feedback."""
    total, asked, turns = tallies.mean((0, 1))
    return float(turns * total / asked) if asked > 0 else None


def estimate_interval(tallies: Array, samples: Samples) -> tuple[float, float]:
    """The 95% bootstrap interval of `estimate`, over seeds and users."""
    return interval(other_seeds(estimate_draws(tallies, samples), _left_out(tallies), samples))


def difference(one: Array, other: Array, *, resamples: int = 2000) -> tuple[float, float, float]:
    """`estimate` of one less that of the other, and its 95% interval, over the same seeds and users.

    A side with one seed (a fixed list) goes with every seed of the other.
    """
    shape = (max(len(one), len(other)), *one.shape[1:])
    a, b = np.broadcast_to(one, shape), np.broadcast_to(other, shape)
    samples = draw_samples(shape[:2], np.random.default_rng(0), resamples=resamples)
    draws = other_seeds(estimate_draws(a, samples) - estimate_draws(b, samples), _left_out(a) - _left_out(b), samples)
    return float((estimate(a) or np.nan) - (estimate(b) or np.nan)), *interval(draws)


def estimate_draws(tallies: Array, samples: Samples) -> Array:
    """`estimate` over the users of each sample and all seeds, float64 [R]; NaN where no shown item has feedback."""
    total, asked, turns = (user_means(tallies[..., part], samples) for part in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(asked > 0, turns * total / asked, np.nan))


def _left_out(tallies: Array) -> Array:
    """`estimate` without each seed, float64 [S]; NaN where no shown item has feedback."""
    return np.array([np.nan if (found := estimate(part)) is None else found for part in without_each_seed(tallies)])
