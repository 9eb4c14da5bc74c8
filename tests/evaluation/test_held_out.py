"""Held-out metrics against numbers by hand, slow loops, and intervals that narrow."""

from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from darlr.data.log import InteractionLog
from darlr.errors import DataError
from darlr.evaluation import held_out
from darlr.evaluation.held_out import auc, ndcg, quality, summary


def log_of(user, item, reward, users=2, items=4):
    return InteractionLog(
        name="tiny",
        user=np.array(user, dtype=np.int64),
        item=np.array(item, dtype=np.int64),
        reward=np.array(reward, dtype=np.float32),
        user_ids=tuple(range(users)),
        item_ids=tuple(range(items)),
        reward_range=(1.0, 5.0),
    )


def random_log(seed, users=20, items=30, n=300, values=(1.0, 2.0, 4.0, 5.0)):
    draw = np.random.default_rng(seed)
    cell = draw.choice(users * items, n, replace=False)
    return log_of(cell // items, cell % items, draw.choice(values, n), users, items)


NOTHING = log_of([], [], [])


def held_out_sums(table, *more):
    return held_out.held_out_sums(torch.from_numpy(table), *more)


def test_ratings_by_hand():
    log = log_of([0, 0, 0, 1], [0, 1, 2, 3], [5, 1, 3, 4])
    table = np.array([[4.0, 3.0, 3.0, 0.0], [0.0, 0.0, 0.0, 2.0]])
    found = summary(held_out_sums(table, log, NOTHING), resamples=50)
    assert found["RMSE"].value == pytest.approx(((1 + 4 + 0 + 4) / 4) ** 0.5)
    assert found["MAE"].value == pytest.approx((1 + 2 + 0 + 2) / 4)
    assert found["pairs"].value == pytest.approx((1 + 1 + 0.5) / 3)  # 3 against 1 is a tie; user 1 has no pair
    worst = summary(held_out_sums(-table, log, NOTHING), held_out_sums(table, log, NOTHING), resamples=50)
    assert worst["pairs"].value == pytest.approx(0.5 / 3 - 2.5 / 3)


def test_ndcg_by_hand():
    log = log_of([0, 0, 0], [0, 1, 2], [5, 1, 3])
    table = np.array([[1.0, 3.0, 2.0, 0.0], [0.0] * 4])
    gains, ideal = (np.array([0, 2, 4]), np.array([4, 2, 0]))
    discount = 1 / np.log2([2, 3, 4])
    found = summary(held_out_sums(table, log, NOTHING), resamples=50)["NDCG"]
    assert found.value == pytest.approx(gains @ discount / (ideal @ discount))


def test_ndcg_does_not_depend_on_a_range_that_is_declared_far_too_wide():
    log = log_of([0, 0, 0], [0, 1, 2], [5, 1, 3])
    table, wide = np.array([[1.0, 3.0, 2.0, 0.0], [0.0] * 4]), replace(log, reward_range=(-1000.0, 1000.0))
    usual, least = (summary(held_out_sums(table, one, NOTHING, 1.0), resamples=50)["NDCG"] for one in (log, wide))
    assert usual == least
    tail = log_of([0, 0, 0], [0, 1, 2], [5, -90, 3])  # below `least` there is no gain
    assert summary(held_out_sums(table, tail, NOTHING, 1.0), resamples=50)["NDCG"] == usual


@pytest.mark.parametrize("cells", [7, 2**22])
def test_pairs_match_a_slow_loop(monkeypatch, cells):
    monkeypatch.setattr(held_out, "CELLS", cells)
    log = random_log(0)
    table = np.round(np.random.default_rng(1).normal(size=(20, 30)), 1)
    shares = []
    for user in range(20):
        rows = np.flatnonzero(log.user == user)
        won = [
            float(s > t) + 0.5 * float(s == t)
            for a, b in product(rows, rows)
            if log.reward[a] > log.reward[b]
            for s, t in [(table[user, log.item[a]], table[user, log.item[b]])]
        ]
        shares += [np.mean(won)] if won else []
    assert summary(held_out_sums(table, log, NOTHING), resamples=50)["pairs"].value == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("cells", [31, 2**22])
def test_positives_match_a_slow_loop(monkeypatch, cells):
    monkeypatch.setattr(held_out, "CELLS", cells)
    log, known = random_log(0, values=(1.0,)), random_log(1, values=(1.0,), n=100)
    table = np.round(np.random.default_rng(2).normal(size=(20, 30)), 1)
    shares = []
    for user in range(20):
        hidden = set(known.item[known.user == user])
        liked = set(log.item[log.user == user]) - hidden
        others = set(range(30)) - hidden - liked
        won = [
            float(table[user, a] > table[user, b]) + 0.5 * (table[user, a] == table[user, b])
            for a, b in product(liked, others)
        ]
        shares += [np.mean(won)] if won else []
    found = summary(held_out_sums(table, log, known), resamples=50)
    assert found.keys() == {"pairs", "NDCG@30"}
    assert found["pairs"].value == pytest.approx(np.mean(shares))


def test_positives_perfect_and_worst():
    log, known = random_log(0, values=(1.0,), n=200), log_of([0], [0], [1], 20, 30)
    table = np.zeros((20, 30))
    table[log.user, log.item] = 1.0
    best = summary(held_out_sums(table, log, known), resamples=50)
    assert (best["pairs"].value, best["NDCG@30"].value) == pytest.approx((1, 1))
    assert summary(held_out_sums(-table, log, known), resamples=50)["pairs"].value == 0.0
    assert summary(held_out_sums(0 * table, log, known), resamples=50)["pairs"].value == pytest.approx(0.5)


def test_intervals_are_over_users_and_pair():
    log = random_log(3, users=200, items=30, n=3000)
    draw = np.random.default_rng(4)
    truth = np.zeros((200, 30))
    truth[log.user, log.item] = log.reward
    bias = 2 * draw.normal(size=(200, 1))  # errors that a user's events share
    worse, better = truth + bias + 0.1, truth + bias
    one, other = (held_out_sums(table, log, NOTHING) for table in (worse, better))
    wide, narrow = summary(one)["RMSE"], summary(one, other)["MAE"]
    assert wide.low < wide.value < wide.high
    error = np.square(bias[log.user, 0]).mean() ** 0.5
    assert wide.value == pytest.approx(error, rel=0.1)
    assert wide.high - wide.low > 4 * 0.5 * error / 3000**0.5 * 2  # far wider than as if events were independent
    assert narrow.high - narrow.low < (wide.high - wide.low) / 4


def test_nothing_to_measure_is_an_error():
    with pytest.raises(DataError, match="nothing can be measured"):
        held_out_sums(np.zeros((2, 4)), NOTHING, NOTHING)
    one = log_of([0], [1], [1])
    with pytest.raises(DataError, match="nothing can be measured"):
        held_out_sums(np.zeros((2, 4)), one, one)


def held(user, reward, n_users, reward_range=(0.0, 1.0)):
    return SimpleNamespace(
        user=np.array(user), reward=np.array(reward, dtype=np.float32), n_users=n_users, reward_range=reward_range
    )


def test_auc_by_hand():
    positive = np.array([True, False, True, False])
    assert auc(np.array([0.9, 0.1, 0.4, 0.5]), positive) == 0.75  # of 4 pairs only (0.4, 0.5) is wrong
    assert auc(np.full(4, 0.3), positive) == 0.5
    assert np.isnan(auc(np.ones(2), np.array([True, True])))


def test_ndcg_of_a_completed_matrix_by_hand():
    log = held([0, 0, 1, 1, 1, 2], [1, 5, 3, 1, 3, 2], 4, (1.0, 5.0))
    worst, right = 4 / np.log2(3), 4.0  # user 0: gains 0 and 4, in the wrong order
    second = 2 + 2 / np.log2(3)  # user 1: gains 2, 0, 2; the best order
    assert ndcg(np.array([2.0, 1.0, 9.0, 1.0, 8.0, 1.0]), log) == pytest.approx((worst / right + second / second) / 2)


def test_tied_events_share_their_gain():
    assert ndcg(np.zeros(2), held([0, 0], [1, 0], 1)) == pytest.approx((0.5 + 0.5 / np.log2(3)) / 1.0)


def test_calibration_is_the_gap_of_the_deciles():
    predicted = np.repeat([0.2, 0.6], 10)
    seen = np.repeat([0.0, 1.0, 0.0, 1.0], [7, 3, 6, 4])  # 0.3 where 0.2 is predicted, 0.4 where 0.6
    found = quality(predicted, held(np.zeros(20, dtype=int), seen, 1))
    assert found.deciles == (pytest.approx((0.2, 0.3)), pytest.approx((0.6, 0.4)))
    assert found.calibration == pytest.approx(0.15)


def test_a_constant_has_one_bin():
    found = quality(np.full(4, 0.5), held([0, 0, 0, 0], [0, 1, 1, 1], 1))
    assert found.deciles == ((0.5, 0.75),)
    assert (found.calibration, found.rmse) == (0.25, 0.5)
