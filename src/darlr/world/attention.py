"""Reference users by likelihood: a posterior mean, moved by the residuals of the users who logged the item (method.md).

    r(u, i) = r0(u, i) + sum_v a_uv (r_vi - r0(v, i)),   a_uv = s k_uv / (1 + s sum_w k_uw),   k_uv = exp(-d_uv)

over the users v != u who logged i. That is a softmax with a null reference of weight 1, whose residual is 0: with s = 0
the estimate is r0. The metric d_uv = sum_j m_j (x_uj - x_vj)^2 compares what r0 says of two users and the residuals of
their histories, and a session belongs to the history of its user. s and m are not negative. They maximise the Gaussian
likelihood of logged rewards that r0, the residuals and the metric's vectors have not seen (`darlr.world.cross_fit`).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy  # its solvers load when they are first used
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from darlr.world.cross_fit import CrossFit
from darlr.world.vectors import leading

DIRECTIONS = 8  # of r0, along which users are compared
PRIOR_EVENTS = 10.0  # the number of events without a residual that a history counts beside its own
TARGETS = 8192  # the most logged cells whose likelihood is maximised
START = 0.5, 0.05  # of the search: s times the mean number of users who logged an item, and each m_j


class Attended(NamedTuple):
    """What references add to r0, their weights, which add up to less than 1, and who they are.

    shift: sum_v a_uv (r_vi - r0(v, i)). weight: a_uv, 0 for users who did not log the item.
    """

    shift: Float[Tensor, " B"]
    weight: Float[Tensor, "B U"]


@dataclass(frozen=True)
class Vectors:
    """Users as the metric sees them: along each direction what r0 says, and the sum and the number of residuals."""

    taste: Float[Tensor, "U d"]
    total: Float[Tensor, "U d"]
    count: Float[Tensor, " U"]

    def joined(self) -> Float[Tensor, "U d2"]:
        """x_u: the tastes, and the shrunken mean residuals."""
        return torch.cat([self.taste, self.total / (self.count + PRIOR_EVENTS)[:, None]], 1)


@dataclass(frozen=True)
class Compass:
    """The directions in which users are compared.

    directions: [I, d], of r0's rows around their mean. taste, profile: what both parts of x are divided by.
    """

    directions: Float[Tensor, "I d"]
    taste: Float[Tensor, " d"]
    profile: Float[Tensor, " d"]

    def of(self, reward: Float[Tensor, "U I"], residual: Float[Tensor, "U I"], there: Bool[Tensor, "U I"]) -> Vectors:
        """The vectors of users, given r0 and the residuals of their histories, which are 0 outside of them."""
        taste = (reward - reward.mean(0)) @ self.directions / self.taste
        return Vectors(taste, residual @ self.directions / self.profile, there.sum(1).float())


@dataclass(frozen=True)
class Attention:
    """The learned weights. metric: m. strength: s, 0-d. gain: the rise of the log likelihood over s = 0, in nats.

    residual: r_vi - r0(v, i) of logged cells by fits that did not see them, 0 elsewhere. there: where cells are logged.
    """

    compass: Compass
    metric: Float[Tensor, " d2"]
    strength: Float[Tensor, ""]
    vectors: Vectors
    residual: Float[Tensor, "U I"]
    there: Bool[Tensor, "U I"]
    gain: float

    def attend(
        self,
        user: Int[Tensor, " B"],
        item: Int[Tensor, " B"],
        shown: Int[Tensor, "B T"],
        felt: Float[Tensor, "B T"],
    ) -> Attended:
        """The references of B recommendations.

        shown: the items of the session so far, -1 for none. felt: their rewards less r0, of any value where no item is.
        """
        seen = shown >= 0
        along = self.compass.directions[shown.clamp(min=0)] * (felt * seen)[..., None]
        held = self.vectors
        total = held.total[user] + along.sum(1) / self.compass.profile
        own = Vectors(held.taste[user], total, held.count[user] + seen.sum(1)).joined()
        others = self.there[:, item].T & (torch.arange(len(self.there), device=user.device) != user[:, None])
        weight = weights(own, self.vectors.joined(), others, self.metric, self.strength)
        return Attended((weight * self.residual[:, item].T).sum(1), weight)

    def state(self) -> dict[str, Tensor]:
        """All tensors by name, for a file."""
        named = {"metric": self.metric, "strength": self.strength, "residual": self.residual, "there": self.there}
        return {**vars(self.compass), **{f"of_{n}": t for n, t in vars(self.vectors).items()}, **named}


def load_attention(tensors: dict[str, Tensor], gain: float) -> Attention:
    """What `Attention.state` gave. Raises KeyError where a tensor is missing."""
    compass = Compass(*(tensors[name] for name in ("directions", "taste", "profile")))
    vectors = Vectors(*(tensors[f"of_{name}"] for name in ("taste", "total", "count")))
    metric, strength, residual, there = (tensors[name] for name in ("metric", "strength", "residual", "there"))
    return Attention(compass, metric, strength, vectors, residual, there, gain)


def weights(
    query: Float[Tensor, "B d2"],
    key: Float[Tensor, "U d2"],
    there: Bool[Tensor, "B U"],
    metric: Float[Tensor, " d2"],
    strength: Float[Tensor, ""],
) -> Float[Tensor, "B U"]:
    """a_uv for the users v who are `there`, else 0. A row adds up to less than 1; the rest is the null reference's."""
    distance = (query.square() @ metric)[:, None] + key.square() @ metric - 2 * (query * metric) @ key.T
    kernel = torch.exp(-distance.clamp(min=0)) * there * strength
    return kernel / (1 + kernel.sum(1, keepdim=True))


class Targets(NamedTuple):
    """Logged cells to predict, of one fold: what is compared, what is added, and what r0 misses."""

    query: Float[Tensor, "n d2"]
    key: Float[Tensor, "U d2"]
    there: Bool[Tensor, "n U"]
    residual: Float[Tensor, "n U"]
    missed: Float[Tensor, " n"]


def compass_of(
    reward: Float[Tensor, "U I"],
    residual: Float[Tensor, "U I"],
    there: Bool[Tensor, "U I"],
    like: Float[Tensor, "I d"] | None = None,
) -> Compass:
    """The leading directions of r0, such that both parts of x have unit variance; a part without spread stays 0.

    like: other directions, to which these are turned as near as a rotation brings them (orthogonal Procrustes problem).
    """
    users, items = reward.shape
    directions = leading(reward - reward.mean(0), min(DIRECTIONS, users, items)) * items**0.5
    if like is not None:
        left, _, right = torch.linalg.svd(directions.T @ like)
        directions = directions @ left @ right
    plain = torch.ones(directions.shape[1])
    raw = Compass(directions, plain, plain).of(reward, residual, there)
    own = raw.total / (raw.count + PRIOR_EVENTS)[:, None]
    return Compass(directions, *(part.std(0, correction=0).clamp(min=1e-6) for part in (raw.taste, own)))


def fit_attention(reward: Float[Tensor, "U I"], crossed: CrossFit, seed: int) -> Attention:
    """Maximise the likelihood of the logged cells. reward: r0 of the fit to all of them.

    A cell of fold k is predicted by r0 of the fit without fold k, and by the residuals of the cells of other folds,
    each of the fit without its fold and without k. With a residual variance of its own, the log likelihood of n cells
    rises with -n/2 log of their mean squared error. The weights stay 0 unless this gain exceeds their number (Akaike
    1974). seed: draws TARGETS cells, where there are more.
    """
    residual, there = crossed.residual, crossed.fold >= 0
    compass = compass_of(reward, residual, there)
    share = min(1.0, TARGETS / max(1, int(there.sum())))
    kept = there & (torch.rand(there.shape, generator=torch.Generator().manual_seed(seed)) < share)
    parts = [_targets(compass, crossed, k, kept) for k in range(len(crossed.base))]
    cells = sum(len(part.missed) for part in parts)
    width = 2 * compass.directions.shape[1]
    raters = float(there.sum()) / there.shape[1]
    logs = [math.log(max(_squared(parts, torch.zeros(1 + width), 1.0)[0] / max(cells, 1), 1e-12))]
    found = scipy.optimize.minimize(
        lambda at: _loss(parts, at, raters, cells),
        np.array([START[0], *[START[1]] * width]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * (1 + width),
    )
    gain = cells / 2 * (logs[0] - float(found.fun))
    best = torch.from_numpy(found.x).float() if gain > 1 + width else torch.zeros(1 + width)
    strength, metric = best[0] / max(raters, 1.0), best[1:]
    vectors = compass.of(reward, residual, there)
    return Attention(compass, metric, strength, vectors, residual, there, max(gain, 0.0) * bool(best[0] > 0))


def _targets(compass: Compass, crossed: CrossFit, k: int, kept: Bool[Tensor, "U I"]) -> Targets:
    """The cells of fold k. Their directions are those of the fit without them: directions of r0 would know them."""
    residual, there = crossed.without(k)
    own = compass_of(crossed.base[k], residual, there, compass.directions)
    key = own.of(crossed.base[k], residual, there).joined()
    user, item = ((crossed.fold == k) & kept).nonzero().unbind(1)
    missed = crossed.reward[user, item] - crossed.base[k][user, item]
    return Targets(key[user], key, there[:, item].T, residual[:, item].T, missed)


def _squared(parts: list[Targets], at: Float[Tensor, " p"], raters: float) -> tuple[float, NDArray[np.float64]]:
    """The summed squared errors of the cells, and their gradient. at: s times `raters`, and m."""
    at = at.requires_grad_()
    total, slope = 0.0, torch.zeros_like(at)
    for part in parts:
        weight = weights(part.query, part.key, part.there, at[1:], at[0] / max(raters, 1.0))
        error = (part.missed - (weight * part.residual).sum(1)).square().sum()
        slope += torch.autograd.grad(error, at)[0]
        total += float(error.detach())
    return total, slope.double().numpy()


def _loss(
    parts: list[Targets], at: NDArray[np.float64], raters: float, cells: int
) -> tuple[float, NDArray[np.float64]]:
    """The log of the mean squared error, and its gradient."""
    total, slope = _squared(parts, torch.from_numpy(at).float(), raters)
    total = max(total, 1e-12 * cells)
    return math.log(total / cells), slope / total
