"""What a session's own feedback says of its user's taste: a Bayesian linear update of r_0, not in the paper.

r(u, i) = r_0(u, i) + theta . x_i + noise, theta ~ N(0, strength * noise variance * I), x_i = [1, item vector]: the
model of linear bandits (Li et al. 2010, LinUCB), its prior mean the world model instead of 0.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def taste_features(item_vectors: Float[Tensor, "I d"]) -> Float[Tensor, "I d1"]:
    """x_i: a constant, which takes up a user's generosity, and the item vector."""
    return torch.cat([torch.ones_like(item_vectors[:, :1]), item_vectors], dim=1)


def taste(
    features: Float[Tensor, "I d1"],
    strength: float,
    items: Int[Tensor, "B T"],
    surprise: Float[Tensor, "B T"],
    there: Bool[Tensor, "B T"],
) -> Float[Tensor, "B d1"]:
    """Posterior mean of theta after items whose rewards departed from r_0 by `surprise`; zeros after none.

    strength: signal-to-noise ratio, prior variance of theta over the variance of the noise.
    """
    x = features[items.clamp(min=0)] * there[..., None]
    precision = torch.eye(features.shape[1], device=x.device) + strength * x.mT @ x
    evidence = strength * (x * surprise[..., None]).sum(1)
    mean: Tensor = torch.cholesky_solve(evidence[..., None], torch.linalg.cholesky(precision)).squeeze(-1)
    return mean
