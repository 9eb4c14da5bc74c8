"""One vector for each user or item: the input of state trackers, of diversity and of plots."""

import torch
from torch import Tensor


@torch.no_grad()
def principal(wide: Tensor, size: int) -> Tensor:
    """Rows [n, m] reduced to their leading `size` principal directions, float32 [n, size] of unit mean square.

    The members of an ensemble have different bases; their columns are therefore joined before the reduction.
    """
    left, strength, _ = torch.linalg.svd(wide - wide.mean(0), full_matrices=False)
    return unit_square(left * strength, size)


def unit_square(vectors: Tensor, size: int) -> Tensor:
    """The first `size` columns, zeros where there are fewer, scaled to unit mean square."""
    reduced = torch.nn.functional.pad(vectors[:, :size], (0, max(0, size - vectors.shape[1])))
    return (reduced / reduced.square().mean().sqrt().clamp(min=1e-12)).contiguous()
