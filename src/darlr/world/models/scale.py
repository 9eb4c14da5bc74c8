"""The unit of world models' predictions: rewards, standardised by the log's mean and standard deviation."""

import math
from dataclasses import dataclass

from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.options import WorldModelConfig


@dataclass(frozen=True)
class Scale:
    """centre and spread are the mean and standard deviation of rewards; low and high are bounds of a prediction."""

    centre: float
    spread: float
    low: float
    high: float

    def standardise(self, reward: Tensor) -> Tensor:
        """Rewards in units of the log's standard deviation, around its mean."""
        return (reward - self.centre) / self.spread

    def reward(self, mean: Tensor) -> Tensor:
        """Predicted means in reward units, clipped to the range."""
        return (mean * self.spread + self.centre).clamp(self.low, self.high)

    def variance(self, log_variance: Tensor) -> Tensor:
        """Variances in squared reward units."""
        return log_variance.exp() * self.spread**2


def scale_of(log: InteractionLog, config: WorldModelConfig) -> Scale:
    """The scale of the logged rewards; that of an implicit log includes the sampled negatives."""
    low, high = log.reward_range
    if config.loss == "pointneg":
        low = min(low, log.unit.zero)
    centre, spread = float(log.reward.mean()), float(log.reward.std())
    if config.loss == "pointneg" and log.implicit:
        share, gap = 1 / (1 + config.negatives), centre - low
        centre, spread = low + share * gap, gap * math.sqrt(share * (1 - share))
    return Scale(centre, spread or 1.0, low, high)
