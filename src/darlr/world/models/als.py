"""Implicit matrix factorisation by alternating least squares (Hu, Koren and Volinsky 2008)."""

import torch
from jaxtyping import Float
from torch import Tensor

from darlr.world.models.histories import Rows

CONFIDENCE = 10.0  # alpha: the weight of a cell with an event, beyond the weight 1 of every cell
PENALTY = 10.0  # the ridge penalty of both sides


def folded(rows: Rows, other: Float[Tensor, "m d"]) -> Float[Tensor, "n d"]:
    """The factors of rows, given those of the columns, in closed form; 0 for rows without an entry.

    The factors x of a row minimise sum over columns c of (1 + CONFIDENCE w_c) (p_c - x . y_c)^2 + PENALTY |x|^2, with
    p_c = 1 for entries and 0 elsewhere. The weight w_c of an entry is 1, or less for an old one; its target is then
    lower as well, so that the entry loses its influence: p_c (1 + CONFIDENCE w_c) = (1 + CONFIDENCE) w_c.
    """
    size = other.shape[1]
    gram = other.T @ other + PENALTY * torch.eye(size)
    found = torch.zeros(len(rows.start) - 1, size)
    for some, column, weight in rows.groups():
        y = other[column]
        weighted = y * weight[..., None]
        factor = torch.linalg.cholesky(gram + CONFIDENCE * y.mT @ weighted)
        target = (1 + CONFIDENCE) * weighted.sum(1)
        found[some] = torch.cholesky_solve(target[..., None], factor).squeeze(-1)
    return found


def factorise(rows: Rows, items: Float[Tensor, "m d"], sweeps: int) -> Float[Tensor, "m d"]:
    """The factors of the columns after `sweeps` alternations from `items`. `folded` gives those of the rows."""
    columns = rows.turned()
    for _ in range(sweeps):
        items = folded(columns, folded(rows, items))
    return items
