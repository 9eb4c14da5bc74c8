"""The leading directions of a matrix, without decomposing it in full."""

import torch
from jaxtyping import Float
from torch import Tensor


def leading(matrix: Float[Tensor, "n m"], size: int, rounds: int = 1) -> Float[Tensor, "m size"]:
    """An orthonormal basis of about the leading `size` right singular vectors, by subspace iteration.

    Halko, Martinsson and Tropp 2011, algorithm 4.4. The random start has a fixed seed, so that the same matrix always
    gives the same basis. `size` must not exceed n or m.
    """
    start = torch.randn(matrix.shape[0], size, generator=torch.Generator().manual_seed(0))
    basis: Tensor = torch.linalg.qr(matrix.T @ start.to(matrix.device)).Q
    for _ in range(rounds):
        basis = torch.linalg.qr(matrix.T @ (matrix @ basis)).Q
    return basis
