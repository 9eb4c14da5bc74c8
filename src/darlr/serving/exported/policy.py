"""An exported policy: the scores of users of the log, and of users in no log, without PyTorch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darlr.errors import RunError
from darlr.io.arrays import StoredRows
from darlr.serving.asked import Asked, allowed_items, padded
from darlr.serving.exported.networks import Networks, Start
from darlr.serving.exported.parts import Codes, Ends, Floats, Fold, Prior, Vectors, times
from darlr.serving.served import ServedPolicy
from darlr.serving.strategy import Listed

Known = Callable[[Codes, Codes, Floats], Floats]  # logits [B, I] of users of these codes, with these histories
New = Callable[[Codes, Floats], Floats]  # the same of users in no log


@dataclass(frozen=True)
class Table:
    """Fixed scores. table: [U, I], or [1, I] for a list. weight: [d, I], of new users' rows by coordinates.

    mean: [I], the row at coordinates of 0; with weight None for a list. leaving: the exit rule that the policy avoids.
    """

    table: StoredRows
    fold: Fold
    mean: Floats | None
    weight: Floats | None
    leaving: Ends | None

    def known(self, codes: Codes, items: Codes, rewards: Floats) -> Floats:
        """The logits of users of the log."""
        return self._staying(self.table[codes if self.table.shape[0] > 1 else codes * 0], items)

    def new(self, items: Codes, rewards: Floats) -> Floats:
        """The logits of users in no log."""
        if self.weight is None or self.mean is None:
            return self.known(np.zeros(len(items), np.int64), items, rewards)
        return self._staying(self.mean + times(self.weight.T, self.fold.coordinates(items, rewards)), items)

    def _staying(self, scores: Floats, items: Codes) -> Floats:
        """The twin of `darlr.policies.fixed.Staying`."""
        if self.leaving is None:
            return scores
        reach = scores.max(1, keepdims=True) - scores.min(1, keepdims=True) + 1
        return np.where(self.leaving.ending(items), scores - reach, scores)


@dataclass(frozen=True)
class OfUsers:
    """What the networks read of the log's users. own: [U, d]. reward: [U, I], or theta: [U, d2] by the fold-in.

    centre, sharpness: [U], of `Recommender`, for a prior.
    """

    networks: Networks
    own: StoredRows | None
    reward: StoredRows | None
    theta: StoredRows | None
    fold: Fold
    centre: Floats | None
    sharpness: Floats | None

    def __call__(self, codes: Codes, items: Codes, rewards: Floats) -> Floats:
        """The logits."""
        start = None
        if self.centre is not None and self.sharpness is not None:
            rows = self.fold.rows(self.theta[codes]) if self.reward is None else self.reward[codes]  # type: ignore[index]
            start = Start(rows, self.centre[codes], self.sharpness[codes])
        own = None if self.own is None else self.own[codes]
        return self.networks.logits(items, rewards, own, start, codes)


@dataclass(frozen=True)
class OfNewcomers:
    """The twin of `darlr.serving.newcomers.Newcomers`, without closed forms. user: the layer of p_u, [d, F] and [d]."""

    networks: Networks
    fold: Fold
    vectors: Vectors | None
    user: tuple[Floats, Floats] | None
    mean: Floats | None
    weight: Floats | None

    def __call__(self, items: Codes, rewards: Floats) -> Floats:
        """The logits."""
        theta = self.fold.coordinates(items, rewards)
        own, start = None, None
        if self.user is not None:
            weight, bias = self.user
            own = np.broadcast_to(bias, (len(items), len(bias)))
            if self.vectors is not None:
                rows = self.fold.rows(theta) if self.vectors.strength is None else theta
                own = times(weight, self.vectors.of(theta, rows, items, rewards)) + bias
        if self.weight is not None and self.mean is not None and self.networks.config.prior:
            start = start_of(self.mean + times(self.weight.T, theta), self.networks.config.prior)
        return self.networks.logits(items, rewards, own, start)


@dataclass(frozen=True)
class Believing:
    """The twin of `darlr.serving.newcomers.Believed`: DARLR+ for users in no log."""

    belief: Prior
    prior: float
    caution: float
    leaving: Ends | None

    def __call__(self, items: Codes, rewards: Floats) -> Floats:
        """The logits."""
        start = start_of(self.belief.rows(items, rewards), self.prior)
        found = (start.rows - start.centre[:, None]) * start.sharpness[:, None]
        if self.leaving is not None:
            found -= np.float32(self.caution) * self.leaving.ending(items)
        return found


def start_of(rows: Floats, prior: float) -> Start:
    """The rows with their means, and prior / deviation, 0 where all entries are the same; see `Recommender`."""
    centre, deviation = rows.mean(1, dtype=np.float64), rows.std(1, dtype=np.float64)
    there = deviation > 1e-6 * np.abs(centre)
    sharpness = np.where(there, prior / np.where(there, deviation, 1), 0)
    return Start(rows, centre.astype(np.float32), sharpness.astype(np.float32))


@dataclass(frozen=True)
class ExportedPolicy(ServedPolicy):
    """A policy on ONNX Runtime. fold: the world model of new users. logged_start, logged_items: as in `Histories`."""

    known: Known
    new: New
    fold: Fold
    logged_start: NDArray[np.int64]
    logged_items: NDArray[np.int32]

    def scored(self, some: Sequence[Asked]) -> tuple[Any, Any, Listed | None]:
        """See `ServedPolicy.scored`."""
        items, rewards = padded(some, self.unit)
        if some[0].code is None:
            logits = self.new(items, rewards)
        else:
            logits = self.known(np.array([one.code for one in some], np.int64), items, rewards)
        # the extremes of numbers with a NaN are NaN; looking at every score takes many times longer
        usable = np.isfinite(logits.min(1)) & np.isfinite(logits.max(1))
        if not usable.all():
            user = some[int(usable.argmin())].shown
            raise RunError(f"user {user!r}: the policy's scores are no finite numbers; its files are damaged")
        return logits, allowed_items(some, len(self.items.ids), self.logged), None

    def logged(self, user: int) -> NDArray[np.int32]:
        """The items that the log holds of a user."""
        return self.logged_items[self.logged_start[user] : self.logged_start[user + 1]]

    def predicted(self, some: Sequence[Asked]) -> Floats:
        """See `ServedPolicy.predicted`."""
        return self.fold.rows(self.fold.coordinates(*padded(some, self.unit)))
