"""What a session's own feedback says of its user's taste: a Bayesian linear update of a table (not in the paper).

r(u, i) = table(u, i) + sigma * theta . x_i + noise of deviation sigma, theta ~ N(0, strength * I): the model of linear
bandits (Li et al. 2010, LinUCB), its prior mean the table that rewards start from instead of 0.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def taste(
    features: Float[Tensor, "I d"],
    strength: float,
    items: Int[Tensor, "B T"],
    surprise: Float[Tensor, "B T"],
    there: Bool[Tensor, "B T"],
) -> Float[Tensor, "B d"]:
    """Posterior mean of sigma * theta after items whose rewards departed by `surprise`; zeros after none.

    features: x_i, each scaled by the deviation of its weight in units of the noise (`World.preference`).
    """
    x = features[items.clamp(min=0)] * there[..., None]
    precision = torch.eye(features.shape[1], dtype=x.dtype, device=x.device) + strength * x.mT @ x
    evidence = strength * (x * surprise[..., None]).sum(1)
    factor, _ = torch.linalg.cholesky_ex(precision)  # a precision this far from 0 needs no check, which a GPU waits for
    mean: Tensor = torch.cholesky_solve(evidence[..., None], factor).squeeze(-1)
    return mean
