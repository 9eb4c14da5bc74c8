"""A user's preference as inferred from the feedback of the session: a Bayesian linear update (not in the paper).

r(u, i) = table(u, i) + sigma * theta . x_i + noise of standard deviation sigma, with theta ~ N(0, strength * I). This
is the model of linear bandits (Li et al. 2010, LinUCB). Its prior mean is the table that rewards start from, not 0.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def preference(
    features: Float[Tensor, "I d"],
    strength: float,
    items: Int[Tensor, "B T"],
    surprise: Float[Tensor, "B T"],
    there: Bool[Tensor, "B T"],
) -> Float[Tensor, "B d"]:
    """The posterior mean of sigma * theta given a session; it is zero for a session without items.

    features: x_i, each scaled by the standard deviation of its weight in units of the noise (`World.preference`).
    items: those that were shown. surprise: reward less table entry of each. there: which places hold an item at all.
    """
    x = features[items.clamp(min=0)] * there[..., None]
    precision = torch.eye(features.shape[1], dtype=x.dtype, device=x.device) + strength * x.mT @ x
    evidence = strength * (x * surprise[..., None]).sum(1)
    factor, _ = torch.linalg.cholesky_ex(precision)  # positive definite: a check would make a GPU wait
    mean: Tensor = torch.cholesky_solve(evidence[..., None], factor).squeeze(-1)
    return mean
