"""Estimates for a cold-start user: the user's history is folded into the world model.

The prior of the user's row of r0 is the normal distribution with the mean and the covariance of the rows of the log's
users. A reward of the history is an entry of the row plus noise, whose variance is the mean of P_U. The estimate is the
posterior mean, a ridge regression in closed form (Rasmussen and Williams 2006, equation 2.8). Without a history it is
the mean row. The features of a cold-start user are not used.

Only r0 and P_U are read, so that all kinds of world model fold in alike. There is no hyper-parameter to choose. How
well the estimates rank is measured in docs/results.md, "Users in no log".
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.world.best import largest
from darlr.world.vectors import leading

DIRECTIONS = 64  # the most directions of the covariance; more ranked no better on Coat and on the built-in world
RANKED = 1 << 22  # the most estimates that are ranked in one batch
ROUNDS = 3  # the rounds of subspace iteration


@dataclass(frozen=True)
class FoldIn:
    """The distribution of rows of r0: mean + factors theta, where each coordinate of theta is standard normal.

    mean: float32 [I]. factors: float32 [I, d]. noise: the variance of a reward around its entry. reward_range: the
    smallest and the largest estimate.
    """

    mean: Float[Tensor, " I"]
    factors: Float[Tensor, "I d"]
    noise: float
    reward_range: tuple[float, float]

    def coordinates(self, items: Int[Tensor, "B n"], rewards: Float[Tensor, "B n"]) -> Float[Tensor, "B d"]:
        """The posterior mean of theta of B cold-start users.

        items: the scope codes of each user's history, -1 for padding. rewards: in the unit of r0.
        """
        known = items.clamp(min=0)
        there = (items >= 0).double()
        x = self.factors[known].double() * there[..., None]
        surprise = (rewards.double() - self.mean[known].double()) * there
        precision = torch.eye(x.shape[-1], dtype=x.dtype) * self.noise + x.mT @ x
        theta: Tensor = torch.linalg.solve(precision, x.mT @ surprise[..., None])
        return theta.squeeze(-1).float()

    @cached_property
    def wide(self) -> Float[Tensor, "d1 I"]:
        """The factors, and below them the mean row: a product with [theta, 1] reads memory once less than a sum."""
        return torch.cat([self.factors, self.mean[:, None]], 1).T

    def best(self, coordinates: Float[Tensor, "B d"], count: int) -> Int[Tensor, "B count"]:
        """The items of the largest estimates before they are clipped, in any order.

        Equal users beside each other are searched once.
        """
        distinct, place = coordinates.unique_consecutive(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
        wide = torch.nn.functional.pad(distinct, (0, 1), value=1.0)
        parts = torch.split(wide, max(1, RANKED // len(self.mean)))
        return torch.cat([largest(part @ self.wide, count) for part in parts])[place]

    @cached_property
    def spread(self) -> tuple[Tensor, Tensor, Tensor]:
        """The mean of the mean row, the mean factors, and the covariance of both over items, float64 [1 + d, 1 + d]."""
        mean, factors = self.mean.double(), self.factors.double()
        centre, of_items = mean.mean(), factors.mean(0)
        wide = torch.cat([(mean - centre)[:, None], factors - of_items], 1)
        return centre, of_items, wide.T @ wide / len(mean)

    def rows(self, coordinates: Float[Tensor, "B d"]) -> Float[Tensor, "B I"]:
        """The rows of r0 at these coordinates, clipped to the range of rewards."""
        return (self.mean + coordinates @ self.factors.T).clamp(*self.reward_range)

    def fold_in(self, items: Int[Tensor, "B n"], rewards: Float[Tensor, "B n"]) -> Float[Tensor, "B I"]:
        """The estimated rewards of all items for B cold-start users; see `coordinates`."""
        return self.rows(self.coordinates(items, rewards))

    def known(self, reward: Float[Tensor, "U I"]) -> Float[Tensor, "U d"]:
        """The coordinates of the log's users, from their rows of r0."""
        strength = self.factors.square().sum(0).clamp(min=1e-12)
        return (reward - self.mean) @ self.factors / strength


@dataclass(frozen=True)
class Carried:
    """Another table than r0 as a linear function of the coordinates, so that cold-start users get a row of it.

    mean: float32 [I]. weight: float32 [d, I].
    """

    mean: Float[Tensor, " I"]
    weight: Float[Tensor, "d I"]

    def rows(self, coordinates: Float[Tensor, "B d"]) -> Float[Tensor, "B I"]:
        """The rows of the table at these coordinates: mean + theta weight."""
        return self.mean + coordinates @ self.weight


def fold_in_of(
    reward: Float[Tensor, "U I"], noise: float, reward_range: tuple[float, float], directions: int = DIRECTIONS
) -> FoldIn:
    """The distribution of the rows of r0 over the users of a world model. reward: r0. noise: the mean of P_U."""
    mean = reward.mean(0)
    return of_centred(mean, reward - mean, noise, reward_range, directions)


def of_centred(
    mean: Float[Tensor, " I"],
    centred: Float[Tensor, "U I"],
    noise: float,
    reward_range: tuple[float, float],
    directions: int,
) -> FoldIn:
    """The same from the mean row and the rows less the mean row."""
    basis = leading(centred, min(directions, *centred.shape), ROUNDS)
    _, strength, turn = torch.linalg.svd(centred @ basis, full_matrices=False)
    factors = basis @ (turn.T * (strength / len(centred) ** 0.5))
    return FoldIn(mean, factors.contiguous(), max(noise, 1e-6), reward_range)


def carry(fold: FoldIn, reward: Float[Tensor, "U I"], table: Float[Tensor, "U I"]) -> Carried:
    """The least-squares fit of a table of the log's users by their coordinates. reward: r0, as in `fold_in_of`."""
    mean = table.mean(0)
    theta = fold.known(reward)  # columns are uncorrelated, of variance 1, or 0 for a direction of no strength
    return Carried(mean.float(), theta.T @ (table - mean).float() / len(table))
