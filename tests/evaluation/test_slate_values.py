"""Values of lists: by hand, and on a world whose truth is known, where intervals cover it as often as they say."""

import numpy as np
import pytest

from benchmarks.slate_values import LOGGING, TARGET, covered, log, truth, values
from darlr.evaluation import slates as module
from darlr.evaluation.held_out import Interval
from darlr.evaluation.slates import Slates, fitted, refusal, served, value_of


def test_snips_and_dr_cover_the_truth():
    found = list(values(200, resamples=250))
    shares, value = covered(found), truth(TARGET)
    for name, true in (("snips", value), ("dr", value), ("gain", value - truth(LOGGING))):
        assert 0.91 <= shares[name] <= 0.99
        assert abs(np.mean([getattr(one, name).value for one in found]) - true) < 0.01  # a fifth of the error of one
    assert shares["dm"] < 0.8  # the model is wrong


def two():
    """Two decisions of two users, the second with one item; an item without feedback."""
    reward = np.array([[1.0, np.nan], [3.0, np.nan]])
    shown = np.array([[True, True], [True, False]])
    return Slates(np.array([4, 9]), reward, shown, np.array([[0.5, 0.25], [0.2, 1.0]]))


def test_two_decisions_by_hand(monkeypatch):
    for name in ("LEAST_EFFECTIVE", "LEAST_INFORMATIVE", "LEAST_SHARE"):
        monkeypatch.setattr(module, name, 0.0)
    monkeypatch.setattr(module, "fitted", lambda slates, *parts: parts[:3])
    target, q = np.array([[0.25, 0.5], [0.4, 0.0]]), np.array([[2.0, 1.0], [2.0, 0.0]])
    e, d = np.array([[1.5, 1.0], [2.5, 0.0]]), np.array([[1.5, 2.0], [2.5, 0.0]])
    slates = two()
    slates.reward[0, 1] = 2.0
    found = value_of(slates, target, q, e, d, resamples=50)
    # weights: 0.5 and 0.5 * 2 = 1 of the first decision, 2 of the second
    snips = (2 * (0.5 * 1 + 2 * 3) / 2.5 + 1 * 2) / 3
    first = 1 * (1.5 + 2) + 0.5 * ((1 - 2) - 2) + 0.5 * (1.0 + 0) + 1 * (2 - 1)
    second = 2.5 + 2 * (3 - 2)
    assert found.snips.value == pytest.approx(snips)
    assert found.dr.value == pytest.approx((first + second) / 3)
    assert found.dm.value == pytest.approx((1.5 + 2 + 2.5) / 3)
    assert found.gain.value == pytest.approx((first + second) / 3 - (1 + 2 + 3) / 3)
    assert (found.effective, found.rank, found.support.value, found.largest) == (1.0, 2, 1.0, 2.0)


def test_predictions_are_fitted_to_the_rewards_of_others():
    draw = np.random.default_rng(0)
    model = draw.normal(size=(400, 2))
    slates = Slates(np.arange(400), np.array([5.0, 7.0]) - 2 * model, np.ones((400, 2), bool), np.ones((400, 2)))
    model[0, 0] = np.nan  # an item that the model does not know
    q, e, d = fitted(slates, model, model, model + 1)
    np.testing.assert_allclose(q[1:], slates.reward[1:])
    np.testing.assert_allclose(d[1:], slates.reward[1:] - 2)
    assert np.isfinite(e).all()


def test_refusals_say_what_is_missing():
    logged, choices = log(0)
    rare = {**choices, "target": choices["target"] * (np.arange(600) < 20)[:, None]}
    found = value_of(logged, **rare, resamples=20)
    assert found.dr is found.snips is found.dm is found.gain is None
    assert "at rank 1 the effective sample size is" in found.refused
    assert "of 600 items with feedback, and 30 are needed" in found.refused
    deep = choices["target"].copy()
    deep[20:, 1] = 0
    found = value_of(logged, **{**choices, "target": deep}, resamples=20)
    assert "the first 1 ranks have enough (option ranks)" in found.refused
    sizes, seen = np.array([100.0]), np.array([200])
    assert "only 50% of the policy's lists" in refusal(sizes, seen, Interval(0.5, 0.4, 0.6))
    assert "the propensities are not those of" in refusal(sizes, seen, Interval(2.0, 1.5, 2.5))
    assert refusal(sizes, seen, Interval(0.97, 0.9, 1.05)) is None
    same = Slates(logged.cluster, np.ones_like(logged.reward), logged.shown, logged.propensity)
    assert "rewards hardly differ" in value_of(same, **choices, resamples=20).refused


def test_arms_by_hand_and_with_the_true_difference():
    slates = two()
    whole, arms = served(slates, np.array(["b", "a"]), resamples=50)
    assert (whole.value.value, whole.items, whole.decisions) == (2.0, 2, 2)
    assert [(one.arm, one.value.value, one.items) for one in arms] == [("a", 3.0, 1), ("b", 1.0, 1)]
    assert (arms[0].more, arms[1].more.value) == (None, -2.0)
    draw, hits = np.random.default_rng(3), 0
    for seed in range(60):
        arm = draw.random(300) < 0.5
        reward = np.where(arm, 0.3, 0.0)[:, None] + draw.normal(size=(300, 2)) + draw.normal(size=(300, 1))
        logged = Slates(np.arange(300), reward, np.ones((300, 2), bool), np.ones((300, 2)))
        more = served(logged, np.where(arm, "new", "old"), seed=seed, resamples=100)[1][1].more
        hits += more.low <= -0.3 <= more.high
    assert hits >= 52
