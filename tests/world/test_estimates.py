"""Estimates on demand give what a table gives."""

from dataclasses import replace

import pytest
import torch

from darlr.options import WorldModelConfig
from darlr.world.estimates import Averaged, Dense, Overlay, Variance
from darlr.world.factored import Factored
from darlr.world.fit import fit_world
from darlr.world.low_rank import compress
from tests.world.tiny import log_of

USERS, ITEMS = 7, 5


def table(seed=0):
    return torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=["deepfm", "bayesian", "mixed"])
def fitted(request):
    user, item = (axis.flatten() for axis in torch.meshgrid(torch.arange(USERS), torch.arange(ITEMS), indexing="ij"))
    log = log_of(user, item, 1 + 4 * table().flatten(), USERS, ITEMS)
    config = WorldModelConfig(kind=request.param, members=2, epochs=2, hidden=(4,))
    return fit_world(log, log, config)


@pytest.mark.parametrize("part", ["reward", "risk"])
def test_a_model_predicts_its_table_on_demand(fitted, part):
    dense = getattr(fitted, part)
    lazy = Factored(fitted.model, fitted.scale, fitted.users, fitted.items, part)
    assert lazy.shape == dense.shape
    users = torch.tensor([3, 0, 6])
    items = torch.tensor([[4, 0], [1, 1], [2, 3]])
    torch.testing.assert_close(lazy.rows(users), dense.rows(users))
    torch.testing.assert_close(lazy.rows(users, items), dense.rows(users, items))
    torch.testing.assert_close(lazy.pairs(users, items[:, 0]), dense.pairs(users, items[:, 0]))
    low, high = lazy.bounds()
    assert low <= dense.bounds()[0]
    assert dense.bounds()[1] <= high


def test_batches_do_not_change_predictions(fitted, monkeypatch):
    lazy = Factored(fitted.model, fitted.scale, fitted.users, fitted.items)
    whole = lazy.rows(torch.arange(USERS))
    monkeypatch.setattr("darlr.world.factored.CELLS", 3)
    monkeypatch.setattr("darlr.world.factored.PAIRS", 2)
    torch.testing.assert_close(lazy.rows(torch.arange(USERS)), whole)
    torch.testing.assert_close(lazy.pairs(torch.arange(USERS)[:, None], torch.arange(ITEMS)), whole)


def test_a_bilinear_model_is_held_exactly_but_for_clipping(fitted):
    if fitted.config.kind != "bayesian":
        pytest.skip("not bilinear")
    wide = replace(fitted.scale, low=-100.0, high=100.0)
    lazy = Factored(fitted.model, wide, fitted.users, fitted.items)
    short, whole = compress(lazy, 0.1, (wide.low, wide.high), directions=1), lazy.whole()
    torch.testing.assert_close(short.whole(), whole, atol=1e-5, rtol=0)
    assert short.error < 1e-5
    centred, vectors = (torch.nn.functional.normalize(rows) for rows in (whole - whole.mean(0), short.vectors()))
    torch.testing.assert_close(vectors @ vectors.T, centred @ centred.T, atol=1e-5, rtol=0)
    torch.testing.assert_close(short.theta.T @ short.theta / USERS, torch.eye(short.theta.shape[1]), atol=1e-4, rtol=0)


def test_averages_and_variances_of_neighbours_by_hand():
    base = Dense(torch.tensor([[1.0, 2.0], [3.0, 6.0], [5.0, 0.0]]))
    index = torch.tensor([[0, 1], [1, 2], [2, 0]])
    weight = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
    average, variance = Averaged(base, index, weight), Variance(base, index)
    assert average.rows(torch.arange(3)).tolist() == [[2.0, 4.0], [3.0, 6.0], [2.0, 1.5]]
    assert variance.rows(torch.arange(3)).tolist() == [[1.0, 4.0], [1.0, 9.0], [4.0, 1.0]]
    assert average.pairs(torch.tensor([2]), torch.tensor([1])).tolist() == [1.5]
    assert average.bounds() == (0.0, 6.0)
    assert variance.bounds() == (0.0, 9.0)


def test_an_overlay_equals_a_table_that_is_written_into():
    plain, generator = table(1), torch.Generator().manual_seed(2)
    overlay, start = Overlay(Dense(plain.clone())), plain.clone()
    for _ in range(20):
        user, item = (torch.randint(top, (6,), generator=generator) for top in (USERS, ITEMS))
        value = torch.rand(6, generator=generator) * 3
        for u, i, v in zip(user, item, value, strict=True):  # in order, so that the last value of a cell stays
            plain[u, i] = v
        overlay.write(user, item, value)
        assert torch.equal(overlay.rows(torch.arange(USERS)), plain)
    assert torch.equal(overlay.base.rows(torch.arange(USERS)), start)
    low, high = overlay.bounds()
    assert low <= float(plain.min())
    assert float(plain.max()) <= high
    assert len(overlay.cell) <= USERS * ITEMS
    assert bool((overlay.cell.diff() > 0).all())
