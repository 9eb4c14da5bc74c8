"""A Gaussian belief about what a user likes: its prior, fitted on the log's users, and its exact posterior.

The row of expected rewards of a user is mean + factors theta with theta ~ N(0, I), and a reward is its entry plus noise
of a variance of the item's own. The posterior given the answers so far is in closed form (Rasmussen and Williams 2006,
equations 2.23 and 2.24). It is computed with matrices of answers x answers, so that its cost does not depend on how
many directions preferences have.

The prior comes from the log alone. Of ratings it is the mean and the covariance of the rows of the log's users, by the
draws of a factorisation machine from its posterior (`darlr.world.models.bayesian`). Of positives it is the maximum
likelihood fit of probabilistic principal components to the users' rows of 0 and 1 (Tipping and Bishop 1999).
"""

from dataclasses import dataclass

import numpy as np
import scipy  # its solvers load when they are first used
import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.data.log import IntArray, InteractionLog
from darlr.data.scope import scope_of
from darlr.options import WorldModelConfig
from darlr.world.fit import train_world
from darlr.world.implicit import distinct
from darlr.world.kind import Scale, WorldModel
from darlr.world.models.bayesian import BayesianFM
from darlr.world.models.history import strongest
from darlr.world.models.mixture import posterior_of

DIRECTIONS = 64  # the most directions of preference
LEVEL = 1.0  # of positives: the prior deviation of the level of a user's row, as a multiple of the mean row
USERS = 20_000  # the most users whose rows give the covariance; of more, evenly spread ones are taken
LEAST = 1e-4  # the smallest variance of a reward, in squared units of the range of rewards


@dataclass(frozen=True)
class Belief:
    """The prior. mean: float32 [I]. factors: float32 [I, d]. noise: float32 [I], the variance of a reward."""

    mean: Float[Tensor, " I"]
    factors: Float[Tensor, "I d"]
    noise: Float[Tensor, " I"]

    def given(self, items: Int[Tensor, "B n"], rewards: Float[Tensor, "B n"]) -> "Posterior":
        """The posterior of B users. items: the scope codes of their answers, -1 for padding. rewards: of the items."""
        known, there = items.clamp(min=0), items >= 0
        x = self.factors[known].double() * there[..., None]
        noise = self.noise[known].double().masked_fill(~there, 1.0)
        root = torch.linalg.cholesky(x @ x.mT + torch.diag_embed(noise))
        whitened = torch.linalg.solve_triangular(root, x, upper=False)
        return Posterior(self, x, noise, there, root, whitened, (rewards - self.mean[known]).double() * there)


@dataclass(frozen=True)
class Posterior:
    """The posterior of B users after n answers. x: [B, n, d], the factors of the answered items, 0 for padding.

    noise: [B, n]. there: bool [B, n], whether there is an answer. root: [B, n, n], the Cholesky factor of the
    covariance of the answers. whitened: root^-1 x. surprise: [B, n], the answers less their prior means.
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

    def variance(self) -> Float[Tensor, "B I"]:
        """The predictive variance of the next reward of each item, noise included."""
        factors = self.prior.factors
        along = torch.einsum("bnd,id->bni", self.whitened.float(), factors)
        return (factors.square().sum(1) - along.square().sum(1)).clamp(min=0) + self.prior.noise

    def _of(self, surprise: Tensor) -> Tensor:
        moved = torch.linalg.solve_triangular(self.root, surprise[..., None], upper=False)
        found: Tensor = (self.whitened.mT @ moved).squeeze(-1)
        return found.float()


def fit_belief(log: InteractionLog, held_out: InteractionLog, seed: int = 0) -> Belief:
    """The prior of the users of a log, for the items of its scope. seed: of the sampler."""
    if log.implicit:
        return _of_positives(log)
    fit = train_world(log, held_out, WorldModelConfig("bayesian", members=1, seed=seed))
    found = belief_of(fit.model, fit.scale, log)
    assert found is not None
    return found


def belief_of(model: WorldModel, scale: Scale, log: InteractionLog) -> Belief | None:
    """The same from a world model that was fitted to the log; None where it is of ratings and has no posterior."""
    if log.implicit:
        return _of_positives(log)
    posterior = posterior_of(model)
    if posterior is None:
        return None
    scope = scope_of(log)
    users, items = (torch.from_numpy(side) for side in (_some(scope.users), scope.items))
    mean, factors, variance = of_draws(posterior, users, items)
    noise = torch.full_like(mean, variance * scale.spread**2)
    return Belief(scale.centre + scale.spread * mean, scale.spread * factors, noise)


def of_draws(model: BayesianFM, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor, float]:
    """The mean [I] and the factors [I, d] of the covariance of the users' rows, and the noise, in standardised units.

    The covariance is that of the users in each draw, averaged over draws, plus that of the mean row between draws. A
    new user's row is uncertain in both ways. Of several members every so many draws are taken, as many as one has.
    """
    some = slice(None, None, model.members)
    tables = {"user_linear": users, "user_vector": users, "item_linear": items, "item_vector": items}
    linear, vector, of_items, item_vector = (
        getattr(model, name).flatten(0, 1)[some, codes].double() for name, codes in tables.items()
    )
    of_user = torch.cat([linear[..., None], vector], -1)
    of_item = torch.cat([torch.ones_like(of_items)[..., None], item_vector], -1)  # [draws, I, 1 + f]
    centre = of_user.mean(1)
    rows = of_items + (of_item @ centre[..., None]).squeeze(-1)
    centred = of_user - centre[:, None]
    inside = torch.linalg.cholesky(
        centred.mT @ centred / len(users) + 1e-9 * torch.eye(of_user.shape[-1], dtype=torch.float64)
    )
    mean = rows.mean(0)
    wide = torch.cat([(of_item @ inside).permute(1, 0, 2).flatten(1), (rows - mean).T], 1) / len(rows) ** 0.5
    return mean.float(), _leading(wide).float(), float(model.noise.mean())


def _some(users: IntArray) -> IntArray:
    """At most USERS of the users, evenly spread."""
    return users[:: -(-len(users) // USERS)] if len(users) else users


def _leading(wide: Tensor) -> Tensor:
    """The factors [I, d] whose products are nearest to those of the rows of `wide` [I, p]."""
    _, turn = torch.linalg.eigh(wide.T @ wide)
    leading: Tensor = wide @ turn[:, -min(DIRECTIONS, *wide.shape) :]
    return leading


def _of_positives(log: InteractionLog) -> Belief:
    """The prior from the rows of 0 and the positive reward of the users who may have logged the scope's items.

    A log of positives says little about how many of the shown items a user likes. The level of a row is therefore one
    more direction of preference, of the deviation LEVEL.
    """
    scope, missing = scope_of(log), log.unit.zero
    positive = float(log.reward[0]) - missing
    cells, learners = distinct(log), _some(scope.candidates(log))
    place = np.full(log.n_items, -1)
    place[scope.items] = np.arange(len(scope.items))
    row = np.full(log.n_users, -1)
    row[learners] = np.arange(len(learners))
    kept = (row[cells.user] >= 0) & (place[cells.item] >= 0)
    pairs = row[cells.user[kept]], place[cells.item[kept]]
    shape = len(learners), len(scope.items)
    rows = scipy.sparse.csr_matrix((np.full(len(pairs[0]), positive), pairs), shape=shape)
    mean = np.asarray(rows.mean(0)).ravel()
    variance = np.asarray(rows.multiply(rows).mean(0)).ravel() - mean**2
    count = min(DIRECTIONS, min(shape) - 1)
    centred = scipy.sparse.linalg.LinearOperator(
        shape,
        matvec=lambda v: rows @ v.ravel() - mean @ v.ravel(),
        rmatvec=lambda v: rows.T @ v.ravel() - mean * v.sum(),
        dtype=np.float64,
    )
    _, strength, right = strongest(centred, count)
    spread = strength**2 / shape[0]
    rest = max((variance.sum() - spread.sum()) / max(shape[1] - count, 1), 0.0)
    factors = right.T * np.sqrt(np.clip(spread - rest, 0, None))
    noise = np.clip(variance - (factors**2).sum(1), LEAST * positive**2, None)
    factors = np.concatenate([factors, LEVEL * mean[:, None]], 1)
    return Belief(*(torch.from_numpy(part.astype(np.float32)) for part in (mean + missing, factors, noise)))
