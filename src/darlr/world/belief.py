"""A Gaussian belief about what a user likes, and its exact posterior.

The row of expected rewards of a user is mean + factors theta with theta ~ N(0, I), and a reward is its entry plus noise
of a variance of the item's own. The posterior given the answers so far is in closed form (Rasmussen and Williams 2006,
equations 2.23 and 2.24). It is computed with matrices of answers x answers, so that its cost does not depend on how
many directions preferences have. The prior is fitted in `darlr.world.prior`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

PAIRS = 1024  # single predictions in one batch


@dataclass(frozen=True)
class Belief:
    """The prior. mean: float32 [I]. factors: float32 [I, d]. noise: float32 [I], the variance of a reward.

    tempering: as evidence an answer has this times the noise. More than 1 keeps a model that is not quite right from
    following answers too far (Gruenwald and van Ommen 2017, "Inconsistency of Bayesian inference for misspecified
    linear models, and a proposal for repairing it"; 1 / tempering is their learning rate).
    """

    mean: Float[Tensor, " I"]
    factors: Float[Tensor, "I d"]
    noise: Float[Tensor, " I"]
    tempering: float = 1.0

    def given(
        self, items: Int[Tensor, "B n"], rewards: Float[Tensor, "B n"], weight: Float[Tensor, "B n"] | None = None
    ) -> "Posterior":
        """The posterior of B users. items: the scope codes of their answers, -1 for padding. rewards: of the items.

        weight: the power of each answer's likelihood, above 0 and at most 1. Powers that fall with age make a belief
        that forgets (West and Harrison 1997, section 6.3): the noise of an answer is divided by its power.
        """
        known, there = items.clamp(min=0), items >= 0
        x = self.factors[known].double() * there[..., None]
        noise = self.tempering * self.noise[known].double().masked_fill(~there, 1.0)
        noise = noise if weight is None else noise / weight.double()
        root = torch.linalg.cholesky(x @ x.mT + torch.diag_embed(noise))
        whitened = torch.linalg.solve_triangular(root, x, upper=False)
        return Posterior(self, x, noise, there, root, whitened, (rewards - self.mean[known]).double() * there)


@dataclass(frozen=True)
class Posterior:
    """The posterior of B users after n answers. x: [B, n, d], the factors of the answered items, 0 for padding.

    noise: [B, n], of answers as evidence. there: bool [B, n], whether there is an answer. root: [B, n, n], the Cholesky
    factor of the covariance of the answers. whitened: root^-1 x. surprise: [B, n], the answers less their prior means.
    """

    prior: Belief
    x: Float[Tensor, "B n d"]
    noise: Float[Tensor, "B n"]
    there: Tensor
    root: Float[Tensor, "B n n"]
    whitened: Float[Tensor, "B n d"]
    surprise: Float[Tensor, "B n"]

    def theta(self) -> Float[Tensor, "B d"]:
        """The posterior mean of theta."""
        return self._of(self.surprise)

    def draw(self, normal: Float[Tensor, "B d"], noise: Float[Tensor, "B n"]) -> Float[Tensor, "B d"]:
        """A draw of theta from the posterior: a draw of the prior, moved by what it misses (Matheron's rule).

        normal, noise: independent standard normal numbers.
        """
        answers = (self.x @ normal.double()[..., None]).squeeze(-1) + noise * self.noise.sqrt() * self.there
        return normal + self._of(self.surprise - answers)

    def rows(self, theta: Float[Tensor, "B d"]) -> Float[Tensor, "B I"]:
        """The expected rewards of all items at these theta."""
        return self.prior.mean + theta @ self.prior.factors.T

    def of_items(
        self, row: Int[Tensor, " L"], item: Int[Tensor, " L"]
    ) -> tuple[Float[Tensor, " L"], Float[Tensor, " L"]]:
        """The mean and the variance of the next reward of single items, each for one of the users. row: 0 to B - 1."""
        prior, theta, parts = self.prior, self.theta(), []
        for user, shown in zip(*(torch.split(side, PAIRS) for side in (row, item)), strict=True):
            factors = prior.factors[shown]
            along = torch.einsum("lnd,ld->ln", self.whitened[user].float(), factors)
            known = (factors.square().sum(1) - along.square().sum(1)).clamp(min=0)
            parts.append(torch.stack([prior.mean[shown] + (theta[user] * factors).sum(1), known + prior.noise[shown]]))
        mean, variance = torch.cat(parts, 1)
        return mean, variance

    def variance(self) -> Float[Tensor, "B I"]:
        """The predictive variance of the next reward of each item, noise included."""
        factors = self.prior.factors
        along = torch.einsum("bnd,id->bni", self.whitened.float(), factors)
        return (factors.square().sum(1) - along.square().sum(1)).clamp(min=0) + self.prior.noise

    def _of(self, surprise: Tensor) -> Tensor:
        moved = torch.linalg.solve_triangular(self.root, surprise[..., None], upper=False)
        found: Tensor = (self.whitened.mT @ moved).squeeze(-1)
        return found.float()
