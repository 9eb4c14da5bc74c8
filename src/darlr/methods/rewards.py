"""The inputs and the result of a method: reward tables, a step, reference users, and the parts of a reward.

r~ = r - lambda_U P_U + lambda_E P_E - shift (method.md sections 3, 6, 7).
"""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from darlr.options import RewardConfig
from darlr.world.entropy import EntropyTable
from darlr.world.estimates import Estimate


@dataclass(frozen=True)
class RewardTables:
    """The estimates of one method, as tables or computed on demand.

    frozen: r0, the world model's mean. start: the start of the method's estimate, which Eq. 15 averages. risk: P_U,
    None for a method without such a table. previous: r_prev of Eq. 16, which changes in place during training; it is
    `start` with `refine = in_place`, and r0 for a method without references.
    """

    frozen: Estimate
    start: Estimate
    risk: Estimate | None
    previous: Estimate
    entropy: EntropyTable


@dataclass(frozen=True)
class References:
    """The reference users S_t, and the two parts of the denominator of Eq. 16.

    similarity: r_sim, the mean over the picks of cos(p_u, p_v). diversity: r_div, the mean over the picks of the mean
    of 1 - cos to the earlier picks (0 at the first). shift: what the references add to the user's own estimate; None
    where the estimate is the references' mean (Eq. 15).
    """

    users: Int[Tensor, "B K"]
    similarity: Float[Tensor, " B"]
    diversity: Float[Tensor, " B"]
    shift: Float[Tensor, " B"] | None = None


@dataclass(frozen=True)
class Step:
    """One simulated step of B sessions: users, items and the items before them (-1 = none)."""

    user: Int[Tensor, " B"]
    item: Int[Tensor, " B"]
    last: Int[Tensor, " B"]
    references: References | None = None


@dataclass(frozen=True)
class Shaped:
    """The parts of the reward of one step: r, P_U and P_E."""

    estimate: Float[Tensor, " B"]
    uncertainty: Float[Tensor, " B"]
    entropy: Float[Tensor, " B"]

    def reward(self, config: RewardConfig, shift: float = 0.0) -> Float[Tensor, " B"]:
        """r~ = r - lambda_U P_U + lambda_E P_E - shift."""
        return self.estimate - config.lambda_u * self.uncertainty + config.lambda_e * self.entropy - shift
