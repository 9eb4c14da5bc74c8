"""Leaving when an item is too close to a recent one: the exit rule for items that have features and no categories."""

from dataclasses import dataclass

import torch
from torch import Tensor

from darlr.data.item_features import feature_vectors
from darlr.data.log import InteractionLog
from darlr.options import SessionConfig
from darlr.simulation.exits.none import Never, never


@dataclass(frozen=True)
class DistanceExit:
    """Users leave when the Euclidean distance of the item to any recent item is below `threshold`.

    vectors: float32 [I, d], from item features. window: N, the number of recent items that count.
    """

    vectors: Tensor
    window: int = 1
    threshold: float = 0.0

    def leaves(self, recent: Tensor, action: Tensor) -> Tensor:
        """Whether the item `action`, int64 [B], ends the session after recent items int64 [B, N]; bool [B]."""
        return self._close(recent, self.vectors[action[:, None]]).squeeze(1)

    def ending(self, recent: Tensor) -> Tensor:
        """Which of all items would end the session after recent items int64 [B, N]; bool [B, I]."""
        return self._close(recent, self.vectors[None])

    def _close(self, recent: Tensor, vectors: Tensor) -> Tensor:
        """Which of vectors [B or 1, A, d] are too close to a recent item, bool [B, A]."""
        there = self.vectors[recent.clamp(min=0)]  # [B, N, d]
        # [B, A, N]; the form as a matrix product would put equal vectors a little apart
        distance = torch.cdist(vectors, there, compute_mode="donot_use_mm_for_euclid_dist")
        close = (distance < self.threshold) & (recent >= 0)[:, None, :]
        return close.any(-1)


def build(config: SessionConfig, log: InteractionLog) -> DistanceExit | Never:
    """The rule on the features of the log's items; raises ConfigError where they have none."""
    vectors = feature_vectors(log)
    return DistanceExit(vectors, config.window, config.threshold) if config.threshold > 0 else never
