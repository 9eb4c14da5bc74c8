"""MOPO: r0 less the risk P_U, the largest variance among the world model's members (Yu et al. 2020)."""

from torch import Tensor

from darlr.methods.registry import Method
from darlr.options import TrainConfig
from darlr.world.tables import World


def member_risk(world: World, config: TrainConfig) -> Tensor:
    """P_U of the world model, float32 [U, I]."""
    return world.risk


MOPO = Method("mopo", "MOPO", risk=member_risk, reads=("lambda_u",))
