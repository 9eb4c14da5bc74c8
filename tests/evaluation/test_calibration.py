from types import SimpleNamespace

import numpy as np
import pytest

from darlr.evaluation.held_out import auc, ndcg, quality


def held(user, reward, n_users, reward_range=(0.0, 1.0)):
    return SimpleNamespace(
        user=np.array(user), reward=np.array(reward, dtype=np.float32), n_users=n_users, reward_range=reward_range
    )


def test_auc_by_hand():
    positive = np.array([True, False, True, False])
    assert auc(np.array([0.9, 0.1, 0.4, 0.5]), positive) == 0.75  # of 4 pairs only (0.4, 0.5) is wrong
    assert auc(np.full(4, 0.3), positive) == 0.5
    assert np.isnan(auc(np.ones(2), np.array([True, True])))


def test_ndcg_by_hand():
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
