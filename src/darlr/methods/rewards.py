"""The reward functions side by side: MBPO, MOPO, IPS, DORL, ROLeR, DARLR and GT are one learner with one of these.

Each takes the same tables and the same step and says what the recommender is paid:
reward = estimate - lambda_U * uncertainty + lambda_E * entropy (method.md sections 3, 6, 7).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.options import Method, RewardConfig


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
    """What rewards are looked up in; float32 [U, I] each.

    frozen: r0, the world model's mean. risk: P_U, its largest member variance. neighbours, neighbour_risk: ROLeR's
    table. start: what Eq. 15 averages. previous: r_prev of Eq. 16; it alone changes during training, in place (with
    `refine = in_place` start is the same tensor).
    """

    frozen: Float[Tensor, "U I"]
    risk: Float[Tensor, "U I"]
    neighbours: Float[Tensor, "U I"]
    neighbour_risk: Float[Tensor, "U I"]
    start: Float[Tensor, "U I"]
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
    """What one step pays, float32 [B] each: r, its uncertainty and its entropy term, before the weights."""

    estimate: Float[Tensor, " B"]
    uncertainty: Float[Tensor, " B"]
    entropy: Float[Tensor, " B"]

    def reward(self, config: RewardConfig, shift: float = 0.0) -> Float[Tensor, " B"]:
        """r~ = r - lambda_U P_U + lambda_E P_E - shift."""
        return self.estimate - config.lambda_u * self.uncertainty + config.lambda_e * self.entropy - shift


RewardFunction = Callable[[RewardTables, Step, RewardConfig], Shaped]


def mbpo(tables: RewardTables, step: Step, config: RewardConfig) -> Shaped:
    """MBPO: r0(u, i) alone."""
    estimate = tables.frozen[step.user, step.item]
    nothing = torch.zeros_like(estimate)
    return Shaped(estimate, uncertainty=nothing, entropy=nothing)


def mopo(tables: RewardTables, step: Step, config: RewardConfig) -> Shaped:
    """MOPO: r0(u, i) with the static risk P_U(u, i)."""
    estimate = tables.frozen[step.user, step.item]
    return Shaped(estimate, uncertainty=tables.risk[step.user, step.item], entropy=torch.zeros_like(estimate))


def dorl(tables: RewardTables, step: Step, config: RewardConfig) -> Shaped:
    """DORL: MOPO and the entropy term P_E (arXiv 2307.04571)."""
    estimate = tables.frozen[step.user, step.item]
    risk = tables.risk[step.user, step.item]
    return Shaped(estimate, uncertainty=risk, entropy=tables.entropy.lookup(step.last, step.item))


def roler(tables: RewardTables, step: Step, config: RewardConfig) -> Shaped:
    """ROLeR: the average over fixed nearest neighbours, its risk, and the entropy term (arXiv 2407.13163)."""
    estimate = tables.neighbours[step.user, step.item]
    risk = tables.neighbour_risk[step.user, step.item]
    return Shaped(estimate, uncertainty=risk, entropy=tables.entropy.lookup(step.last, step.item))


def dynamic_reward(start: Float[Tensor, "U I"], references: Int[Tensor, "B K"], item: Int[Tensor, " B"]) -> Tensor:
    """Eq. 15: r(u, i) = mean over v in S_t of r(v, i), float32 [B]."""
    return start[references, item[:, None]].mean(-1)


def dynamic_uncertainty(
    estimate: Float[Tensor, " B"], previous: Float[Tensor, " B"], references: References, minimum_gain: float
) -> Float[Tensor, " B"]:
    """Eq. 16: P'_U = |r - r_prev| / (r_sim + r_div), the denominator held at `minimum_gain` or more."""
    gain = (references.similarity + references.diversity).clamp(min=minimum_gain)
    return (estimate - previous).abs() / gain


def darlr(tables: RewardTables, step: Step, config: RewardConfig) -> Shaped:
    """DARLR: Eq. 15 and Eq. 16 on the selector's references, and the entropy term (arXiv 2505.07257).

    Raises ValueError without references.
    """
    if step.references is None:
        raise ValueError("the darlr reward needs reference users in step.references")
    if config.estimate == "dynamic":
        estimate = dynamic_reward(tables.start, step.references.users, step.item)
    else:
        estimate = tables.start[step.user, step.item]
    if config.penalty == "dynamic":
        previous = tables.previous[step.user, step.item]
        uncertainty = dynamic_uncertainty(estimate, previous, step.references, config.minimum_gain)
    elif config.penalty == "static":
        uncertainty = tables.risk[step.user, step.item]
    else:
        uncertainty = torch.zeros_like(estimate)
    return Shaped(estimate, uncertainty, entropy=tables.entropy.lookup(step.last, step.item))


# IPS pays what MBPO pays, by a world model of other weights; GT likewise, by the true table in the world model's place.
REWARDS: dict[Method, RewardFunction] = {
    "mbpo": mbpo,
    "mopo": mopo,
    "ips": mbpo,
    "dorl": dorl,
    "roler": roler,
    "darlr": darlr,
    "gt": mbpo,
}


def shift(method: Method, tables: RewardTables, config: RewardConfig) -> float:
    """The predecessors' MIN_R: the least that a step can pay by the tables in use; subtracted, no step pays below 0.

    Eq. 16 has no table, so DARLR alone can still push a step below 0.
    """
    uncertainty = {"mopo": tables.risk, "dorl": tables.risk, "roler": tables.neighbour_risk}.get(method)
    if method == "darlr" and config.penalty == "static":
        uncertainty = tables.risk
    estimate = {"roler": tables.neighbours, "darlr": tables.start}.get(method, tables.frozen)
    least = estimate if uncertainty is None else estimate - config.lambda_u * uncertainty
    entropy = config.lambda_e * tables.entropy.floor() if method in ("dorl", "roler", "darlr") else 0.0
    return float(least.min()) + entropy


def refine(
    table: Float[Tensor, "U I"], user: Int[Tensor, " N"], item: Int[Tensor, " N"], estimate: Float[Tensor, " N"]
) -> None:
    """Write estimates into the table; of several for one cell the last wins, on every device alike."""
    cell = user * table.shape[1] + item
    unique, group = torch.unique(cell, return_inverse=True)
    order = torch.arange(cell.shape[0], device=cell.device)
    newest = torch.zeros_like(unique).scatter_reduce(0, group, order, "amax")
    table.view(-1).scatter_(0, unique, estimate[newest])
