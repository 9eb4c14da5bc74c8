"""Nearest neighbours by cosine. Where there are many users, most pairs are compared by a sketch, or not at all."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.world.approximate import MANY, searched_once
from darlr.world.vectors import leading

PAIRWISE = 4096  # up to this number of users all pairs are compared in full, which takes about a second
ROWS = 1024  # the number of users whose cosines with all others are held at once
SIZE = 128  # the number of coordinates of a sketch
CACHED = 1 << 21  # the most numbers in one batch of candidates: they fit the last-level cache
SLACK = 1e-5  # the largest rounding error of a cosine


@dataclass(frozen=True)
class Sketch:
    """Unit vectors, projected onto q directions: the coordinates [U, q], and the lengths of the residuals, rest [U].

    cos(u, v) differs from the product of coordinates by at most rest_u * rest_v (the Cauchy-Schwarz inequality).
    """

    coordinates: Float[Tensor, "U q"]
    rest: Float[Tensor, " U"]


def nearest(
    unit: Float[Tensor, "U F"], k: int, folder: Path | None = None
) -> tuple[Int[Tensor, "U k"], Float[Tensor, "U k"]]:
    """The k other users with the largest cosine for each user, best first, and the cosines.

    unit: rows of length 1 or 0. k must be smaller than U. Above `darlr.world.approximate.MANY` users most of the
    neighbours are found, and not all; they are kept in the folder, if there is one, and not searched again.
    """
    if unit.shape[0] > MANY:
        return searched_once(unit, k, folder)
    sketch = _sketch(unit) if unit.shape[0] > PAIRWISE else None
    index, cosine = [], []
    for users in torch.split(torch.arange(unit.shape[0], device=unit.device), ROWS):
        if sketch is None:
            best, value = _of_all(unit, users, k)
        else:
            best, value, proven = _of_candidates(unit, sketch, users, k)
            if not bool(proven.all()):
                best[~proven], value[~proven] = _of_all(unit, users[~proven], k)
        index.append(best)
        cosine.append(value)
    return torch.cat(index), torch.cat(cosine)


def _of_all(unit: Tensor, users: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest neighbours of `users`, by their cosines with all users."""
    best = _others(unit[users] @ unit.T, users).topk(k, dim=1)
    return best.indices, best.values


def _of_candidates(unit: Tensor, sketch: Sketch, users: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """The k nearest neighbours of `users` among the best by the sketch, and whether no other user can be nearer."""
    count = min(2 * k + 32, unit.shape[0] - 1)
    first = _others(sketch.coordinates[users] @ sketch.coordinates.T, users).topk(count, dim=1)
    size = max(1, CACHED // (count * unit.shape[1]))
    parts = zip(torch.split(users, size), torch.split(first.indices, size), strict=True)
    cosine = torch.cat([_each(unit, some, candidates) for some, candidates in parts])
    best = cosine.topk(k, dim=1)
    most = first.values[:, -1] + sketch.rest[users] * sketch.rest.max() + SLACK  # bounds all other cosines
    proven = (best.values[:, -1] >= most) | ~unit[users].any(1)  # a zero vector has cosine 0 with everyone
    return first.indices.gather(1, best.indices), best.values, proven


def _each(unit: Tensor, users: Tensor, candidates: Tensor) -> Tensor:
    """The cosines [n, m] of each user [n] with its own candidates [n, m]."""
    rows = unit.index_select(0, candidates.flatten()).view(*candidates.shape, -1)
    return torch.bmm(unit[users][:, None], rows.mT).squeeze(1)  # several times faster than rows @ user


def _others(scores: Tensor, users: Tensor) -> Tensor:
    """The scores of `users` with all users, in place -inf with themselves."""
    return scores.scatter_(1, users[:, None], -torch.inf)


def _sketch(unit: Tensor) -> Sketch:
    """The projection of unit vectors onto their leading directions."""
    coordinates = unit @ leading(unit, min(SIZE, unit.shape[1]))
    rest = (unit.square().sum(1) - coordinates.square().sum(1)).clamp(min=0).sqrt()
    return Sketch(coordinates, rest)
