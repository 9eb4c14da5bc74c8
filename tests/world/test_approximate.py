"""Approximate neighbours find nearly all true ones, never the user itself, and the same ones each time."""

import sys

import pytest
import torch

from darlr.errors import DarlrWarning, MachineError
from darlr.world import approximate
from darlr.world import nearest as exact
from darlr.world.approximate import approximately_nearest, searched_once


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


def test_neighbours_are_kept_beside_the_world_model(tmp_path, monkeypatch):
    vectors, calls = unit(50), []

    def search(unit, k):
        calls.append(k)
        return exact._of_all(unit, torch.arange(len(unit)), k)

    monkeypatch.setattr(approximate, "approximately_nearest", search)
    first, again = (searched_once(vectors, 5, tmp_path) for _ in range(2))
    assert calls == [5]
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(first, again, strict=True))
    searched_once(vectors, 4, tmp_path)
    searched_once(vectors * 0.5, 5, tmp_path)
    assert calls == [5, 4, 5]
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    assert torch.equal(searched_once(vectors, 5, tmp_path)[0], first[0])
    assert torch.equal(searched_once(vectors, 5, tmp_path)[0], first[0])
    assert calls == [5, 4, 5, 5]
    (tmp_path / "file").touch()
    with pytest.warns(DarlrWarning, match="searches the neighbours again"):
        searched_once(vectors, 5, tmp_path / "file")
