"""Sparse feedback vectors, on which a linear layer for all users costs a fraction of the dense product."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

SPARSE = 0.02  # the largest share of non-zero entries; above it the dense product is as fast
USERS = 2048  # with more users, the dense product of the users of a minibatch alone is soon cheaper


@dataclass(frozen=True)
class Bags:
    """The non-zero entries of a matrix by row: the columns and the values, [nnz], and where each row starts, [rows]."""

    place: Int[Tensor, " nnz"]
    value: Float[Tensor, " nnz"]
    start: Int[Tensor, " rows"]

    def times(self, table: Float[Tensor, "columns out"]) -> Float[Tensor, "rows out"]:
        """The product of the matrix and a table, without gradient."""
        return embedding_bag(self.place, table.contiguous(), self.start, mode="sum", per_sample_weights=self.value)


class _Product(torch.autograd.Function):
    """X w^T of a sparse X. Its gradient by w is (X^T g)^T for the gradient g of the product."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, rows: Bags, columns: Bags) -> Tensor:
        ctx.columns = columns
        return rows.times(weight.T)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        return ctx.columns.times(upstream).T, None, None


@dataclass(frozen=True)
class Entries:
    """The non-zero entries of the p_u of all users, and the mean [F] and the scale with which `standardise` works."""

    rows: Bags
    columns: Bags
    mean: Float[Tensor, " F"]
    scale: float

    def through(self, layer: nn.Linear) -> Float[Tensor, "U out"]:
        """The layer's output for the standardised p_u of every user."""
        product: Tensor = _Product.apply(layer.weight, self.rows, self.columns)  # type: ignore[no-untyped-call]
        through = (product - layer.weight @ self.mean) / self.scale
        return through if layer.bias is None else through + layer.bias


def entries(vectors: Float[Tensor, "U F"]) -> Entries | None:
    """The entries of feedback vectors; None where they are too many to save time."""
    n_users, width = vectors.shape
    if int(torch.count_nonzero(vectors)) > SPARSE * min(n_users, USERS) * width:
        return None
    mean, rows = vectors.mean(0), _bags(vectors)
    squares = rows.value.double().square().sum() - n_users * mean.double().square().sum()
    scale = float((squares / (vectors.numel() - 1)).clamp(min=0).sqrt()) + 1e-12
    return Entries(rows, _bags(vectors.T), mean, scale)


def _bags(matrix: Tensor) -> Bags:
    row, column = matrix.nonzero(as_tuple=True)
    count = torch.bincount(row, minlength=matrix.shape[0])
    return Bags(column, matrix[row, column], count.cumsum(0) - count)
