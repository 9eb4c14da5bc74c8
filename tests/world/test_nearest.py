"""The most alike users: found by a sketch, and the same as by comparing everyone with everyone."""

import pytest
import torch
from torch import Tensor

from darlr.world import nearest as module
from darlr.world.nearest import nearest


def unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors)


def alike(users: int, noise: float, rank: int = 3, width: int = 40) -> Tensor:
    """Vectors near a space of few dimensions; the first belongs to a user of whom nothing is known."""
    generator = torch.Generator().manual_seed(0)
    preferences = torch.randn(users, rank, generator=generator) @ torch.randn(rank, width, generator=generator)
    vectors = preferences + noise * torch.randn(users, width, generator=generator)
    vectors[0] = 0
    return unit(vectors)


def by_hand(vectors: Tensor, k: int) -> Tensor:
    cosine = vectors.double() @ vectors.double().T
    return cosine.fill_diagonal_(-torch.inf).topk(k, dim=1).values.float()


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many users were compared with everyone, call by call, in a world that is too large for it."""
    monkeypatch.setattr(module, "PAIRWISE", 10)
    monkeypatch.setattr(module, "ROWS", 64)
    monkeypatch.setattr(module, "CACHED", 3_000)
    monkeypatch.setattr(module, "SIZE", 4)
    counts: list[int] = []
    of_all = module._of_all
    monkeypatch.setattr(
        module, "_of_all", lambda vectors, users, k: counts.append(len(users)) or of_all(vectors, users, k)
    )
    return counts


@pytest.mark.parametrize("k", [1, 7, 149])
@pytest.mark.parametrize("noise", [0.0, 0.001, 0.05, 10.0])
def test_the_sketch_finds_who_is_nearest(compared: list[int], noise: float, k: int) -> None:
    vectors = alike(150, noise)
    index, cosine = nearest(vectors, k)
    assert torch.allclose(cosine, by_hand(vectors, k), atol=2e-6)
    assert torch.allclose((vectors[:, None] * vectors[index]).sum(-1), cosine, atol=2e-6)
    assert not (index == torch.arange(150)[:, None]).any()
    assert all(len(set(row)) == k for row in index.tolist())


def test_few_are_compared_with_everyone_where_preferences_are_few(compared: list[int]) -> None:
    nearest(alike(400, 0.001), 7)
    assert not compared
    nearest(alike(400, 10.0), 7)
    assert sum(compared) > 390  # where a sketch tells next to nothing


def test_small_worlds_are_compared_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_sketch", lambda _: pytest.fail("no sketch is needed"))
    vectors = alike(50, 0.1)
    assert torch.allclose(nearest(vectors, 5)[1], by_hand(vectors, 5), atol=2e-6)
