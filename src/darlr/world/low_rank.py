"""Estimates of a few numbers for each user and each item, in place of a table that would not fit.

r0(u, i) = mean_i + theta_u . factors_i, within the range of rewards. The factors are directions in which users' rows
of r0 differ: for a bilinear world model all of them, in closed form, and exact but for clipping; for any other its
leading ones. `LowRank.error` states the loss. What is computed from rows can be computed from theta: the weighted
average of users' rows is that of their theta, and cosines of centred rows are cosines of scaled theta.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.world.estimates import Dense, Estimate
from darlr.world.factored import Bilinear, Factored
from darlr.world.fold_in import DIRECTIONS, Carried, FoldIn, fold_in_of, of_centred

ROWS, LEAST = 4096, 1024  # users whose whole rows give the directions, at most and where there are many items
SAMPLE = 1 << 26  # cells of these rows, where they are more than LEAST
COLUMNS = 512  # items whose predictions give the theta of the other users
TESTED = 256  # other users whose whole rows tell the error
CELLS = 1 << 24  # numbers of a batch of rows
NOTHING = 1e-12  # the share of the variance of rows that directions of a bilinear model may have and be left out


@dataclass(frozen=True)
class LowRank(Estimate):
    """fold: mean [I], factors [I, d] and the range of rewards. theta: float32 [U, d], of unit variance over users.

    error: the root mean square error of these estimates, on users whose rows did not give the directions, in standard
    deviations of the world model's rows around the mean row; 0 where nothing was compressed.
    """

    fold: FoldIn
    theta: Float[Tensor, "U d"]
    error: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """(U, I)."""
        return len(self.theta), len(self.fold.mean)

    @property
    def device(self) -> torch.device:
        """Where the factors lie."""
        return self.theta.device

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """mean_i + theta_u . factors_i, clipped to the range of rewards."""
        user, item = torch.broadcast_tensors(user, item)  # type: ignore[no-untyped-call]
        theta, factors = self.theta.index_select(0, user.flatten()), self.fold.factors.index_select(0, item.flatten())
        product = (theta * factors).sum(1) + self.fold.mean[item.flatten()]
        return product.clamp_(*self.fold.reward_range).view(user.shape)

    def rows(self, user: Tensor, items: Tensor | None = None) -> Tensor:
        """Estimates of each user's own items, or of all items."""
        theta = self.theta.index_select(0, user)
        if items is None:
            return self.fold.rows(theta)
        factors = self.fold.factors.index_select(0, items.flatten()).view(*items.shape, -1)
        found = torch.baddbmm(self.fold.mean[items][..., None], factors, theta[..., None]).squeeze(-1)
        return found.clamp_(*self.fold.reward_range)

    def best(self, user: Tensor, count: int) -> Tensor:
        """The items with the largest estimates before they are clipped."""
        return self.fold.best(self.theta.index_select(0, user), count)

    def moments(self) -> tuple[Tensor, Tensor]:
        """The standard deviation and the mean of each user's estimates before they are clipped, in closed form."""
        (centre, of_items, covariance), theta = self.fold.spread, self.theta.double()
        whole = torch.cat([theta.new_ones(len(theta), 1), theta], 1)
        variance = ((whole @ covariance) * whole).sum(1).clamp(min=0)
        return variance.sqrt().float(), (centre + theta @ of_items).float()

    def bounds(self) -> tuple[float, float]:
        """The range of rewards."""
        return self.fold.reward_range

    def vectors(self) -> Float[Tensor, "U d"]:
        """Theta in units of reward: their dot products, and so cosines, are those of rows less the mean row."""
        vectors: Tensor = self.theta * self.fold.factors.norm(dim=0)
        return vectors

    def averaged(self, index: Int[Tensor, "U k"], weight: Float[Tensor, "U k"]) -> "LowRank":
        """The weighted average of neighbours' rows, clipped after averaging instead of before."""
        parts = zip(torch.split(index, 1 << 16), torch.split(weight, 1 << 16), strict=True)
        theta = [torch.einsum("uk,ukd->ud", some, self.theta[near]) for near, some in parts]
        return replace(self, theta=torch.cat(theta))


def compress(
    estimate: Estimate, noise: float, reward_range: tuple[float, float], seed: int = 0, directions: int = DIRECTIONS
) -> LowRank:
    """The leading `directions` of an estimate's rows, or all of a bilinear world model.

    noise: the variance of a logged reward around its row. Where there are at most ROWS users, all rows give the
    directions, and theta is their projection. Otherwise `sampled` users do, drawn by the seed, and the theta of every
    user is the least-squares fit to its estimates of COLUMNS items, those that tell the directions best.
    """
    users = estimate.shape[0]
    order = torch.randperm(users, generator=torch.Generator().manual_seed(seed)).to(estimate.device)
    if isinstance(estimate, Factored) and isinstance(estimate.model, Bilinear):
        fold, theta = _exact(*_sides(estimate, estimate.model), noise, reward_range)
        some = order[:TESTED]
        return LowRank(fold, theta, _error(fold, theta[some], _rows(estimate, some)))
    count = sampled(*estimate.shape)
    own, tested = order[:count], order[count : count + TESTED]
    rows = _rows(estimate, own)
    if users <= ROWS:
        fold = fold_in_of(rows, noise, reward_range, directions)
        theta = torch.empty(users, fold.factors.shape[1], device=rows.device)
        theta[own] = fold.known(rows)
        return LowRank(fold, theta, _error(fold, theta[own], rows))
    mean = rows.mean(0)
    fold = of_centred(mean, rows.sub_(mean), noise, reward_range, directions)
    del rows
    theta = _fitted(estimate, fold, torch.arange(users, device=order.device))
    return LowRank(fold, theta, _error(fold, theta[tested], _rows(estimate, tested)))


def sampled(users: int, items: int) -> int:
    """How many users give the directions of the rows of all."""
    return users if users <= ROWS else min(ROWS, max(LEAST, SAMPLE // items))


def carried_factors(reward: LowRank, table: LowRank) -> Carried:
    """The least-squares fit of another estimate of the same factors by the users' theta, for cold-start users."""
    mean = table.theta.mean(0)
    weight = reward.theta.T @ (table.theta - mean) / len(table.theta)
    return Carried(table.fold.mean + table.fold.factors @ mean, weight @ table.fold.factors.T)


def _sides(estimate: Factored, model: Bilinear) -> tuple[Tensor, Tensor, float]:
    """X, Y and c, with r0 = X Y^T + c but for clipping."""
    left, right = model.bilinear(estimate.users, estimate.items)
    return left, right * estimate.scale.spread, estimate.scale.centre


def _exact(
    left: Float[Tensor, "U p"], right: Float[Tensor, "I p"], shift: float, noise: float, limits: tuple[float, float]
) -> tuple[FoldIn, Float[Tensor, "U d"]]:
    """All directions of the rows left right^T + shift, and theta, by decompositions of p x p matrices alone.

    With the covariance E D E^T of the columns of `left`, W = (left - mean) E D^-1/2 has unit variance, and the rows
    less the mean row are W B^T with B = right E D^1/2. The eigenvectors V of B^T B make B V orthogonal.
    """
    mean = left.mean(0, dtype=torch.float64)
    spread, turn = torch.linalg.eigh(_gram(left, mean) / len(left))
    kept = spread > 1e-15 * spread[-1]
    spread, turn = spread[kept], turn[:, kept]
    own, other = turn / spread.sqrt(), turn * spread.sqrt()
    strength, turned = torch.linalg.eigh(other.T @ _gram(right, torch.zeros_like(mean)) @ other)
    rest = strength.cumsum(0)  # in ascending order: the share of the directions up to each
    turned = turned[:, rest > NOTHING * rest[-1]].flip(1)
    own, other = own @ turned, other @ turned
    theta = torch.cat([((some - mean) @ own).float() for some in torch.split(left, ROWS)])
    row = torch.cat([(some.double() @ mean + shift).float() for some in torch.split(right, ROWS)])
    factors = torch.cat([(some.double() @ other).float() for some in torch.split(right, ROWS)])
    return FoldIn(row, factors, max(noise, 1e-6), limits), theta


def _gram(side: Float[Tensor, "n p"], mean: Tensor) -> Tensor:
    """The sum of the outer products of the rows less a mean, float64 [p, p]."""
    total = torch.zeros(side.shape[1], side.shape[1], dtype=torch.float64, device=side.device)
    for some in torch.split(side, ROWS):
        total += (some - mean).T @ (some - mean)
    return total


def _rows(estimate: Estimate, users: Tensor) -> Float[Tensor, "n I"]:
    size = max(1, CELLS // estimate.shape[1])
    rows = torch.empty(len(users), estimate.shape[1], device=users.device)
    for part, place in zip(torch.split(users, size), torch.split(rows, size), strict=True):
        place.copy_(estimate.rows(part))
    return rows


def _error(fold: FoldIn, theta: Tensor, rows: Tensor) -> float:
    """Root mean square error in standard deviations of rows around the mean row."""
    spread = (rows - fold.mean).square().mean().sqrt().clamp(min=1e-12)
    return float((fold.rows(theta) - rows).square().mean().sqrt() / spread)


def _fitted(estimate: Estimate, fold: FoldIn, users: Tensor) -> Float[Tensor, "U d"]:
    """Theta of users by least squares, from their estimates of the COLUMNS most telling items."""
    columns = telling(fold.factors, min(COLUMNS, len(fold.factors)))
    x = fold.factors[columns].double()
    ridge = 1e-6 * x.square().sum() / x.shape[1] * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    solve = torch.linalg.solve(x.T @ x + ridge, x.T).T.float()  # [COLUMNS, d]
    of = _columns(estimate, columns)
    mean = fold.mean[columns]
    return torch.cat([(of(part) - mean) @ solve for part in torch.split(users, max(1, CELLS // len(columns)))])


def _columns(estimate: Estimate, columns: Tensor) -> Callable[[Tensor], Tensor]:
    if isinstance(estimate, Factored):
        return estimate.over(columns)
    if isinstance(estimate, Dense):
        return lambda users: estimate.table[users][:, columns]
    return lambda users: estimate.rows(users, columns.expand(len(users), -1))


def telling(factors: Float[Tensor, "I d"], count: int) -> Int[Tensor, " count"]:
    """The items with the largest leverage, those whose estimates pin theta down best, in the order of their codes."""
    strength = factors.norm(dim=0).clamp(min=1e-12)
    leverage = (factors / strength).square().sum(1)
    places: Tensor = leverage.topk(count).indices.sort().values
    return places
