"""The order of events in an epoch: each member reads each event once, however they are shuffled."""

import numpy as np
import pytest
import torch

from darlr.options import WorldModelConfig
from darlr.world import implicit
from darlr.world.implicit import resolve
from darlr.world.kind import scale_of
from darlr.world.models import trainer
from darlr.world.models.adagrad import RowAdagrad
from darlr.world.models.deepfm import DeepFM
from darlr.world.models.features import encode
from darlr.world.models.trainer import Trainer
from tests.world.tiny import log_of

EVENTS = 30
LOG = log_of(np.arange(EVENTS) % 7, np.arange(EVENTS) % 5, 1 + np.arange(EVENTS) % 3, 7, 5)


def trainer_of(order, log=LOG, **more):
    config = resolve(WorldModelConfig(order=order, members=3, batch=4, hidden=(4,), **more), log)
    generator = torch.Generator().manual_seed(0)
    model = DeepFM(encode(7, ()), encode(5, ()), config, generator)
    return Trainer(model, log, config, scale_of(log, config), generator)


@pytest.mark.parametrize("order", ["whole", "blocks"])
def test_each_member_reads_every_event_once_in_its_own_order(order, monkeypatch):
    monkeypatch.setattr(trainer, "BLOCK", 3)
    monkeypatch.setattr(trainer, "POOL", 9)
    one = trainer_of(order)
    picked = torch.cat(list(one.minibatches()), 1)
    assert torch.equal(picked.sort(1).values, torch.arange(EVENTS).expand(3, -1))
    assert not torch.equal(picked[0], picked[1])
    again = torch.cat(list(one.minibatches()), 1)
    assert not torch.equal(picked, again)
    if order == "blocks":  # the first pool is three whole blocks, the same for all members
        first = picked[:, :9].sort(1).values
        assert torch.equal(first, first[:1].expand(3, -1))
        blocks = (first[0] // 3).unique()
        assert len(blocks) == 3
        assert blocks.tolist() != [0, 1, 2]


def test_events_that_lie_in_a_file_are_trained_on_as_those_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "BLOCK", 4)
    monkeypatch.setattr(trainer, "POOL", 12)
    arrays = {}
    for name in ("user", "item", "reward"):
        np.save(tmp_path / f"{name}.npy", getattr(LOG, name))
        arrays[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="c")
    mapped = log_of(**arrays, n_users=7, n_items=5)
    both = [trainer_of("blocks", log) for log in (LOG, mapped)]
    assert len({one.epoch() for one in both}) == 1
    assert torch.equal(both[0].model.user.vector_table, both[1].model.user.vector_table)


def test_row_wise_adagrad_by_hand():
    """Row 1 has the gradients (3, 4), of mean square 12.5, and then (0, 5), of mean square 12.5 again."""
    table = torch.nn.Parameter(torch.ones(3, 2))
    optimiser = RowAdagrad([table], lr=0.5)
    for value in ([[1.0, 4.0], [2.0, 0.0]], [[0.0, 5.0], [0.0, 0.0]]):  # two entries of one row are added up
        table.grad = torch.sparse_coo_tensor(torch.tensor([[1, 1]]), torch.tensor(value), (3, 2), check_invariants=True)
        optimiser.step()
    moved = [0.5 * 3 / 12.5**0.5, 0.5 * (4 / 12.5**0.5 + 5 / 25**0.5)]
    expected = torch.tensor([[1.0, 1.0], [1 - moved[0], 1 - moved[1]], [1.0, 1.0]])
    torch.testing.assert_close(table.detach(), expected)


def test_the_plan_takes_blocks_above_a_number_of_events(monkeypatch):
    assert resolve(WorldModelConfig(), LOG).order == "whole"
    monkeypatch.setattr(implicit, "EVENTS", EVENTS - 1)
    assert resolve(WorldModelConfig(), LOG).order == "blocks"
    assert resolve(WorldModelConfig(order="whole"), LOG).order == "whole"
