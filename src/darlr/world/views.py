"""Estimates that are read from others, or from a few numbers for each user and item, so that no table is held."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.data.unit import Unit
from darlr.world.estimates import MOST, Above, Dense, Estimate


def tabled(estimate: Estimate) -> Estimate:
    """The same estimates as a table, which is read faster, where that has at most MOST entries."""
    users, items = estimate.shape
    return estimate if users * items > MOST else Dense(estimate.whole())


@dataclass(frozen=True)
class Some(Above):
    """Other estimates of some users alone. user: int64 [n], what the users 0..n-1 are called there."""

    base: Estimate
    user: Int[Tensor, " n"]

    @property
    def shape(self) -> tuple[int, int]:
        """(n, I)."""
        return len(self.user), self.base.shape[1]

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """Estimates of pairs."""
        return self.base.pairs(self.user[user], item)

    def rows(self, user: Tensor, items: Tensor | None = None) -> Tensor:
        """Estimates of each user's own items, or of all items."""
        return self.base.rows(self.user[user], items)

    def bounds(self) -> tuple[float, float]:
        """Those of all users."""
        return self.base.bounds()


@dataclass(frozen=True)
class Shown(Above):
    """Estimates in the unit of learning, in the unit of the log."""

    base: Estimate
    unit: Unit

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """Estimates of pairs."""
        return self.unit.show(self.base.pairs(user, item))

    def rows(self, user: Tensor, items: Tensor | None = None) -> Tensor:
        """Estimates of each user's own items, or of all items."""
        return self.unit.show(self.base.rows(user, items))

    def bounds(self) -> tuple[float, float]:
        """The bounds of the learned estimates, in the unit of the log."""
        low, high = self.base.bounds()
        return self.unit.show(low), self.unit.show(high)


def shown(estimate: Estimate, unit: Unit) -> Estimate:
    """Estimates in the unit of the log: the same where that is the unit of learning, and a table where one is held."""
    if unit.identity:
        return estimate
    return Dense(unit.show(estimate.table)) if isinstance(estimate, Dense) else Shown(estimate, unit)


@dataclass(frozen=True)
class Alike(Estimate):
    """The same estimates for all users. value: [I]."""

    value: Float[Tensor, " I"]
    users: int

    @property
    def shape(self) -> tuple[int, int]:
        """(U, I)."""
        return self.users, len(self.value)

    @property
    def device(self) -> torch.device:
        """Where the row lies."""
        return self.value.device

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """The estimates of the items."""
        return self.value[torch.broadcast_tensors(user, item)[1]]  # type: ignore[no-untyped-call]

    def bounds(self) -> tuple[float, float]:
        """The least and the largest estimate."""
        low, high = torch.aminmax(self.value)
        return float(low), float(high)


class OfSides(Estimate):
    """Estimates that are computed from what is held of each user, [U, ...], and of each item, [I, ...]."""

    users: Tensor
    items: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """(U, I)."""
        return len(self.users), len(self.items)

    @property
    def device(self) -> torch.device:
        """Where it is held."""
        return self.users.device


@dataclass(frozen=True)
class Product(OfSides):
    """Dot products of a vector of each user and one of each item, plus a share of the item, as ALS and biases give.

    users: [U, d]. items: [I, d]. of_items: [I].
    """

    users: Float[Tensor, "U d"]
    items: Float[Tensor, "I d"]
    of_items: Float[Tensor, " I"] | None = None

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """Products of pairs."""
        user, item = torch.broadcast_tensors(user, item)  # type: ignore[no-untyped-call]
        found: Tensor = (self.users[user] * self.items[item]).sum(-1)
        return found if self.of_items is None else found + self.of_items[item]

    def rows(self, user: Tensor, items: Tensor | None = None) -> Tensor:
        """Products of each user with its own items, or with all items."""
        if items is not None:
            return super().rows(user, items)
        found = self.users[user] @ self.items.T
        return found if self.of_items is None else found + self.of_items

    def bounds(self) -> tuple[float, float]:
        """Bounds by the lengths of the vectors (Cauchy and Schwarz)."""
        reach = float(self.users.norm(dim=1).max() * self.items.norm(dim=1).max())
        low, high = (0.0, 0.0) if self.of_items is None else map(float, torch.aminmax(self.of_items))
        return low - reach, high + reach
