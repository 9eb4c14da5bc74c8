"""ROLeR: the average reward of fixed nearest neighbours, its risk, and the entropy term (arXiv 2407.13163)."""

from torch import Tensor

from darlr.methods.registry import Cost, Method
from darlr.options import TrainConfig
from darlr.world.tables import World


def neighbour_reward(world: World, config: TrainConfig) -> Tensor:
    """The neighbours' average of r0, float32 [U, I] (method.md section 6)."""
    return world.neighbour_reward(config.tables)


def neighbour_risk(world: World, config: TrainConfig) -> Tensor:
    """The variance of the neighbours' r0, float32 [U, I]."""
    return world.neighbour_risk(config.tables)


ROLER = Method(
    "roler",
    "ROLeR",
    start=neighbour_reward,
    risk=neighbour_risk,
    entropy=True,
    reads=("lambda_u", "lambda_e"),
    cost=Cost(tables=4, step=11e-6, item=10e-9),
)
