"""What policies compute beside their networks, in NumPy; each class is the twin of one in PyTorch.

No bit of a user's row depends on which rows are beside it: a product is computed for each row on its own (`times`).
Histories are items int64 [B, T], -1 for none, and rewards float32 [B, T] in the unit of learning.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darlr.options.agents import MOST_LOGGED

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]


def times(matrix: Floats, vectors: Floats) -> Floats:
    """matrix [n, d] times each of the vectors [B, d]; [B, n]."""
    found: Floats = (matrix @ vectors[..., None])[..., 0]
    return found


def clipped(values: Floats, limits: tuple[float, float]) -> Floats:
    """The values within limits."""
    found: Floats = np.clip(values, np.float32(limits[0]), np.float32(limits[1]))
    return found


def posterior_mean(x: NDArray[np.float64], surprise: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """The mean of theta ~ N(0, I) after rewards x theta + noise of this variance. x: [B, T, d]. surprise: [B, T]."""
    precision = np.eye(x.shape[-1]) * noise + x.mT @ x
    found: Any = np.linalg.solve(precision, x.mT @ surprise[..., None])[..., 0]
    return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Fold:
    """The twin of `darlr.world.fold_in.FoldIn`. mean: [I]. factors: [I, d]."""

    mean: Floats
    factors: Floats
    noise: float
    reward_range: tuple[float, float]

    def coordinates(self, items: Codes, rewards: Floats) -> Floats:
        """The posterior mean of theta of each history, [B, d]."""
        there, known = items >= 0, np.maximum(items, 0)
        x = self.factors[known].astype(np.float64) * there[..., None]
        surprise = (rewards.astype(np.float64) - self.mean[known]) * there
        return posterior_mean(x, surprise, self.noise).astype(np.float32)

    def rows(self, theta: Floats) -> Floats:
        """The estimates of all items at these coordinates, [B, I]."""
        return clipped(self.mean + times(self.factors, theta), self.reward_range)


@dataclass(frozen=True)
class Vectors:
    """The twin of `darlr.world.feedback.Feedback`: p_u of cold-start users."""

    predicted: bool
    by_user: bool
    centre: Floats
    mean: Floats
    scale: float
    columns: Codes
    strength: Floats | None

    def of(self, theta: Floats, rows: Floats, items: Codes, rewards: Floats) -> Floats:
        """The standardised p_u [B, F]. theta, rows: the coordinates and the estimates that follow from the history."""
        if self.strength is not None:
            return (theta * self.strength - self.mean) / np.float32(self.scale) * (items >= 0).any(1, keepdims=True)
        vectors, present = rows, np.ones_like(rows)
        if not self.predicted:
            vectors, present = self._logged(rows.shape[1], items, rewards)
        own: Any = vectors.sum(1, keepdims=True) / np.maximum(present.sum(1, keepdims=True), 1) if self.by_user else 0.0
        centred = (vectors - self.centre - own) * present
        found: Floats = (centred - self.mean) / np.float32(self.scale) * present.any(1, keepdims=True)
        return found

    def _logged(self, n_items: int, items: Codes, rewards: Floats) -> tuple[Floats, Floats]:
        place = np.where(items < 0, n_items, items)  # the last column takes the padding, and entries outside the scope
        row = np.broadcast_to(np.arange(len(items))[:, None], items.shape)
        total, count = np.zeros((2, len(items), n_items + 1), np.float32)
        np.add.at(count, (row, place), np.float32(1))
        np.add.at(total, (row, place), rewards)
        count[:, -1] = 0
        mean = np.where(count > 0, total / np.maximum(count, 1), np.float32(0))
        return mean[:, self.columns], (count > 0).astype(np.float32)[:, self.columns]


@dataclass(frozen=True)
class Prior:
    """The twin of `darlr.world.belief.Belief`. mean: [I]. factors: [I, d]. noise: [I], of answers, tempered."""

    mean: Floats
    factors: Floats
    noise: Floats

    def rows(self, items: Codes, rewards: Floats) -> Floats:
        """The expected rewards of all items after each history, [B, I]."""
        there, known = items >= 0, np.maximum(items, 0)
        deviation = np.where(there, np.sqrt(self.noise[known].astype(np.float64)), 1.0)
        x = self.factors[known].astype(np.float64) * there[..., None] / deviation[..., None]
        surprise = (rewards - self.mean[known]).astype(np.float64) * there / deviation
        return self.mean + times(self.factors, posterior_mean(x, surprise, 1.0).astype(np.float32))


@dataclass(frozen=True)
class Certainty:
    """The twin of `darlr.world.logged.Certainty`. noise: [I]. start, items: as in `Histories`."""

    noise: Floats
    start: NDArray[np.int64]
    items: NDArray[np.int32]

    @cached_property
    def _width(self) -> int:
        return int(np.diff(self.start).max().clip(1, MOST_LOGGED))

    def logged(self, codes: Codes) -> Codes:
        """The logged items of users, int64 [B, m], -1 for none."""
        place = self.start[codes, None] + np.arange(self._width)
        there = place < self.start[codes + 1, None]
        return np.where(there, self.items[np.where(there, place, 0)], -1) if len(self.items) else place * 0 - 1


@dataclass(frozen=True)
class Ends:
    """The twin of `darlr.simulation.exits.CategoryExit`. bits: int64 [I, words]."""

    bits: NDArray[np.int64]
    window: int
    threshold: float

    def ending(self, items: Codes) -> NDArray[np.bool_]:
        """Which of all items would make the user of each history leave, bool [B, I]."""
        recent = items[:, -self.window :]
        shown = self.bits[np.maximum(recent, 0)] * (recent >= 0)[..., None]  # [B, N, words]
        at_least = [np.zeros_like(shown[:, 0]) for _ in range(int(self.threshold) + 1)]
        for turn in range(recent.shape[1]):  # a saturating count in bit slices
            for level in range(int(self.threshold), 0, -1):
                at_least[level] = at_least[level] | (at_least[level - 1] & shown[:, turn])
            at_least[0] = at_least[0] | shown[:, turn]
        crowded: Any = (self.bits & at_least[-1][:, None]).any(-1)
        return crowded  # type: ignore[no-any-return]
