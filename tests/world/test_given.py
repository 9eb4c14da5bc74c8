"""Factors of another library as a world model: their predictions, their unit, and what does not fit is named."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import darlr
from darlr.data.unit import as_learned, unit_of
from darlr.errors import ConfigError, DataError, RunError
from darlr.options import TablesConfig, WorldModelConfig
from darlr.world.fit import fit_world
from darlr.world.fitted import load
from darlr.world.given import read_given
from darlr.world.tables import build_world
from tests.world.tiny import log_of

USERS, ITEMS, FACTORS = 6, 5, 2
DRAW = np.random.default_rng(0)
LEFT, RIGHT = DRAW.normal(0, 0.4, (USERS, FACTORS)), DRAW.normal(0, 0.4, (ITEMS, FACTORS))
OF_USER, OF_ITEM = DRAW.normal(0, 0.2, USERS), DRAW.normal(0, 0.2, ITEMS)
WHOLE = torch.from_numpy(3.0 + OF_USER[:, None] + OF_ITEM + LEFT @ RIGHT.T).float()


def given(order=range(USERS), **changed):
    """The model, its users in another order than the codes of the log."""
    order = list(order)
    wanted = {
        "user_factors": LEFT[order],
        "item_factors": RIGHT,
        "user_ids": [str(user) for user in order],
        "item_ids": range(ITEMS),
        "user_bias": OF_USER[order],
        "item_bias": OF_ITEM,
        "mean": 3.0,
    }
    wanted |= changed
    return darlr.WorldModel.from_factors(wanted.pop("user_factors"), wanted.pop("item_factors"), **wanted)


def log(reward=WHOLE, **more):
    """A log of every pair."""
    user, item = np.divmod(np.arange(USERS * ITEMS), ITEMS)
    return log_of(user, item, reward.flatten(), USERS, ITEMS, **{"reward_range": (1.0, 5.0)} | more)


def bound(model, events, estimates="table"):
    return model.bound(events, WorldModelConfig(estimates=estimates)).finish()


@pytest.mark.parametrize("estimates", ["table", "factors"])
def test_predictions_are_those_of_the_factors_by_the_ids_of_the_log(estimates, tmp_path):
    given(reversed(range(USERS))).save(tmp_path / "als")
    fitted = bound(read_given(tmp_path / "als"), log(), estimates)
    torch.testing.assert_close(fitted.reward.whole(), WHOLE, atol=1e-5, rtol=0)
    assert fitted.metrics["train_rmse"] == pytest.approx(1e-3)  # the least noise
    fitted.save(tmp_path / "world")
    again = load(tmp_path / "world")
    assert torch.equal(again.reward.whole(), fitted.reward.whole())
    assert again.config.kind == "given"
    torch.testing.assert_close(again.risk.whole(), torch.full((USERS, ITEMS), 1e-6))


def test_short_vectors_have_the_cosines_of_whole_rows():
    dense, short = (build_world(bound(given(), log(), how), log(), TablesConfig()) for how in ("table", "factors"))
    assert short.unit.shape == (USERS, FACTORS + 1)  # the factors and the user's bias
    pairs = torch.cartesian_prod(torch.arange(USERS), torch.arange(USERS)).T
    torch.testing.assert_close(short.similarity(*pairs), dense.similarity(*pairs), atol=1e-5, rtol=0)
    near, cosine = dense.neighbours(3, include_self=False)
    assert torch.equal(short.neighbours(3, include_self=False)[0], near)
    torch.testing.assert_close(short.neighbours(3, include_self=False)[1], cosine, atol=1e-5, rtol=0)
    average = [world.neighbour_reward(TablesConfig(neighbours=3)).whole() for world in (short, dense)]
    torch.testing.assert_close(*average, atol=1e-5, rtol=0)


def test_predictions_are_mapped_to_the_unit_of_learning():
    wide = 10 * (WHOLE - 3.0)  # from about -7 to 7
    recorded = log(wide, reward_range=(-10.0, 10.0))
    learned = as_learned(recorded, unit_of(recorded))
    model = given(user_factors=10 * LEFT, user_bias=10 * OF_USER, item_bias=10 * OF_ITEM, mean=0.0)
    expected = learned.unit.learn(wide)
    torch.testing.assert_close(bound(model, learned).reward.whole(), expected, atol=1e-4, rtol=0)


def test_a_line_leads_from_any_unit_to_that_of_the_log():
    model = given(user_factors=-7 * LEFT, item_factors=-RIGHT, user_bias=7 * OF_USER, item_bias=7 * OF_ITEM, mean=90.0)
    fitted = bound(replace(model, calibrate=True), log())
    torch.testing.assert_close(fitted.reward.whole(), WHOLE, atol=1e-4, rtol=0)
    assert fitted.metrics["slope"] == pytest.approx(1 / 7, rel=1e-3)
    with pytest.raises(DataError, match="do not rise with the rewards"):
        bound(given(user_factors=-LEFT, user_bias=-OF_USER, item_bias=-OF_ITEM, calibrate=True), log())


def test_on_a_log_of_positives_unlogged_items_count_as_0():
    positive = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(3)) < 0.5
    user, item = positive.nonzero(as_tuple=True)
    events = log_of(user, item, torch.ones(len(user)), USERS, ITEMS, reward_range=(0.0, 1.0))
    scores = torch.where(positive, 8.0, -4.0)  # a score that tells the two apart
    model = given(
        user_factors=scores, item_factors=np.eye(ITEMS), user_bias=None, item_bias=None, mean=0.0, calibrate=True
    )
    fitted = bound(model, as_learned(events, unit_of(events)))
    torch.testing.assert_close(fitted.reward.whole(), 4.0 * positive, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"item_factors": RIGHT[:, :1]}, r"user_factors and item_factors: \(6, 2\) and \(5, 1\)"),
        ({"user_factors": LEFT[:, 0]}, r"user_factors: is of shape \(6,\)"),
        ({"user_factors": LEFT[:0]}, r"user_factors: is of shape \(0, 2\)"),
        ({"item_bias": OF_ITEM[:2]}, r"item_bias: is of shape \(2,\), and item_factors has 5 rows"),
        ({"user_ids": ["a"]}, "user_ids: 1 ids, and user_factors has 6 rows"),
        ({"item_ids": [1, 2, 3, 4, "4"]}, "item_ids: '4' occurs twice"),
        ({"user_factors": np.full((6, 2), np.nan)}, r"user_factors: has a NaN or infinite value, first at \(0, 0\)"),
        ({"item_factors": [["a"]]}, "item_factors: is no array of numbers"),
        ({"item_factors": RIGHT + 1j}, "item_factors: is no array of numbers"),
        ({"mean": np.inf}, "mean: inf is no finite number"),
        ({"mean": None}, "mean: None is no finite number"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(changed, problem):
    with pytest.raises(DataError, match=problem):
        given(**changed)


def test_ids_of_the_log_without_factors_are_refused_by_name(tmp_path):
    short = given(item_factors=RIGHT[:4], item_ids=[0, 1, 2, "four"], item_bias=OF_ITEM[:4])
    with pytest.raises(DataError, match=re.escape("item_ids: 2 of the 5 items of tiny have no factors, first 3")):
        bound(short, log())
    given().save(tmp_path / "als")
    (tmp_path / "als" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match="damaged"):
        read_given(tmp_path / "als")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(RunError, match="no world model"):
        given().save(tmp_path / "other")
    with pytest.raises(ConfigError, match="not fitted here"):
        fit_world(log(), log(), WorldModelConfig(kind="given"))
