"""A DeepFM ensemble and a Bayesian factorisation machine, averaged: they err differently (docs/world-model.md)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from darlr.world.models.bayesian import BayesianFM
from darlr.world.models.deepfm import DeepFM


class Mixture(nn.Module):
    """The members of both, those of the DeepFM first; as many of each, so that each counts half."""

    def __init__(self, deep: DeepFM, bayesian: BayesianFM) -> None:
        super().__init__()
        if deep.members != bayesian.members:
            raise ValueError(f"{deep.members} members of one and {bayesian.members} of the other would not count half")
        self.deep, self.bayesian = deep, bayesian
        self.members = deep.members + bayesian.members

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """users, items: int64 [K, B] -> mean and log-variance, float32 [K, B] each."""
        k = self.deep.members
        return _joined(self.deep(users[:k], items[:k]), self.bayesian(users[k:], items[k:]))

    def over(self, items: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Of these items int64 [i], for users int64 [u] to come: mean and log-variance of every pair, [K, u, i]."""
        deep, bayesian = self.deep.over(items), self.bayesian.over(items)
        return lambda users: _joined(deep(users), bayesian(users))

    def vectors(self, size: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The DeepFM's: a vector of each of these users and items, float32 [u, size] and [i, size]."""
        return self.deep.vectors(size, users, items)


def _joined(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]])
