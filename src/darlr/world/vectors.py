"""The leading directions of a matrix, and one vector for each user or item: the input of state trackers and plots."""

import torch
from jaxtyping import Float
from torch import Tensor


def leading(matrix: Float[Tensor, "n m"], size: int, rounds: int = 1) -> Float[Tensor, "m size"]:
    """An orthonormal basis of approximately the first `size` right singular vectors, by subspace iteration.

    The method is algorithm 4.4 of Halko, Martinsson and Tropp 2011. The random start has a fixed seed, so that equal
    matrices give equal bases. `size` must not exceed n or m.
    """
    start = torch.randn(matrix.shape[0], size, generator=torch.Generator().manual_seed(0))
    basis: Tensor = torch.linalg.qr(matrix.T @ start.to(matrix.device)).Q
    for _ in range(rounds):
        basis = torch.linalg.qr(matrix.T @ (matrix @ basis)).Q
    return basis


@torch.no_grad()
def principal(wide: Tensor, size: int) -> Tensor:
    """Rows [n, m] reduced to their first `size` principal components, float32 [n, size] of unit mean square.

    The members of an ensemble have different bases, so that their columns are concatenated before the reduction.
    """
    left, strength, _ = torch.linalg.svd(wide - wide.mean(0), full_matrices=False)
    return unit_square(left * strength, size)


def unit_square(vectors: Tensor, size: int) -> Tensor:
    """The first `size` columns, or all and zeros where there are fewer, scaled to unit mean square."""
    reduced = torch.nn.functional.pad(vectors[:, :size], (0, max(0, size - vectors.shape[1])))
    return (reduced / reduced.square().mean().sqrt().clamp(min=1e-12)).contiguous()
