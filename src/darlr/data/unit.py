"""The unit of rewards in which everything learns: the logged rewards, mapped affinely onto 1 to 5.

Step sizes, clipped gradients, lambda_s, lambda_d, lambda_U and lambda_E then mean the same on every data set (a
Reading: docs/method.md, The unit of rewards). People read and write rewards in the unit of the log.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from darlr.data.log import InteractionLog

LEAST, WIDTH = 1.0, 4.0  # a log of ratings from 1 to 5 is learned as it is
TAIL = 0.005  # share of the rewards, at either end, that may count as a tail
FAR = 1.0  # a tail is cut where it extends further than this times the spread of the other rewards
LEVELS = 20  # rewards with at most this many values are a scale, such as ratings, whose ends may be rare
FAR_OF_LEVELS = 5.0  # FAR for such a scale


@dataclass(frozen=True)
class Unit:
    """learned = least + 4 (reward - low) / (high - low), and back. Rewards outside low..high are learned as the bound.

    low, high: in the unit of the log. least: the learned value of `low`. bounds: the range of the log, which may be
    wider than low..high.
    """

    low: float = LEAST
    high: float = LEAST + WIDTH
    least: float = LEAST
    bounds: tuple[float, float] = (LEAST, LEAST + WIDTH)

    @property
    def scale(self) -> float:
        """The factor from learned differences, errors and standard deviations to the unit of the log."""
        return (self.high - self.low) / WIDTH

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest learned reward."""
        return self.least, self.least + WIDTH

    @property
    def identity(self) -> bool:
        """Whether rewards are learned as they are logged."""
        return (self.low, self.high) == self.range == self.bounds

    @property
    def zero(self) -> float:
        """The learned value of a reward of 0, inside or outside the range: the target of sampled negatives."""
        return 0.0 if self.identity else self.least + WIDTH * (0.0 - self.low) / (self.high - self.low)

    @overload
    def learn(self, reward: "Tensor") -> "Tensor": ...
    @overload
    def learn(self, reward: NDArray[np.floating]) -> NDArray[np.float32]: ...
    def learn(self, reward: "Tensor | NDArray[np.floating]") -> "Tensor | NDArray[np.float32]":
        """Rewards as they are learned, float32 of any shape. Where `identity` holds they are unchanged."""
        if not isinstance(reward, np.ndarray | np.floating):
            if self.identity:
                return reward.float()
            share = (reward.double() - self.low) / (self.high - self.low)
            return (self.least + WIDTH * share.clamp(0, 1)).float()
        if self.identity:
            return reward.astype(np.float32, copy=False)
        shares = (reward.astype(np.float64) - self.low) / (self.high - self.low)
        mapped: NDArray[np.float32] = (self.least + WIDTH * shares.clip(0, 1)).astype(np.float32)
        return mapped

    @overload
    def show(self, learned: "Tensor") -> "Tensor": ...
    @overload
    def show(self, learned: float) -> float: ...
    def show(self, learned: "Tensor | float") -> "Tensor | float":
        """Learned rewards in the unit of the log, of the same type and shape."""
        if self.identity:
            return learned
        if isinstance(learned, int | float | np.ndarray | np.number):
            return self.low + (learned - self.least) * self.scale
        return (self.low + (learned.double() - self.least) * self.scale).to(learned.dtype)

    def describe(self, log: "InteractionLog") -> str | None:
        """How the rewards of the log (in its own unit) are learned; None where they are learned as they are."""
        if self.identity:
            return None
        text = f"rewards from {self.low:g} to {self.high:g} are learned as {self.range[0]:g} to {self.range[1]:g}"
        reward = log.reward.astype(np.float32, copy=False)
        outside = int(((reward < np.float32(self.low)) | (reward > np.float32(self.high))).sum())
        if outside:
            text += f"; {outside:,} of {len(log):,} rewards lie far outside and are learned as the nearer bound"
        return text


def unit_of(log: "InteractionLog") -> Unit:
    """The unit in which a log is learned. It spans the range of rewards of the log without far tails.

    The inner rewards are all but a share TAIL, at least one, at either end. Where the range extends beyond them by more
    than FAR times their spread (FAR_OF_LEVELS times for a scale of few values), it is cut at the outermost of them. A
    value that half of the rewards or more have, such as 0 in a log with 99% zeros, is never in a tail, and shares are
    then those of the other rewards. Only order statistics are used, so that a r + b is learned as r is. Where all
    logged rewards are equal and the range begins at 0, as in a log of positives, 0 stays 0.
    """
    low, high = log.reward_range
    if not len(log):
        return Unit(low, high, bounds=(low, high))
    values, counts = np.unique(log.reward.astype(np.float64), return_counts=True)
    if len(values) == 1:
        return Unit(low, high, 0.0 if low == 0 else LEAST, (low, high))
    usual = values[2 * counts >= len(log)][:1]
    counts[np.isin(values, usual)] = 0
    reached, total = np.cumsum(counts), int(counts.sum())
    left_out = min(max(1, int(TAIL * total)), (total - 1) // 2)
    inner = values[np.searchsorted(reached, [left_out, total - 1 - left_out], side="right")]
    least, most = float(min(*inner, *usual)), float(max(*inner, *usual))
    reach = (FAR if len(values) > LEVELS else FAR_OF_LEVELS) * (most - least)
    cut = least if least - low > reach else low, most if high - most > reach else high
    return Unit(*cut, bounds=(low, high))


def as_learned(log: "InteractionLog", unit: Unit) -> "InteractionLog":
    """The log with its rewards as they are learned. Its `unit` maps them back."""
    return replace(log, reward=unit.learn(log.reward), reward_range=unit.range, unit=unit)
