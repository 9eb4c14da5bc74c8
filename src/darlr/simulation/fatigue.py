"""Fatigue: the reward of an item falls where its categories were shown recently, and it recovers."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.simulation.session import Session, last_items

LAGS = 8  # the items back to which categories count as repeated


@dataclass(frozen=True)
class Fatigue:
    """A reward falls by strength x F, not below `least`. member: float32 [I, C], 1 where the item has the category.

    F sums, over the last LAGS items, the number of categories that they share with the item, times recovery^(lag - 1).
    """

    member: Float[Tensor, "I C"]
    recovery: float
    strength: float = 1.0
    least: float = -math.inf

    def felt(self, session: Session, item: Int[Tensor, " B"], reward: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        """What users feel of an item that would give them this reward if they had seen nothing before."""
        return torch.maximum(reward - self.of(session, item), reward.clamp(max=self.least))

    def of_all(self, session: Session) -> Float[Tensor, "B I"]:
        """The fall of every item's reward, if it comes next."""
        recent = last_items(session, LAGS)
        weight = self._weight(recent) * (recent >= 0)
        return self.strength * torch.einsum("bl,blc->bc", weight, self.member[recent.clamp(min=0)]) @ self.member.T

    def of(self, session: Session, item: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        """The fall of the reward of one item for each session."""
        recent = last_items(session, LAGS)
        weight = self._weight(recent) * (recent >= 0)
        return self.strength * torch.einsum("bl,blc,bc->b", weight, self.member[recent.clamp(min=0)], self.member[item])

    def of_shown(self, items: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        """The fall of the rewards that sessions have brought. items: those shown, newest last, -1 for none."""
        shown = self.member[items.clamp(min=0)] * (items >= 0)[..., None]
        place = torch.arange(items.shape[1], device=shown.device)
        lag = place[:, None] - place
        weight = torch.where((lag > 0) & (lag <= LAGS), self.recovery ** (lag - 1).clamp(min=0), 0.0)
        return self.strength * (weight * (shown @ shown.mT)).sum(2)

    def _weight(self, recent: Tensor) -> Tensor:
        return self.recovery ** torch.arange(recent.shape[1] - 1, -1, -1, device=recent.device)
