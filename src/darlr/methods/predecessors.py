"""The methods before DARLR, and the reference GT. Each `Method` states only how it differs from MBPO."""

from darlr.methods.registry import Cost, Method
from darlr.options import TrainConfig
from darlr.world.estimates import Estimate
from darlr.world.tables import World


def member_risk(world: World, config: TrainConfig) -> Estimate:
    """P_U of MOPO: the largest variance among the members of the world model."""
    return world.risk


def always(config: TrainConfig) -> bool:
    """The answer of methods that read P_U under all options."""
    return True


def neighbour_reward(world: World, config: TrainConfig) -> Estimate:
    """The mean of r0 over a user's nearest neighbours (method.md section 6)."""
    return world.neighbour_reward(config.tables)


def neighbour_risk(world: World, config: TrainConfig) -> Estimate:
    """The variance of r0 among a user's nearest neighbours."""
    return world.neighbour_risk(config.tables)


MBPO = Method("mbpo", "MBPO")
"""The world model's mean reward r0 and nothing else (Janner et al. 2019)."""

MOPO = Method("mopo", "MOPO", risk=member_risk, ensemble=always, reads=("lambda_u",))
"""r0 less the risk P_U (Yu et al. 2020)."""

IPS = Method("ips", "IPS", weighting="inverse-popularity")
"""MBPO on a world model that weights logged events by the inverse popularity of their items."""

DORL = Method("dorl", "DORL", risk=member_risk, ensemble=always, entropy=True, reads=("lambda_u", "lambda_e"))
"""MOPO with the entropy term P_E, which rewards items after which logged behaviour varies (arXiv 2307.04571)."""

ROLER = Method(
    "roler",
    "ROLeR",
    start=neighbour_reward,
    risk=neighbour_risk,
    entropy=True,
    reads=("lambda_u", "lambda_e"),
    cost=Cost(tables=4, step=11e-6, item=10e-9),
)
"""The mean reward of fixed nearest neighbours, their variance as risk, and the entropy term (arXiv 2407.13163)."""

GT = Method("gt", "GT", truth=True)
"""MBPO on a world whose rewards are the ground truth: an upper reference for what learning can reach."""
