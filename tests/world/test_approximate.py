"""Approximate neighbours find nearly all true ones, never the user itself, and the same ones each time."""

import sys

import pytest
import torch

from darlr.errors import MachineError
from darlr.world import nearest as exact
from darlr.world.approximate import approximately_nearest


def unit(users=4000, width=16):
    vectors = torch.randn(users, width, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -1, width)
    return torch.nn.functional.normalize(vectors)


def test_most_true_neighbours_are_found():
    pytest.importorskip("faiss")
    vectors = unit()
    index, cosine = approximately_nearest(vectors, 10)
    true, _ = exact.nearest(vectors, 10)
    found = (index[:, :, None] == true[:, None]).any(1).float().mean()
    assert found > 0.95
    assert not bool((index == torch.arange(len(vectors))[:, None]).any())
    torch.testing.assert_close(cosine, (vectors[:, None] * vectors[index]).sum(-1))
    assert bool((cosine.diff() <= 0).all())
    assert torch.equal(approximately_nearest(vectors, 10)[0], index)


def test_many_users_take_the_approximate_way(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(exact, "MANY", 100)
    vectors = unit(300)
    assert torch.equal(exact.nearest(vectors, 5)[0], approximately_nearest(vectors, 5)[0])


def test_without_faiss_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MachineError, match=r"darlr\[ann\]"):
        approximately_nearest(unit(10), 2)
