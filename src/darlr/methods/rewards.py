"""What a method reads and what it pays: reward tables, a step, the reference users, and the parts of a reward.

reward = estimate - lambda_U * uncertainty + lambda_E * entropy (method.md sections 3, 6, 7).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.options import RewardConfig


@runtime_checkable
class Entropy(Protocol):
    """DORL's entropy table."""

    def lookup(self, last: Tensor, action: Tensor) -> Tensor:
        """E_t = H({a_t}) + H({a_t, a_t-1}), float32 [B], for int64 [B] items; last = -1 at the first turn."""
        ...

    def floor(self) -> float:
        """The least E_t that a lookup can give."""
        ...


@dataclass(frozen=True)
class RewardTables:
    """The tables that one method looks rewards up in; float32 [U, I] each.

    frozen: r0, the world model's mean. start: what the method's estimate starts from; Eq. 15 averages it. risk: its
    uncertainty, None where a table of it is not subtracted. previous: r_prev of Eq. 16; it alone changes during
    training, in place (with `refine = in_place` start is the same tensor). A method that moves nothing has r0 there.
    """

    frozen: Float[Tensor, "U I"]
    start: Float[Tensor, "U I"]
    risk: Float[Tensor, "U I"] | None
    previous: Float[Tensor, "U I"]
    entropy: Entropy


@dataclass(frozen=True)
class References:
    """The reference users S_t and what their choice gained.

    users: int64 [B, K]. similarity: r_sim, mean over the picks of cos(p_u, p_v), float32 [B].
    diversity: r_div, mean over the picks of the mean of 1 - cos to the earlier picks (0 at the first), float32 [B].
    """

    users: Int[Tensor, "B K"]
    similarity: Float[Tensor, " B"]
    diversity: Float[Tensor, " B"]


@dataclass(frozen=True)
class Step:
    """One simulated step of B sessions: int64 [B] users, items, and the items before (-1 = none)."""

    user: Int[Tensor, " B"]
    item: Int[Tensor, " B"]
    last: Int[Tensor, " B"]
    references: References | None = None


@dataclass(frozen=True)
class Shaped:
    """What one step pays, float32 [B] each: r, P_U (its uncertainty) and P_E (its entropy term), before the weights."""

    estimate: Float[Tensor, " B"]
    uncertainty: Float[Tensor, " B"]
    entropy: Float[Tensor, " B"]

    def reward(self, config: RewardConfig, shift: float = 0.0) -> Float[Tensor, " B"]:
        """r~ = r - lambda_U P_U + lambda_E P_E - shift."""
        return self.estimate - config.lambda_u * self.uncertainty + config.lambda_e * self.entropy - shift


