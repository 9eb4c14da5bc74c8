"""The world model of logs of positives alone: its closed forms, its choices, and new users."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from darlr.data.log import Block, InteractionLog
from darlr.data.split import select
from darlr.errors import ConfigError
from darlr.options import WorldModelConfig
from darlr.world.fit import fit_world
from darlr.world.fitted import load
from darlr.world.implicit import resolve
from darlr.world.low_rank import LowRank
from darlr.world.models import ease
from darlr.world.models.als import CONFIDENCE, PENALTY, folded
from darlr.world.models.ease import Gram
from darlr.world.models.histories import ages, last_events, rows_of
from darlr.world.models.implicit import RIVALS, _logistic
from tests.world.tiny import log_of

USERS, ITEMS = 60, 20


def positives(matrix: np.ndarray, **more: object) -> InteractionLog:
    user, item = np.nonzero(matrix)
    return log_of(user, item, np.ones(len(user)), *matrix.shape, **more)


def nothing(log: InteractionLog) -> InteractionLog:
    return select(log, log.user < 0)


def halves(seed: int = 0) -> InteractionLog:
    """Users like items of their own half, and of these each with probability 0.6; the last user has no event."""
    draw = np.random.default_rng(seed)
    same = (np.arange(USERS)[:, None] % 2) == (np.arange(ITEMS) % 2)
    liked = same & (draw.random((USERS, ITEMS)) < 0.6)
    liked[-1] = False
    return positives(liked)


def cycle() -> InteractionLog:
    """Item k is followed by item k + 1, after the last one by item 0; users start anywhere, and have six events."""
    draw = np.random.default_rng(0)
    item = (draw.integers(ITEMS, size=(300, 1)) + np.arange(6)) % ITEMS
    user, time = np.indices(item.shape)
    order = draw.permutation(item.size)
    columns = (part.flatten()[order] for part in (user, item))
    return log_of(*columns, np.ones(item.size), 300, ITEMS, timestamp=time.flatten()[order])


def test_factors_of_a_row_are_the_solution_of_its_equations():
    draw = np.random.default_rng(0)
    row, column = np.nonzero(draw.random((9, 7)) < 0.4)
    weight = draw.random(len(row)).astype(np.float32)
    rows, y = rows_of(row, column, weight, (9, 7)), torch.from_numpy(draw.normal(size=(7, 3)).astype(np.float32))
    dense = np.zeros((9, 7))
    dense[row, column] = weight
    known, found = y.double().numpy(), folded(rows, y)
    for number, w in enumerate(dense):
        left = known.T @ known + CONFIDENCE * (known.T * w) @ known + PENALTY * np.eye(3)
        np.testing.assert_allclose(found[number], np.linalg.solve(left, (1 + CONFIDENCE) * w @ known), atol=1e-5)


def test_item_weights_are_the_formula_and_the_largest_are_kept(monkeypatch: pytest.MonkeyPatch):
    x = (np.random.default_rng(0).random((40, 8)) < 0.3).astype(np.float64)
    row, column = np.nonzero(x)
    gram = Gram(rows_of(row, column, np.ones(len(row)), (40, 8)))
    counts = x.T @ x
    p = np.linalg.inv(counts + np.diag(np.diag(counts) + 4 * len(row) / 8))
    expected = -p / np.diag(p)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(ease.sparse(gram.weights(4.0)).toarray(), expected, atol=1e-6)
    monkeypatch.setattr(ease, "NEAREST", 3)
    kept = ease.sparse(gram.weights(4.0)).toarray()
    assert ((kept != 0).sum(0) == 3).all()
    np.testing.assert_allclose(np.abs(kept).max(0), np.abs(expected).max(0), rtol=1e-5)


def test_ages_and_the_event_that_is_held_out():
    log = log_of([0, 1, 0, 0, 1], [0, 1, 2, 3, 4], [1] * 5, 3, 5, timestamp=np.array([5, 1, 9, 5, 2]))
    assert ages(log).tolist() == [1, 1, 0, 1, 0]
    assert last_events(log, 9, 0).tolist() == [False, False, True, False, True]
    assert last_events(log, 1, 0).sum() == 1
    assert ages(replace(log, timestamp=None)).tolist() == [0] * 5
    assert (
        last_events(select(log, np.array([True, True, False, False, False])), 9, 0).sum() == 0
    )  # one event is not split


def test_a_calibration_finds_the_line_that_made_the_positives():
    draw = torch.Generator().manual_seed(0)
    score = torch.randn(40_000, generator=draw, dtype=torch.float64) * 5
    positive = torch.rand(score.shape, generator=draw, dtype=torch.float64) < (1.5 * score.asinh() - 2).sigmoid()
    slope, offset = _logistic(score[positive], score[~positive])
    assert (slope, offset) == (pytest.approx(1.5, abs=0.05), pytest.approx(-2, abs=0.06))


def test_users_get_items_of_their_half_and_a_history_gives_the_row_of_its_user(tmp_path: Path):
    log = halves()
    fitted = fit_world(log, nothing(log), WorldModelConfig(members=2))
    assert (fitted.config.kind, fitted.trained, fitted.reward_range) == ("implicit", True, (0.0, 1.0))
    reward, same = fitted.reward.whole(), torch.arange(USERS - 1)[:, None] % 2 == torch.arange(ITEMS) % 2
    assert (torch.where(same, reward[:-1], 1).amin(1) > torch.where(same, 0, reward[:-1]).amax(1)).all()
    assert fitted.metrics["chosen"]["ndcg"] > 0.4  # ten items of the half, about six of which are known
    assert 0 < reward[-1].std() < reward[0].std()  # without a history: what users like on average
    means, _ = fitted.predict_members()
    assert not torch.equal(means[0], means[1])
    most = int(np.bincount(log.user).max())
    items = torch.full((USERS, most), -1)
    for user in range(USERS):
        own = log.item[log.user == user]
        items[user, most - len(own) :] = torch.from_numpy(own)
    torch.testing.assert_close(fitted.model.fold_in(items), reward, atol=1e-5, rtol=1e-4)
    fitted.save(tmp_path / "world")
    again = load(tmp_path / "world")
    torch.testing.assert_close(again.predict_members()[0], means)


def test_new_events_count_more_where_they_tell_the_next():
    log = cycle()
    fitted = fit_world(log, nothing(log), WorldModelConfig(members=1))
    chosen = fitted.metrics["chosen"]
    assert chosen["decay"][0] < 1
    assert chosen["ndcg"] > 0.95  # the item before the first event is as near to the history as the next one
    reward, last = fitted.reward.whole(), np.lexsort((log.timestamp, log.user))[5::6]
    following = torch.from_numpy((log.item[last] + 1) % ITEMS)
    before = (following - 7) % ITEMS
    assert (reward.gather(1, following[:, None]) > reward.gather(1, before[:, None])).all()
    items = torch.from_numpy(log.item[np.lexsort((log.timestamp, log.user))].reshape(300, 6))
    torch.testing.assert_close(fitted.model.fold_in(items), reward, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(fitted.model.fold_in(items.flip(1)), reward, atol=1e-2)


def test_many_users_and_items_have_factors_alone():
    log = halves()
    fitted = fit_world(log, nothing(log), WorldModelConfig(estimates="factors"))
    assert isinstance(fitted.reward, LowRank)
    assert fitted.reward.error < 1e-3
    every, known = fitted.reward.whole(), torch.zeros(USERS, ITEMS, dtype=torch.bool)
    known[torch.from_numpy(log.user), torch.from_numpy(log.item)] = True
    same = torch.arange(USERS)[:, None] % 2 == torch.arange(ITEMS) % 2
    assert every[same & ~known].mean() > every[~same].mean() + 1 / (1 + RIVALS)


def test_other_logs_are_refused():
    ratings, blocked = log_of([0, 1], [0, 1], [1, 0], 2, 2), replace(halves(), block=Block(np.arange(2), np.arange(2)))
    for log, what in ((ratings, "ratings"), (blocked, "a block")):
        with pytest.raises(ConfigError, match=f"implicit is for logs of positives, and tiny has {what}"):
            resolve(WorldModelConfig(kind="implicit"), log)
        assert resolve(WorldModelConfig(), log).kind != "implicit"


@pytest.mark.parametrize("users", [1, 3])
def test_a_log_that_cannot_choose_is_fitted_with_defaults(users: int):
    log = log_of(range(users), range(users), [1] * users, users, 4)
    fitted = fit_world(log, nothing(log), WorldModelConfig(members=2))
    assert fitted.metrics["chosen"]["ndcg"] is None
    assert fitted.reward.whole().isfinite().all()
