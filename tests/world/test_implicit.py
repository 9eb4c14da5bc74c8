from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.data.log import Block
from darlr.data.split import select
from darlr.options import WorldModelConfig
from darlr.world.fit import fit_world
from darlr.world.implicit import IMPLICIT, MOST_WEIGHT, distinct, resolve, row_weights
from tests.world.tiny import log_of

IPS = WorldModelConfig(weighting="inverse-popularity")


def test_inverse_popularity_by_hand():
    """Items with 3 and 1 events: 1/3, 1/3, 1/3, 1, of mean 1/2."""
    log = log_of([0, 1, 2, 0], [0, 0, 0, 1], [1, 0, 1, 1], 3, 2)
    np.testing.assert_allclose(row_weights(log, IPS), [2 / 3, 2 / 3, 2 / 3, 2], rtol=1e-6)
    assert row_weights(log, WorldModelConfig()).tolist() == [1, 1, 1, 1]


def test_a_rare_item_is_cut():
    """999 events of item 0 and one of item 1: weights 1/999 and 1, of mean 2/1000: 0.5005 and 500, cut at 10."""
    weight = row_weights(log_of([0] * 1000, [0] * 999 + [1], [1] * 1000, 1, 2), IPS)
    assert weight.mean().item() == pytest.approx(1, rel=1e-5)
    assert (weight[-1] / weight[0]).item() == pytest.approx(MOST_WEIGHT / (1000 / 1998), rel=1e-5)


def test_weights_move_the_fit():
    """Item 1 is rare and worth 0, item 0 common and worth 1; with no item terms the mean follows the weights."""
    log = log_of([0] * 12, [0] * 10 + [1] * 2, [1] * 10 + [0] * 2, 1, 2)
    config = WorldModelConfig(
        members=1, epochs=150, bias_decay=1e4, embedding_decay=1e4, initial_scale=0.0, dropout=0.0, learning_rate=2e-2
    )
    none = select(log, np.zeros(12, dtype=bool))
    plain, ips = (
        fit_world(log, none, c).reward.whole().mean().item() for c in (config, replace(config, weighting=IPS.weighting))
    )
    assert plain == pytest.approx(10 / 12, abs=0.05)
    assert ips == pytest.approx(0.5, abs=0.05)


def test_auto_follows_the_log():
    ratings, positives = log_of([0, 1], [0, 1], [1, 0], 2, 2), log_of([0, 1], [0, 1], [1, 1], 2, 2)
    assert not ratings.implicit
    assert resolve(WorldModelConfig(), ratings) == WorldModelConfig(
        kind="deepfm", loss="point", gradients="dense", order="whole", estimates="table"
    )
    chosen = resolve(WorldModelConfig(members=2), positives)
    assert (chosen.kind, chosen.members, chosen.embedding) == ("implicit", 2, IMPLICIT["embedding"])
    chosen = resolve(WorldModelConfig(kind="deepfm", members=2), positives)
    assert (chosen.loss, chosen.members, chosen.batch) == ("pointneg", 2, IMPLICIT["batch"])
    named = WorldModelConfig(loss="pointneg")
    assert resolve(named, positives) == replace(
        named, kind="deepfm", gradients="dense", order="whole", estimates="table"
    )


def test_users_without_events_on_the_items_are_predicted_from_their_history():
    log = log_of([0, 1], [0, 1], [1, 1], 2, 2, block=Block(np.array([0]), np.array([1])))
    assert resolve(WorldModelConfig(), log).kind == "history"
    assert resolve(WorldModelConfig(loss="pointneg"), log).kind == "deepfm"
    everyone = replace(log, block=Block(np.array([0, 1]), np.array([1])))
    assert resolve(WorldModelConfig(), everyone).kind == "deepfm"


def test_distinct_cells():
    log = log_of([0, 0, 1, 0], [1, 1, 1, 0], [1] * 4, 2, 2)
    kept = distinct(log)
    assert list(zip(kept.user, kept.item, strict=True)) == [(0, 1), (1, 1), (0, 0)]
    assert len(distinct(log, select(log, np.array([True, False, False, True])))) == 1


def test_positives_differ_from_cells_without_events_and_tables_cover_the_scope():
    """Users like items of their own half; the block of users 0 to 4 on items 0 to 9 was cut out of the log."""
    generator = np.random.default_rng(0)
    same = (np.arange(40)[:, None] % 2) == (np.arange(30) % 2)
    liked = same & (generator.random((40, 30)) < 0.7)
    liked[:5, :10] = False
    user, item = np.nonzero(liked)
    log = log_of(user, item, np.ones(len(user)), 40, 30, block=Block(np.arange(5), np.arange(10)))
    held = generator.random(len(user)) < 0.1
    config = WorldModelConfig(
        kind="deepfm", batch=32, epochs=60, patience=20, embedding_decay=0.1, learning_rate=2e-2, members=2
    )
    fitted = fit_world(select(log, ~held), select(log, held), config)
    assert fitted.config.loss == "pointneg"
    assert fitted.reward.shape == (5, 10)
    assert fitted.reward_range == (0.0, 1.0)
    assert (
        fitted.reward.whole()[torch.from_numpy(same[:5, :10])].mean()
        > fitted.reward.whole()[~torch.from_numpy(same[:5, :10])].mean() + 0.3
    )
    means, variances = fitted.predict_members()
    torch.testing.assert_close(means.mean(0), fitted.reward.whole())
    assert variances.shape == (2, 5, 10)
    assert fitted.predict_members(torch.float16)[0].dtype == torch.float16
