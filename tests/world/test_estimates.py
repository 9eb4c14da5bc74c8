"""Estimates on demand give what a table gives."""

import pytest
import torch

from darlr.options import WorldModelConfig
from darlr.world.estimates import Averaged, Dense, Overlay, Variance
from darlr.world.factored import Factored
from darlr.world.fit import fit_world
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
    torch.testing.assert_close(lazy.rows(torch.arange(USERS)), whole)


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
