"""Estimates for a user who is in no log: the history that the user brings is folded into the world model.

The rows of r0, one for each user the model knows, have a mean and a covariance over users. The row of a new user is
taken to be a draw from the normal distribution with this mean and covariance, and each reward of the history to be its
entry plus noise, whose variance is the mean of P_U. The estimate is the posterior mean given the history, a ridge
regression in closed form (Rasmussen and Williams 2006, equation 2.8). Without a history it is the mean user.

The method reads nothing but the two tables that every kind of world model makes, so that every kind folds in alike. It
has no number to choose; how well it ranks is measured in docs/results.md, "Users in no log".
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.world.vectors import leading

DIRECTIONS = 64  # of the covariance, at most; more of them ranked no better on Coat and on the built-in world
ROUNDS = 3  # of subspace iteration


@dataclass(frozen=True)
class FoldIn:
    """r = mean + factors theta, with theta from N(0, 1) in each coordinate: the distribution of rows of r0.

    mean: float32 [I]. factors: float32 [I, d]. noise: the variance of a logged reward around its row. reward_range: the
    least and the largest estimate.
    """

    mean: Float[Tensor, " I"]
    factors: Float[Tensor, "I d"]
    noise: float
    reward_range: tuple[float, float]

    def coordinates(self, items: Int[Tensor, "B n"], rewards: Float[Tensor, "B n"]) -> Float[Tensor, "B d"]:
        """The posterior mean of theta of B new users.

        items: scope codes of what each user's history holds, -1 for padding. rewards: in the unit that is learned.
        """
        known = items.clamp(min=0)
        there = (items >= 0).double()
        x = self.factors.double()[known] * there[..., None]
        surprise = (rewards.double() - self.mean.double()[known]) * there
        precision = torch.eye(x.shape[-1], dtype=x.dtype) * self.noise + x.mT @ x
        theta: Tensor = torch.linalg.solve(precision, x.mT @ surprise[..., None])
        return theta.squeeze(-1).float()

    def rows(self, coordinates: Float[Tensor, "B d"]) -> Float[Tensor, "B I"]:
        """The rows of r0 that these coordinates stand for, within the range of rewards."""
        return (self.mean + coordinates @ self.factors.T).clamp(*self.reward_range)

    def fold_in(self, items: Int[Tensor, "B n"], rewards: Float[Tensor, "B n"]) -> Float[Tensor, "B I"]:
        """Estimated rewards of all items for B new users, given what each has rewarded; see `coordinates`."""
        return self.rows(self.coordinates(items, rewards))

    def known(self, reward: Float[Tensor, "U I"]) -> Float[Tensor, "U d"]:
        """The coordinates of known users by their rows of r0."""
        strength = self.factors.square().sum(0).clamp(min=1e-12)
        return (reward - self.mean) @ self.factors / strength


@dataclass(frozen=True)
class Carried:
    """Another table of the same users, as a linear function of their coordinates: mean + theta weight.

    mean: float32 [I]. weight: float32 [d, I]. It gives a new user a row of a table that is not r0, such as the average
    over neighbours that a method starts from.
    """

    mean: Float[Tensor, " I"]
    weight: Float[Tensor, "d I"]

    def rows(self, coordinates: Float[Tensor, "B d"]) -> Float[Tensor, "B I"]:
        """The rows of the table at these coordinates."""
        return self.mean + coordinates @ self.weight


def fold_in_of(reward: Float[Tensor, "U I"], risk: Float[Tensor, "U I"], reward_range: tuple[float, float]) -> FoldIn:
    """The distribution of rows of r0 over the users of a world model. reward: r0; risk: P_U."""
    mean = reward.mean(0)
    centred = reward - mean
    basis = leading(centred, min(DIRECTIONS, *reward.shape), ROUNDS)
    _, strength, turn = torch.linalg.svd(centred @ basis, full_matrices=False)
    factors = basis @ (turn.T * (strength / len(reward) ** 0.5))
    return FoldIn(mean, factors.contiguous(), max(float(risk.mean()), 1e-6), reward_range)


def carry(fold: FoldIn, reward: Float[Tensor, "U I"], table: Float[Tensor, "U I"]) -> Carried:
    """The least-squares fit of a table of the known users by their coordinates. reward: r0, as in `fold_in_of`."""
    mean = table.mean(0)
    theta = fold.known(reward)  # uncorrelated, and of variance 1, or 0 where a direction has no strength
    return Carried(mean, theta.T @ (table - mean) / len(table))
