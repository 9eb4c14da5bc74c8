"""No exit rule: sessions end at their last turn."""

from dataclasses import dataclass

import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.options import SessionConfig


@dataclass(frozen=True)
class Never:
    """Nobody leaves before the last turn. `never` is the rule itself; there is no reason to make another."""

    window: int = 1

    def leaves(self, recent: Tensor, action: Tensor) -> Tensor:
        """False for every session, bool [B]."""
        return torch.zeros_like(action, dtype=torch.bool)

    def ending(self, recent: Tensor) -> Tensor:
        """False for every item: bool [B, 1], which broadcasts over items."""
        return torch.zeros_like(recent[:, :1], dtype=torch.bool)


never = Never()


def build(config: SessionConfig, log: InteractionLog) -> Never:
    """`never`."""
    return never
