"""Implicit matrix factorisation by alternating least squares (Hu, Koren and Volinsky 2008)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

CONFIDENCE = 10.0  # alpha: the weight of a cell with an event, beyond the weight 1 of every cell
PENALTY = 10.0  # the ridge penalty of both sides
CELLS = 1 << 17  # events, padding included, whose factors are held at once


@dataclass(frozen=True)
class Rows:
    """A sparse matrix by rows: row r holds columns column[start[r] : start[r + 1]] with these weights, all above 0.

    start: int64 [n + 1]. column: int64 [nnz]. weight: float32 [nnz]. width: the number of columns.
    """

    start: Tensor
    column: Tensor
    weight: Tensor
    width: int

    @property
    def count(self) -> Tensor:
        """The number of entries of each row, int64 [n]."""
        return self.start.diff()

    def of(self, rows: Int[Tensor, " b"]) -> "Rows":
        """Some of the rows, in this order."""
        count = self.count[rows]
        start = torch.nn.functional.pad(count.cumsum(0), (1, 0))
        place = torch.arange(int(start[-1])) + (self.start[rows] - start[:-1]).repeat_interleave(count)
        return Rows(start, self.column[place], self.weight[place], self.width)

    def turned(self) -> "Rows":
        """The transposed matrix."""
        row = torch.arange(len(self.start) - 1).repeat_interleave(self.count)
        return rows_of(self.column.numpy(), row.numpy(), self.weight.numpy(), (self.width, len(self.start) - 1))

    def groups(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Rows of about the same length, int64 [b]; their columns and weights, [b, L] both, padded with weight 0.

        Rows without an entry are left out.
        """
        count = self.count
        size = (
            count.clamp(min=1).sub(1).double().add(1).log2().ceil().long()
        )  # rows of 2^(size-1) + 1 to 2^size entries
        for power in torch.unique(size[count > 0]).tolist():
            length = 1 << power
            some = ((size == power) & (count > 0)).nonzero().squeeze(1)
            for rows in torch.split(some, max(1, CELLS // length)):
                place = self.start[rows, None] + torch.arange(length)
                there = place < self.start[rows + 1, None]
                place = place.clamp(max=len(self.column) - 1)
                yield rows, self.column[place], self.weight[place] * there


def rows_of(
    row: NDArray[np.int64], column: NDArray[np.int64], weight: NDArray[np.floating], shape: tuple[int, int]
) -> Rows:
    """The matrix with these entries, [nnz] each, of which no two have the same place."""
    order = np.lexsort((column, row))
    start = np.searchsorted(row[order], np.arange(shape[0] + 1))
    values = torch.from_numpy(weight[order].astype(np.float32))
    return Rows(torch.from_numpy(start), torch.from_numpy(column[order]), values, shape[1])


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
