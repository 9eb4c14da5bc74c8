"""Exit rules: when a user leaves (method.md section 2). Built from logs and features alone.

A rule maps the last N items, int64 [B, N] with -1 = none, and candidate items, int64 [B, A],
to bool [B, A]: would this item make the user leave?
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from darlr.data.categories import log_category_bits
from darlr.data.item_vectors import feature_vectors
from darlr.data.log import InteractionLog
from darlr.errors import ConfigError
from darlr.options import SessionConfig

Exit = Callable[[Tensor, Tensor], Tensor]


def never(recent: Tensor, items: Tensor) -> Tensor:
    """No exit rule: sessions end at turn T only."""
    return torch.zeros_like(items, dtype=torch.bool)


def category_exit(bits: Tensor, threshold: float) -> Exit:
    """Leave when any category of the item occurred more than `threshold` times among the recent items.

    bits: int64 [I, words] from `category_bits`. An item without categories never makes a user leave.
    """
    if threshold < 0:
        raise ConfigError(f"option session.threshold: a category exit needs 0 or more, not {threshold}")

    def rule(recent: Tensor, items: Tensor) -> Tensor:
        shared = (bits[items] & crowded(bits, threshold, recent)[:, None, :]) != 0
        return shared.squeeze(-1) if shared.shape[-1] == 1 else shared.any(-1)

    return rule


def crowded(bits: Tensor, threshold: float, recent: Tensor) -> Tensor:
    """Bits int64 [B, words] of the categories that occurred more than `threshold` times among items int64 [B, N]."""
    shown = bits[recent.clamp(min=0)].masked_fill((recent < 0)[..., None], 0)  # [B, N, W]
    at_least = [torch.zeros_like(shown[:, 0]) for _ in range(int(threshold) + 1)]
    for newest in shown.unbind(1):  # saturating bit-sliced count over the N recent items
        for level in range(int(threshold), 0, -1):
            at_least[level] = at_least[level] | (at_least[level - 1] & newest)
        at_least[0] = at_least[0] | newest
    return at_least[-1]


@dataclass(frozen=True)
class Leaving:
    """A category exit as data, for policies that look ahead. bits: int64 [I, words]; window: N; threshold: M."""

    bits: Tensor
    window: int
    threshold: float

    def items(self, recent: Tensor) -> Tensor:
        """Which of all items would make the user leave after recent ones, int64 [B, N] -> bool [B, I]."""
        over = crowded(self.bits, self.threshold, recent)
        return torch.stack([(word & mine[:, None]) != 0 for word, mine in zip(self.bits.T, over.T, strict=True)]).any(0)


def distance_exit(vectors: Tensor, threshold: float) -> Exit:
    """Leave when the Euclidean distance to any recent item is below `threshold`.

    vectors: float32 [I, d], from item features. With threshold 0 the rule never fires.
    """
    if threshold <= 0:
        return never

    def rule(recent: Tensor, items: Tensor) -> Tensor:
        there = vectors[recent.clamp(min=0)]  # [B, N, d]
        # [B, A, N]; the matrix-product form would put equal vectors a little apart
        distance = torch.cdist(vectors[items], there, compute_mode="donot_use_mm_for_euclid_dist")
        close = (distance < threshold) & (recent >= 0)[:, None, :]
        return close.any(-1)

    return rule


def resolve(config: SessionConfig, log: InteractionLog) -> SessionConfig:
    """Replace `exit = auto` by what the data set names."""
    return replace(config, exit=log.exit) if config.exit == "auto" else config


def build_exit(config: SessionConfig, log: InteractionLog, device: str = "cpu") -> Exit:
    """The rule that `config` names (resolved or not), on `device`.

    Raises ConfigError when the log lacks what the rule needs.
    """
    config = resolve(config, log)
    if config.exit == "none":
        return never
    if config.exit == "distance":
        return distance_exit(feature_vectors(log).to(device), config.threshold)
    bits = log_category_bits(log)
    if bits is None:
        raise ConfigError("option session.exit: a category exit needs an item category, and this data set has none")
    return category_exit(bits.to(device), config.threshold)
