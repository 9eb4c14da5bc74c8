"""Estimates that are computed from a world model's parameters at each call, so that no table is held."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.world.estimates import CELLS
from darlr.world.kind import Scale, WorldModel
from darlr.world.views import OfSides

PAIRS = 1 << 14  # the most single pairs in one batch, which hold the output of all layers of all members


@runtime_checkable
class PairModel(WorldModel, Protocol):
    """A world model that predicts single pairs, too."""

    def __call__(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and log-variance, float32 [K, B] each, of users and items int64 [K, B]."""
        ...


@runtime_checkable
class Bilinear(WorldModel, Protocol):
    """A world model whose mean over members is a dot product of numbers of the user and of the item."""

    def bilinear(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """X, float32 [u, p], and Y, [i, p], of these users and items; X Y^T is the mean in standardised units."""
        ...


@dataclass(frozen=True)
class Factored(OfSides):
    """What a world model predicts, computed from its parameters at each call.

    part: "reward" is r0, the mean of the members' clipped means; "risk" is P_U, the largest variance of a member, in
    squared reward units (method.md section 1). users, items: int64 [U] and [I], the scope's in the model's codes.
    limit: what no risk exceeds.
    """

    model: PairModel
    scale: Scale
    users: Int[Tensor, " U"]
    items: Int[Tensor, " I"]
    part: Literal["reward", "risk"] = "reward"
    limit: float = torch.inf

    @torch.no_grad()
    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """Predictions of single pairs, in batches of PAIRS."""
        user, item = torch.broadcast_tensors(user, item)  # type: ignore[no-untyped-call]
        codes = torch.split(self.users[user.flatten()], PAIRS), torch.split(self.items[item.flatten()], PAIRS)
        found = [self._predicted(*part) for part in zip(*codes, strict=True)]
        return torch.cat(found).view(user.shape)

    def _predicted(self, user: Tensor, item: Tensor) -> Tensor:
        each = (self.model.members, -1)
        return self._summed(*self.model(user.expand(*each), item.expand(*each)))

    def rows(self, user: Tensor, items: Tensor | None = None) -> Tensor:
        """Predictions of each user's own items, or of all items."""
        return super().rows(user, items) if items is not None else self.over(torch.arange(len(self.items)))(user)

    def over(self, items: Int[Tensor, " M"]) -> Callable[[Int[Tensor, " B"]], Float[Tensor, "B M"]]:
        """A function from users to the estimates of the same items for all, whose share is computed once."""
        predict = self.model.over(self.items[items])

        def of(user: Tensor) -> Tensor:
            parts = torch.split(self.users[user], max(1, CELLS // max(1, len(items))))
            return torch.cat([self._summed(*predict(part)) for part in parts])

        return of

    def _summed(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        if self.part == "reward":
            return self.scale.reward(mean).mean(0)
        return self.scale.variance(log_variance.amax(0))

    def bounds(self) -> tuple[float, float]:
        """The range that predicted rewards are clipped to; for risks 0 and the limit."""
        return (self.scale.low, self.scale.high) if self.part == "reward" else (0.0, self.limit)
