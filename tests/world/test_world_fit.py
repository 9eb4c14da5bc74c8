import math
import socket
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from darlr.data.log import Block, FeatureColumn
from darlr.data.scope import Scope
from darlr.data.split import split
from darlr.errors import ConfigError, DataError, RunError
from darlr.options import SplitConfig, WorldModelConfig
from darlr.world.estimates import Dense
from darlr.world.fit import Fit, fit_world
from darlr.world.fitted import Scale, load
from darlr.world.models.bias import choose_bias, fit_bias
from darlr.world.models.deepfm import DeepFM
from darlr.world.models.features import encode
from darlr.world.models.trainer import NegativeSampler, Trainer
from tests.world.tiny import log_of

QUICK = WorldModelConfig(members=3, embedding=4, hidden=(16,), epochs=3, batch=64)
make_log = partial(log_of, reward_range=(1.0, 5.0))


def checkerboard(n_users=30, n_items=24, share=0.5, seed=0):
    """Even users like even items: no bias can see it. Parity is no feature; a constant one is."""
    generator = np.random.default_rng(seed)
    user, item = np.nonzero(generator.random((n_users, n_items)) < share)
    reward = np.where((user + item) % 2 == 0, 5.0, 1.0)
    constant = FeatureColumn("one", "categorical", np.zeros(n_items, dtype=np.int64), ("a",))
    return make_log(user, item, reward, n_users, n_items, item_features=(constant,))


def test_same_seed_same_tables_and_another_seed_others():
    train, held_out = split(checkerboard(), SplitConfig())
    first, second = fit_world(train, held_out, QUICK), fit_world(train, held_out, QUICK)
    assert torch.equal(first.reward.whole(), second.reward.whole())
    assert torch.equal(first.item_vectors, second.item_vectors)
    other = fit_world(train, held_out, WorldModelConfig(**{**vars(QUICK), "seed": 1}))
    assert not torch.equal(first.reward.whole(), other.reward.whole())


def test_global_generators_are_left_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    train, held_out = split(checkerboard(), SplitConfig())
    fit_world(train, held_out, QUICK)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("gradients", ["dense", "sparse"])
def test_solves_a_checkerboard_that_no_bias_can(gradients):
    train, held_out = split(checkerboard(), SplitConfig())
    config = WorldModelConfig(
        members=2, embedding_decay=0.1, batch=32, epochs=80, patience=4, learning_rate=2e-2, gradients=gradients
    )
    fitted = fit_world(train, held_out, config)
    assert fitted.metrics["held_out_rmse"] < 1.0  # any bias model: 2.0
    like = (torch.arange(30)[:, None] + torch.arange(24)) % 2 == 0
    assert float(((fitted.reward.whole() > 3) == like).float().mean()) > 0.9


def test_the_priors_gradient_is_that_of_its_density():
    log, generator = checkerboard(), torch.Generator().manual_seed(0)
    config = WorldModelConfig(**{**vars(QUICK), "bias_decay": 2.0, "embedding_decay": 7.0, "loss": "point"})
    sides = encode(log.n_users, ()), encode(log.n_items, log.item_features)
    model = DeepFM(*sides, config, generator)
    trainer = Trainer(model, log, config, Scale(3.0, 2.0, 1.0, 5.0), generator)
    sides = model.user, model.item
    tables = [table for side in sides for table in (side.vector_table, side.linear_table)]
    with torch.no_grad():
        for table in tables:
            table.copy_(torch.randn(table.shape, generator=generator))
    density = sum(2.0 * side.linear.square().sum() + 7.0 * side.embedding.square().sum() for side in sides)
    wanted = torch.autograd.grad(0.5 * density / len(log), tables)
    for table in tables:
        table.grad = torch.ones_like(table)  # what the events say
    trainer.prior()
    for table, slope in zip(tables, wanted, strict=True):
        torch.testing.assert_close(table.grad, 1 + slope)


def test_tables_are_the_ensemble_of_the_members():
    train, held_out = split(checkerboard(), SplitConfig())
    fitted = fit_world(train, held_out, QUICK)
    reward, variance = fitted.predict_members()
    assert reward.shape == (3, 30, 24)
    torch.testing.assert_close(fitted.reward.whole(), reward.mean(0))
    torch.testing.assert_close(fitted.risk.whole(), variance.amax(0))
    assert not torch.equal(reward[0], reward[1])
    assert fitted.reward.whole().min() >= 1
    assert fitted.reward.whole().max() <= 5
    assert fitted.item_vectors.shape == (24, 4)
    assert float(fitted.user_vectors.square().mean()) == pytest.approx(1.0, rel=1e-4)


def test_the_best_held_out_epoch_is_kept():
    train, held_out = split(checkerboard(), SplitConfig())
    seen = []
    config = WorldModelConfig(members=2, hidden=(16,), epochs=40, patience=3, embedding_decay=0.0, learning_rate=3e-2)
    fitted = fit_world(train, held_out, config, seen.append)
    losses = [report.held_out_loss for report in seen]
    best = fitted.metrics["best_epoch"]
    assert losses[best] == min(losses)
    assert len(seen) == best + 3 + 1  # stopped by patience, not by the budget
    error = fitted.reward.whole().numpy()[held_out.user, held_out.item] - held_out.reward
    assert fitted.metrics["held_out_rmse"] >= np.sqrt((error**2).mean()) - 1e-4  # clipping can only help
    assert fitted.metrics["history"][best]["held_out_loss"] == losses[best]


def test_save_and_load_give_the_same_model(tmp_path):
    train, held_out = split(checkerboard(), SplitConfig())
    fitted = fit_world(train, held_out, QUICK)
    fitted.save(tmp_path / "a world")
    left = tmp_path / f".a world.draft-{socket.gethostname()}-99999999"
    left.mkdir()
    (left / "model.json").write_text("left by a killed process")
    fitted.save(tmp_path / "a world")  # replaces
    tensors, facts = tmp_path / "a world" / "model.safetensors", tmp_path / "a world" / "model.json"
    assert tensors.stat().st_mode == facts.stat().st_mode  # readable for others too, where the umask says so
    again = load(tmp_path / "a world")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a world"]
    for name in ("user_vectors", "item_vectors"):
        assert torch.equal(getattr(fitted, name), getattr(again, name))
    for name in ("reward", "risk"):
        assert torch.equal(getattr(fitted, name).whole(), getattr(again, name).whole())
    assert torch.equal(fitted.predict_members()[0], again.predict_members()[0])
    assert (fitted.config, fitted.scale, fitted.metrics) == (again.config, again.scale, again.metrics)


def test_missing_and_damaged_models_are_named(tmp_path):
    with pytest.raises(RunError, match=r"no world model.*darlr fit"):
        load(tmp_path)
    train, held_out = split(checkerboard(), SplitConfig())
    fit_world(train, held_out, QUICK).save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path)
    (tmp_path / "model.json").write_text('{"schema": 99}')
    with pytest.raises(RunError, match="schema 99"):
        load(tmp_path)


def test_tables_that_contradict_themselves_are_refused(tmp_path):
    train, held_out = split(checkerboard(), SplitConfig())
    fitted = fit_world(train, held_out, QUICK)
    for change, message in (
        ({"reward": Dense(fitted.reward.whole()[:, :-1])}, "reward is of shape"),
        ({"risk": Dense(fitted.risk.whole() * math.nan)}, "risk has a NaN"),
        ({"user_vectors": fitted.user_vectors[1:]}, "user_vectors is of shape"),
    ):
        replace(fitted, **change).save(tmp_path / "world")
        with pytest.raises(RunError, match=f"damaged world model .*{message}"):
            load(tmp_path / "world")


def test_no_held_out_rows_runs_all_epochs():
    log = checkerboard()
    empty = make_log([], [], [], 30, 24, item_features=log.item_features)
    fitted = fit_world(log, empty, QUICK)
    assert fitted.metrics["best_epoch"] == 3
    assert fitted.metrics["held_out_loss"] is None
    with pytest.raises(DataError, match="training log is empty"):
        fit_world(empty, log, QUICK)


@pytest.mark.parametrize("options", [{"members": 0}, {"hidden": ()}, {"dropout": 1.0}, {"learning_rate": 0.0}])
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(ConfigError, match="option"):
        WorldModelConfig(**options)


def test_negatives_avoid_logged_cells_and_the_block():
    log = make_log([0, 0, 1], [0, 1, 2], [1, 2, 3], 3, 5, block=Block(np.array([0, 2]), np.array([3])))
    sampler = NegativeSampler(log)
    user = torch.arange(3).repeat(2, 200)
    item, found = sampler.draw(user, torch.Generator().manual_seed(0))
    assert found.all()
    drawn = [set(item[user == u].tolist()) for u in range(3)]
    assert drawn == [{2, 4}, {0, 1, 3, 4}, {0, 1, 2, 4}]


def test_a_user_without_free_cells_gets_no_negatives():
    log = make_log([0, 0], [0, 1], [1, 2], 2, 2)
    item, found = NegativeSampler(log).draw(torch.tensor([0, 1]), torch.Generator().manual_seed(0))
    assert found.tolist() == [False, True]
    assert item.shape == (2,)


def test_pointneg_pulls_unlogged_cells_down_but_not_the_block():
    """Every user logs items 0-9; items 10-14 are never logged; 15-19 are the block of users 0-9, logged by others."""
    user, item = (a.ravel() for a in np.meshgrid(np.arange(20), np.arange(10), indexing="ij"))
    user, item = np.r_[user, np.repeat(np.arange(10, 20), 5)], np.r_[item, np.tile(np.arange(15, 20), 10)]
    config = WorldModelConfig(members=2, loss="pointneg", batch=64, epochs=15, learning_rate=6e-3, embedding_decay=1.0)
    inside = []
    for block in (Block(np.arange(10), np.arange(15, 20)), None):
        train, held_out = split(make_log(user, item, 4.0 + (item % 2), 20, 20, block=block), SplitConfig())
        fitted = fit_world(train, held_out, config)
        everything = Scope(np.arange(20), np.arange(20), 20, 20)
        reward = Fit(fitted.model, fitted.config, fitted.scale, {}, everything).finish().reward.whole()
        assert reward[:, 10:15].mean() < 1.0
        inside.append(float(reward[:10, 15:].mean()))
    assert inside[0] > inside[1] + 0.5


def test_bias_model_by_hand():
    # mean 3; with an infinite user strength only items move: (5 - 3 + 5 - 3) / (2 + 2) = 1
    log = make_log([0, 1, 0, 1], [0, 0, 1, 1], [5, 5, 1, 1], 2, 3)
    model = fit_bias(log, 1e12, 2.0)
    np.testing.assert_allclose(model.item, [1.0, -1.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(model.table()[0], [4.0, 2.0, 3.0], atol=1e-9)
    np.testing.assert_allclose(model.predict(np.array([1]), np.array([1])), [2.0], atol=1e-9)


def test_bias_strengths_are_chosen_on_held_out_rows():
    generator = np.random.default_rng(0)
    user, item = generator.integers(0, 20, 400), generator.integers(0, 20, 400)
    noise = make_log(user, item, generator.integers(1, 6, 400), 20, 20)
    train, held_out = split(noise, SplitConfig(held_out=0.3))
    assert choose_bias(train, held_out).user_strength == 50.0  # pure noise: shrink as far as offered


def test_coat_world_model_is_better_than_biases_on_held_out_log(data_folder):
    from darlr.data.sources import open_source

    log = open_source("coat", raw=data_folder)
    train, held_out = split(log, SplitConfig())
    bias = choose_bias(train, held_out)  # chosen on the same rows, so the comparison favours it
    error = bias.predict(held_out.user, held_out.item) - held_out.reward
    fitted = fit_world(train, held_out, WorldModelConfig(epochs=6))
    assert fitted.metrics["held_out_rmse"] < np.sqrt((error**2).mean())


def test_on_average_a_sparse_gradient_has_the_prior_of_a_dense_one():
    log, generator, rounds = checkerboard(), torch.Generator().manual_seed(0), 1000
    config = WorldModelConfig(**{**vars(QUICK), "embedding_decay": 7.0, "loss": "point", "gradients": "sparse"})
    model = DeepFM(encode(log.n_users, ()), encode(log.n_items, ()), config, generator)
    trainer = Trainer(model, log, config, Scale(3.0, 2.0, 1.0, 5.0), generator)
    total = torch.zeros(model.user.vector_table.shape)
    for _ in range(rounds):
        rows = torch.randint(len(log), (config.batch,), generator=generator).numpy()
        for side, codes in ((model.user, log.user), (model.item, log.item)):
            place = torch.from_numpy(np.unique(codes[rows]))
            for table in (side.vector_table, side.linear_table):
                empty = torch.zeros(len(place), table.shape[1])
                table.grad = torch.sparse_coo_tensor(place[None], empty, table.shape, check_invariants=False)
        trainer.prior()
        total += model.user.vector_table.grad.to_dense()
    first = slice(log.n_users)  # the batches are those of the first member
    dense = 7.0 / len(log) * model.user.vector_table.detach()[first]
    torch.testing.assert_close((total / rounds)[first], dense, rtol=0.1, atol=1e-6)
