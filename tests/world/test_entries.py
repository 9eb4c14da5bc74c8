"""A layer on feedback vectors by their entries equals the layer on the dense, standardised table."""

import pytest
import torch
from torch import nn

from darlr.io.tensors import moved
from darlr.world.entries import entries
from darlr.world.feedback import standardise


def vectors(share, n_users=40, width=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    numbers = 1 + torch.rand(n_users, width, generator=generator)
    numbers[torch.rand(n_users, width, generator=generator) >= share] = 0.0
    numbers[[3, n_users - 1]] = 0.0  # users and items without feedback
    numbers[:, 5] = 0.0
    return numbers


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_through_entries_is_the_layer_on_the_dense_table(bias):
    p = vectors(0.015)
    torch.manual_seed(0)
    layer, weight = nn.Linear(60, 7, bias=bias), torch.randn(40, 7)
    found, expected = entries(p).through(layer), layer(standardise(p))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for given, by in zip(
        torch.autograd.grad((found * weight).sum(), layer.parameters()),
        torch.autograd.grad((expected * weight).sum(), layer.parameters()),
        strict=True,
    ):
        torch.testing.assert_close(given, by, rtol=1e-4, atol=1e-4)


def test_many_entries_are_left_to_the_dense_product():
    assert entries(vectors(0.1)) is None
    assert entries(vectors(0.01)) is not None
    assert entries(torch.zeros(4, 3)).through(nn.Linear(3, 2)).isfinite().all()  # nothing logged at all


def test_entries_move_as_one():
    there = moved(entries(vectors(0.01)), "meta")
    assert {part.device.type for bags in (there.rows, there.columns) for part in vars(bags).values()} == {"meta"}
    assert there.mean.device.type == "meta"
