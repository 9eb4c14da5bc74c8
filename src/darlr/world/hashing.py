"""Random numbers that are a hash of what they belong to, so that they do not depend on what else is asked for."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

GOLDEN = 0x9E3779B1  # 2**32 over the golden ratio, odd
MASK = 2**32 - 1


def hashed(x: Tensor) -> Tensor:
    """A 32-bit hash of int64, in int64 (lowbias32 of C. Wellons' hash-prospector); overflow keeps the low bits."""
    x = x & MASK
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK
    return x ^ (x >> 16)


def uniform(x: Tensor) -> Tensor:
    """The hashes as float32 in [0, 1)."""
    return (x >> 8).float() / 2**24


def normals(first: Tensor, second: Tensor, count: int, seed: int) -> Float[Tensor, "B count"]:
    """Standard normal numbers, a hash of (seed, first, second), by the transform of Box and Muller.

    first, second: int64 [B], such as users and turns.
    """
    key = hashed(hashed(first + 1 + seed * 7919) + second + 1)[:, None]
    place = torch.arange(count, device=first.device)
    radius, angle = (uniform(hashed(key + GOLDEN * (2 * place + k))) for k in (1, 2))
    return (-2 * torch.log1p(-radius)).sqrt() * torch.cos(2 * math.pi * angle)
