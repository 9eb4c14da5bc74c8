"""Estimates of every user's reward for every item: as a table, or computed on demand where a table would not fit.

Whoever reads an estimate asks for pairs, for rows, or for bounds, and does not see how it is held.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding

from darlr.io.memory import require_free
from darlr.world.best import largest

CELLS = 1 << 18  # the most pairs that a model predicts in one batch
RANKED = 1 << 25  # the most estimates that are ranked in one batch
MOST = 200_000_000  # users x items above which no table is held, unless an option asks for it


class Estimate(ABC):
    """A number for each user and item, float32, for users 0..U-1 and items 0..I-1."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(U, I)."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the numbers are computed."""

    @abstractmethod
    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """The estimates of users and items int64, whose shapes broadcast."""

    def rows(self, user: Int[Tensor, " B"], items: Int[Tensor, "B M"] | None = None) -> Tensor:
        """The estimates of each user's items, float32 [B, M]; without items those of all items, [B, I]."""
        return self.pairs(user[:, None], torch.arange(self.shape[1], device=self.device) if items is None else items)

    def best(self, user: Int[Tensor, " B"], count: int) -> Int[Tensor, "B count"]:
        """The `count` items of each user with the largest estimates, in any order; which of equal ones is left open."""
        parts = torch.split(user, max(1, RANKED // self.shape[1]))
        return torch.cat([largest(self.rows(part), count) for part in parts])

    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """Numbers that no estimate is below and none is above."""

    def whole(self) -> Float[Tensor, "U I"]:
        """All estimates as a table. Raises MachineError where it takes more memory than is free."""
        users, items = self.shape
        table = f"a table of {users:,} users x {items:,} items"
        require_free(4 * users * items, table, "choose methods and rows that need none")
        return self.rows(torch.arange(self.shape[0], device=self.device))

    def moments(self) -> tuple[Float[Tensor, " U"], Float[Tensor, " U"]]:
        """The standard deviation and the mean of each user's estimates over all items."""
        parts = torch.split(torch.arange(self.shape[0], device=self.device), max(1, CELLS // self.shape[1]))
        deviation, mean = zip(*(torch.std_mean(self.rows(part), 1, correction=0) for part in parts), strict=True)
        return torch.cat(deviation), torch.cat(mean)


class Changeable(Estimate):
    """Estimates of which single cells can be written anew, such as r_prev of Eq. 16."""

    @abstractmethod
    def write(self, user: Int[Tensor, " N"], item: Int[Tensor, " N"], value: Float[Tensor, " N"]) -> None:
        """Write values into cells; of several for one cell the last wins."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """What was written, as named tensors."""

    @abstractmethod
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` gave. Raises KeyError or RuntimeError where it does not fit."""


@dataclass(frozen=True)
class Dense(Changeable):
    """Estimates as a table, float32 [U, I]."""

    table: Float[Tensor, "U I"]

    @property
    def shape(self) -> tuple[int, int]:
        """(U, I)."""
        users, items = self.table.shape
        return users, items

    @property
    def device(self) -> torch.device:
        """Where the table lies."""
        return self.table.device

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """Entries of the table."""
        return self.table[user, item]

    def rows(self, user: Tensor, items: Tensor | None = None) -> Tensor:
        """Rows of the table, or entries of them."""
        return embedding(user, self.table) if items is None else super().rows(user, items)

    def whole(self) -> Tensor:
        """The table itself."""
        return self.table

    def moments(self) -> tuple[Tensor, Tensor]:
        """The standard deviation and the mean of each row."""
        deviation, mean = torch.std_mean(self.table, 1, correction=0)
        return deviation, mean

    def write(self, user: Tensor, item: Tensor, value: Tensor) -> None:
        """Write values into the table, in place; of several for one cell the last wins."""
        cell, value = newest(user * self.table.shape[1] + item, value)
        self.table.view(-1).scatter_(0, cell, value)

    def state(self) -> dict[str, Tensor]:
        """The whole table."""
        return {"table": self.table}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Copy the table, in place."""
        self.table.copy_(state["table"])

    def bounds(self) -> tuple[float, float]:
        """The least and the largest entry."""
        low, high = torch.aminmax(self.table)
        return float(low), float(high)


class Above(Estimate):
    """Estimates that are computed from others, of the same users and items."""

    base: Estimate

    @property
    def shape(self) -> tuple[int, int]:
        """(U, I)."""
        return self.base.shape

    @property
    def device(self) -> torch.device:
        """Where the others are computed."""
        return self.base.device


@dataclass(frozen=True)
class Averaged(Above):
    """The weighted average of a user's neighbours' estimates (ROLeR, method.md section 6).

    index: int64 [U, k], the neighbours. weight: float32 [U, k], which adds up to 1 in each row and is not negative.
    """

    base: Estimate
    index: Int[Tensor, "U k"]
    weight: Float[Tensor, "U k"]

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """Averages for single pairs."""
        user, item = torch.broadcast_tensors(user, item)  # type: ignore[no-untyped-call]
        return (self.base.pairs(self.index[user], item[..., None]) * self.weight[user]).sum(-1)

    def bounds(self) -> tuple[float, float]:
        """Those of the neighbours' estimates, as an average leaves no range."""
        return self.base.bounds()


@dataclass(frozen=True)
class Variance(Above):
    """The population variance of a user's neighbours' estimates, unweighted: ROLeR's risk (method.md section 6)."""

    base: Estimate
    index: Int[Tensor, "U k"]

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """Variances for single pairs."""
        user, item = torch.broadcast_tensors(user, item)  # type: ignore[no-untyped-call]
        return self.base.pairs(self.index[user], item[..., None]).var(-1, correction=0)

    def bounds(self) -> tuple[float, float]:
        """From 0 to the largest variance that the estimates' range allows (Popoviciu's inequality)."""
        low, high = self.base.bounds()
        return 0.0, (high - low) ** 2 / 4


@dataclass(frozen=True)
class Constant(Above):
    """One number for every user and item of other estimates."""

    value: float
    base: Estimate

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """The number, for each pair."""
        return torch.full((user + item).shape, self.value, device=self.device)

    def bounds(self) -> tuple[float, float]:
        """The number."""
        return self.value, self.value


class Overlay(Above, Changeable):
    """Estimates of which single cells were written anew, such as r_prev of Eq. 16. No written cell is forgotten.

    cell: int64 [n], sorted, user * I + item of the written cells. value: float32 [n].
    """

    def __init__(self, base: Estimate) -> None:
        self.base = base
        self.cell = torch.zeros(0, dtype=torch.int64, device=base.device)
        self.value = torch.zeros(0, device=base.device)

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """The newest value of each pair, or the estimate underneath."""
        return self._written(user, item, self.base.pairs(user, item))

    def rows(self, user: Tensor, items: Tensor | None = None) -> Tensor:
        """The newest values of each user's items, some users at a time."""
        if items is not None:
            return super().rows(user, items)
        every = torch.arange(self.shape[1], device=self.device)
        parts = torch.split(user, max(1, CELLS // self.shape[1]))
        return torch.cat([self._written(part[:, None], every, self.base.rows(part)) for part in parts])

    def _written(self, user: Tensor, item: Tensor, below: Tensor) -> Tensor:
        if not len(self.cell):
            return below
        cell = user * self.shape[1] + item
        place = torch.searchsorted(self.cell, cell).clamp(max=len(self.cell) - 1)
        return torch.where(self.cell[place] == cell, self.value[place], below)

    def bounds(self) -> tuple[float, float]:
        """Those of the estimates underneath and of the written values."""
        low, high = self.base.bounds()
        if not len(self.value):
            return low, high
        return min(low, float(self.value.min())), max(high, float(self.value.max()))

    def write(self, user: Tensor, item: Tensor, value: Tensor) -> None:
        """Merge values into the written cells; of several for one cell the last wins."""
        cell, value = newest(user * self.shape[1] + item, value)
        kept = ~torch.isin(self.cell, cell)
        merged = torch.cat([self.cell[kept], cell])
        order = merged.argsort()
        self.cell, self.value = merged[order], torch.cat([self.value[kept], value])[order]

    def state(self) -> dict[str, Tensor]:
        """The written cells and their values."""
        return {"cell": self.cell, "value": self.value}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over written cells."""
        self.cell, self.value = (state[name].to(self.device) for name in ("cell", "value"))


def estimate_of(given: Estimate | Tensor) -> Estimate:
    """An estimate as it is; a table [U, I] as `Dense`."""
    return Dense(given) if isinstance(given, Tensor) else given


def changeable(estimate: Estimate) -> Changeable:
    """The same numbers, of which single cells can be written without changing the estimate itself."""
    return Dense(estimate.table.clone()) if isinstance(estimate, Dense) else Overlay(estimate)


def floor(estimate: Estimate, risk: Estimate | None, weight: float) -> float:
    """A number that no estimate less its weighted risk is below: the least one by tables, else one by their bounds."""
    if risk is None:
        return estimate.bounds()[0]
    if isinstance(estimate, Dense) and isinstance(risk, Dense):
        return float((estimate.table - weight * risk.table).min())
    return estimate.bounds()[0] - weight * risk.bounds()[1]


def newest(cell: Int[Tensor, " N"], value: Float[Tensor, " N"]) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
    """Distinct cells, sorted, and for each the last of its values, on every device alike."""
    unique, group = torch.unique(cell, return_inverse=True)
    order = torch.arange(cell.shape[0], device=cell.device)
    last = torch.zeros_like(unique).scatter_reduce(0, group, order, "amax")
    return unique, value[last]
