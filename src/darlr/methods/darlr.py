"""DARLR: rewards and penalties from reference users that a selector picks (arXiv 2505.07257), and DARLR+."""

from dataclasses import fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.methods.predecessors import member_risk, neighbour_reward
from darlr.methods.registry import Cost, Method, looked_up, risk_of
from darlr.methods.rewards import References, RewardTables, Step
from darlr.options import RewardConfig, TrainConfig
from darlr.world.estimates import Estimate
from darlr.world.tables import World


def dynamic_reward(start: Estimate, references: Int[Tensor, "B K"], item: Int[Tensor, " B"]) -> Tensor:
    """Eq. 15: r(u, i) = mean over v in S_t of r(v, i), float32 [B]."""
    return start.pairs(references, item[:, None]).mean(-1)


def referred(start: Estimate, references: References, user: Int[Tensor, " B"], item: Int[Tensor, " B"]) -> Tensor:
    """Eq. 15, or the user's own estimate plus the shift where likelihood weighs the references, float32 [B].

    The sum stays within the bounds of the estimates.
    """
    if references.shift is None:
        return dynamic_reward(start, references.users, item)
    return (start.pairs(user, item) + references.shift).clamp(*start.bounds())


def dynamic_uncertainty(
    estimate: Float[Tensor, " B"], previous: Float[Tensor, " B"], references: References, minimum_gain: float
) -> Float[Tensor, " B"]:
    """Eq. 16: P'_U = |r - r_prev| / (r_sim + r_div); the denominator is at least `minimum_gain`."""
    gain = (references.similarity + references.diversity).clamp(min=minimum_gain)
    return (estimate - previous).abs() / gain


def start(world: World, config: TrainConfig) -> Estimate:
    """What Eq. 15 averages: ROLeR's neighbour average or r0, as `reward.start` says; what likelihood moves is r0."""
    if config.selector.objective == "likelihood":
        return world.reward
    return neighbour_reward(world, config) if config.reward.start == "neighbours" else world.reward


def risk(world: World, config: TrainConfig) -> Estimate | None:
    """P_U of MOPO for the ablation with a static penalty; Eq. 16 needs no table."""
    return member_risk(world, config) if static(config) else None


def static(config: TrainConfig) -> bool:
    """Whether the penalty is P_U of the world model."""
    return config.reward.penalty == "static"


def estimate(tables: RewardTables, step: Step, config: RewardConfig) -> Float[Tensor, " B"]:
    """Eq. 15, or an entry of the start table (ablation). Raises ValueError without references."""
    if config.estimate == "static":
        return looked_up(tables, step, config)
    return referred(tables.start, _references(step), step.user, step.item)


def penalty(
    tables: RewardTables, step: Step, estimate: Float[Tensor, " B"], config: RewardConfig
) -> Float[Tensor, " B"]:
    """Eq. 16, or the world model's risk or 0 (ablations). Raises ValueError without references."""
    if config.penalty == "dynamic":
        previous = tables.previous.pairs(step.user, step.item)
        return dynamic_uncertainty(estimate, previous, _references(step), config.minimum_gain)
    return risk_of(tables, step, estimate, config) if config.penalty == "static" else torch.zeros_like(estimate)


def _references(step: Step) -> References:
    if step.references is None:
        raise ValueError("the darlr reward needs reference users in step.references")
    return step.references


DARLR = Method(
    "darlr",
    "DARLR",
    start=start,
    risk=risk,
    estimate=estimate,
    penalty=penalty,
    entropy=True,
    references=True,
    ensemble=static,
    reads=tuple(option.name for option in fields(RewardConfig)),
    cost=Cost(tables=3, step=55e-6, item=22e-9),
)
DARLR_PLUS = replace(
    DARLR,
    name="darlr+",
    title="DARLR+",
    defaults={
        "world_model.kind": "mixed",
        "train.reward.start": "frozen",
        "train.recommender.prior": 10.0,
        "train.recommender.belief": 1.0,
        "train.recommender.belief_scale": 4.0,
        "train.recommender.caution": 1000.0,
        "train.session.tastes": "auto",
        "train.keep": "sure",
        "train.recommender.price": 1.0,
    },
)
"""DARLR with other defaults of options. Each was chosen on the log alone (docs/results.md)."""
