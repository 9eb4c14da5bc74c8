"""Leaving when a category comes back too often: the exit rule of Coat, KuaiRec and their predecessors' environments."""

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from darlr.data.categories import log_category_bits
from darlr.data.log import InteractionLog
from darlr.errors import ConfigError
from darlr.options import SessionConfig
from darlr.world.tables import World


@dataclass(frozen=True)
class CategoryExit:
    """Users leave when any category of the item occurred more than `threshold` times among the recent items.

    bits: int64 [I, words] from `category_bits`. An item without categories never makes a user leave. window: N, the
    number of recent items that count. threshold: M.
    """

    bits: Tensor
    window: int = 1
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if self.threshold < 0:
            raise ConfigError(f"option session.threshold: a category exit needs 0 or more, not {self.threshold}")

    def leaves(self, recent: Tensor, action: Tensor) -> Tensor:
        """Whether the item `action`, int64 [B], ends the session after recent items int64 [B, N]; bool [B]."""
        shared = (self.bits[action] & self._crowded(recent)) != 0
        return shared.squeeze(-1) if shared.shape[-1] == 1 else shared.any(-1)

    def ending(self, recent: Tensor) -> Tensor:
        """Which of all items would end the session after recent items int64 [B, N]; bool [B, I]."""
        crowded = self._crowded(recent)
        shared = [(word & own[:, None]) != 0 for word, own in zip(self.bits.T, crowded.T, strict=True)]
        return reduce(torch.logical_or, shared)

    def _crowded(self, recent: Tensor) -> Tensor:
        """Bits int64 [B, words] of the categories that occurred more than `threshold` times among the recent items."""
        shown = self.bits[recent.clamp(min=0)].masked_fill((recent < 0)[..., None], 0)  # [B, N, words]
        at_least = [torch.zeros_like(shown[:, 0]) for _ in range(int(self.threshold) + 1)]
        for newest in shown.unbind(1):  # a saturating count in bit slices over the N recent items
            for level in range(int(self.threshold), 0, -1):
                at_least[level] = at_least[level] | (at_least[level - 1] & newest)
            at_least[0] = at_least[0] | newest
        return at_least[-1]


def build(config: SessionConfig, log: InteractionLog) -> CategoryExit:
    """The rule on the categories of the log's items; raises ConfigError where they have none."""
    bits = log_category_bits(log)
    if bits is None:
        raise ConfigError("option session.exit: a category exit needs an item category, and this data set has none")
    return CategoryExit(bits, config.window, config.threshold)


def of_world(config: SessionConfig, world: World) -> CategoryExit | None:
    """The same rule from a World's tables; None where its items have no categories."""
    return None if world.categories is None else CategoryExit(world.categories, config.window, config.threshold)
