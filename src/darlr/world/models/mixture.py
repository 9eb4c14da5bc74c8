"""The average of a DeepFM ensemble and a Bayesian factorisation machine (docs/world-model.md)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from darlr.world.models.bayesian import BayesianFM
from darlr.world.models.deepfm import DeepFM


class Mixture(nn.Module):
    """The members of both models, the DeepFM first. Both must have the same number, so that their weights are equal."""

    def __init__(self, deep: DeepFM, bayesian: BayesianFM) -> None:
        super().__init__()
        if deep.members != bayesian.members:
            raise ValueError(f"{deep.members} members of one and {bayesian.members} of the other have unequal weights")
        self.deep, self.bayesian = deep, bayesian
        self.members = deep.members + bayesian.members

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and log-variance, float32 [K, B] each, of users and items int64 [K, B]."""
        k = self.deep.members
        return _joined(self.deep(users[:k], items[:k]), self.bayesian(users[k:], items[k:]))

    def over(self, items: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """See `WorldModel.over`."""
        deep, bayesian = self.deep.over(items), self.bayesian.over(items)
        return lambda users: _joined(deep(users), bayesian(users))

    def vectors(self, size: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of the DeepFM; see `WorldModel.vectors`."""
        return self.deep.vectors(size, users, items)


def posterior_of(model: object) -> BayesianFM | None:
    """The part of a world model that was drawn from a posterior, if any."""
    part = model.bayesian if isinstance(model, Mixture) else model
    return part if isinstance(part, BayesianFM) else None


def _joined(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]])
