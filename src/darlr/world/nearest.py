"""Who is most alike, exactly, without comparing all pairs in full where there are many users."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.world.directions import leading

PAIRWISE = 4096  # users up to which all pairs are compared in full: a second
ROWS = 1024  # users whose cosines with everyone are held at once
SIZE = 128  # of a sketch
CACHED = 1 << 21  # numbers of candidates that are compared at once: what the last cache holds
SLACK = 1e-5  # of a cosine, for rounding


@dataclass(frozen=True)
class Sketch:
    """Unit vectors by few coordinates [U, q]; rest: the length of what these leave out, [U].

    cos(u, v) is the product of coordinates, give or take rest_u * rest_v (Cauchy and Schwarz).
    """

    coordinates: Float[Tensor, "U q"]
    rest: Float[Tensor, " U"]


def nearest(unit: Float[Tensor, "U F"], k: int) -> tuple[Int[Tensor, "U k"], Float[Tensor, "U k"]]:
    """The k other users with the largest cosine, best first, and the cosines. unit: vectors of length 1, or zeros."""
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
    """The k nearest of some users among everyone."""
    best = _others(unit[users] @ unit.T, users).topk(k, dim=1)
    return best.indices, best.values


def _of_candidates(unit: Tensor, sketch: Sketch, users: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """The k nearest of some users among those whom the sketch puts first, and whether nobody else can be nearer."""
    count = min(2 * k + 32, unit.shape[0] - 1)
    first = _others(sketch.coordinates[users] @ sketch.coordinates.T, users).topk(count, dim=1)
    size = max(1, CACHED // (count * unit.shape[1]))
    parts = zip(torch.split(users, size), torch.split(first.indices, size), strict=True)
    cosine = torch.cat([_each(unit, some, candidates) for some, candidates in parts])
    best = cosine.topk(k, dim=1)
    most = first.values[:, -1] + sketch.rest[users] * sketch.rest.max() + SLACK  # what any other may have
    proven = (best.values[:, -1] >= most) | ~unit[users].any(1)  # zeros are as near to all
    return first.indices.gather(1, best.indices), best.values, proven


def _each(unit: Tensor, users: Tensor, candidates: Tensor) -> Tensor:
    """Cosines of users [n] with candidates of their own [n, m]."""
    rows = unit.index_select(0, candidates.flatten()).view(*candidates.shape, -1)
    return torch.bmm(unit[users][:, None], rows.mT).squeeze(1)  # several times faster than rows @ user


def _others(scores: Tensor, users: Tensor) -> Tensor:
    """Scores of some users with everyone, themselves last."""
    return scores.scatter_(1, users[:, None], -torch.inf)


def _sketch(unit: Tensor) -> Sketch:
    """Coordinates along the leading directions."""
    coordinates = unit @ leading(unit, min(SIZE, unit.shape[1]))
    rest = (unit.square().sum(1) - coordinates.square().sum(1)).clamp(min=0).sqrt()
    return Sketch(coordinates, rest)
