"""Compressed estimates: exact where the rows have few directions, with a stated error elsewhere."""

import pytest
import torch

from darlr.world import low_rank
from darlr.world.estimates import Averaged, Dense
from darlr.world.low_rank import compress

RANGE = (-10.0, 10.0)


def table(users, items, directions, noise=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    of_users, of_items = (torch.randn(n, directions, generator=generator) for n in (users, items))
    rest = noise * torch.randn(users, items, generator=generator)
    return (0.3 * of_users @ of_items.T + torch.randn(items, generator=generator) + rest).clamp(*RANGE)


@pytest.fixture(params=["all rows", "some rows"])
def rows(request, monkeypatch):
    if request.param == "some rows":
        monkeypatch.setattr(low_rank, "ROWS", 50)
        monkeypatch.setattr(low_rank, "COLUMNS", 20)
        monkeypatch.setattr(low_rank, "TESTED", 30)


def test_rows_of_few_directions_are_kept_exactly(rows):
    whole = table(120, 40, 5)
    small = compress(Dense(whole), 0.1, RANGE, directions=8)
    assert small.error < 1e-3
    users, items = torch.arange(120), torch.randint(40, (120, 7), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(small.rows(users), whole, atol=1e-3, rtol=0)
    torch.testing.assert_close(small.rows(users, items), whole.gather(1, items), atol=1e-3, rtol=0)
    torch.testing.assert_close(small.pairs(users[:, None], items), whole.gather(1, items), atol=1e-3, rtol=0)


def test_the_error_says_what_was_lost(rows):
    whole = table(120, 40, 5, noise=0.3)
    small = compress(Dense(whole), 0.1, RANGE, directions=5)
    missed = (small.rows(torch.arange(120)) - whole).square().mean().sqrt()
    spread = (whole - whole.mean(0)).square().mean().sqrt()
    assert small.error == pytest.approx(float(missed / spread), rel=0.2)
    assert small.error > 0.1


def test_cosines_of_vectors_are_those_of_centred_rows(rows):
    whole = table(120, 40, 5)
    small = compress(Dense(whole), 0.1, RANGE, directions=5)
    centred = torch.nn.functional.normalize(whole - small.fold.mean)
    short = torch.nn.functional.normalize(small.vectors())
    torch.testing.assert_close(short @ short.T, centred @ centred.T, atol=1e-3, rtol=0)


def test_an_average_of_rows_is_an_average_of_theta(rows):
    generator = torch.Generator().manual_seed(3)
    small = compress(Dense(table(120, 40, 5)), 0.1, RANGE, directions=5)
    index, weight = torch.randint(120, (120, 3), generator=generator), torch.rand(120, 3, generator=generator)
    weight /= weight.sum(1, keepdim=True)
    users = torch.arange(120)
    expected = Averaged(small, index, weight).rows(users)
    torch.testing.assert_close(small.averaged(index, weight).rows(users), expected, atol=1e-4, rtol=0)
