"""Users who leave because of what they felt: after rewards below a threshold."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.special import ndtr

from darlr.simulation.session import Session
from darlr.simulation.shortlist import GOLDEN, mixed


@dataclass(frozen=True)
class FeltExit:
    """Users leave with probability `chance` after an item with a reward below `threshold`.

    patience: k, the number of such items in a session from which on users leave. threshold: in the unit of the rewards
    that sessions observe. learned: the same in the unit of learning. The draws are a hash of the user and of what was
    shown, so that policies that show the same items meet the same luck.
    """

    threshold: float
    learned: float
    patience: int = 1
    chance: float = 1.0
    window: int = 1

    def leaves(self, recent: Tensor, action: Tensor) -> Tensor:
        """False for every session, bool [B]: no item alone makes a user leave."""
        return torch.zeros_like(action, dtype=torch.bool)

    def ending(self, recent: Tensor) -> Tensor:
        """False for every item, bool [B, 1], which broadcasts over items."""
        return torch.zeros_like(recent[:, :1], dtype=torch.bool)

    def felt(self, session: Session, action: Tensor, feedback: Tensor) -> Tensor:
        """Whether users leave after the items int64 [B] with these rewards [B]; bool [B]. session: before the items."""
        leaves = (feedback < self.threshold) & self._tired(session)
        if self.chance < 1:
            key = mixed(mixed(session.user * GOLDEN + session.turn) + action)
            leaves = leaves & ((key >> 38).double() / 2**24 < self.chance)
        return leaves

    def risk(self, session: Session, mean: Tensor, deviation: Tensor) -> Tensor:
        """P(leave) after each item, [B, I], where its reward is normal with this mean and standard deviation."""
        below: Tensor = ndtr((self.threshold - mean) / deviation)
        return self.chance * below * self._tired(session)[:, None]

    def _tired(self, session: Session) -> Tensor:
        """Whether one more reward below the threshold is enough, bool [B]."""
        bad = (session.rewards < self.threshold) & (session.items >= 0)
        return bad.sum(1) + 1 >= self.patience

    @property
    def as_learned(self) -> "FeltExit":
        """The same rule for rewards in the unit of learning."""
        return replace(self, threshold=self.learned)
