"""Off-policy estimates: by hand, on a world whose truth is known, and refused where events do not suffice."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.data.log import InteractionLog
from darlr.evaluation.off_policy import Bandit, bandit_of, mean_reward, off_policy
from darlr.evaluation.sections import off_policy_section
from darlr.policies.fixed import Random, UserGreedy

USERS, ITEMS, EVENTS = 150, 5, 3


def by_hand(monkeypatch):
    """Three events of two users; weights 0.5/0.25 = 2, 0.1/0.2 = 0.5, 0.4/0.8 = 0.5."""
    monkeypatch.setattr("darlr.evaluation.off_policy.LEAST_EFFECTIVE", 1.0)
    monkeypatch.setattr("darlr.evaluation.off_policy.LEAST_INFORMATIVE", 1.0)
    return Bandit(
        user=np.array([4, 4, 9]),
        reward=np.array([1.0, 0.0, 2.0]),
        propensity=np.array([0.25, 0.2, 0.8]),
        target=np.array([0.5, 0.1, 0.4]),
        predicted=np.array([0.5, 0.5, 1.0]),
        expected=np.array([0.6, 0.6, 1.2]),
    )


def test_three_events_by_hand(monkeypatch):
    found = off_policy(by_hand(monkeypatch), resamples=200)
    assert found.effective == pytest.approx(3**2 / (4 + 0.25 + 0.25))
    assert (found.support.value, found.largest, found.users, found.clipped) == (1.0, 2.0, 2, 0)
    assert found.dm.value == pytest.approx((0.6 + 0.6 + 1.2) / 3)
    assert found.snips.value == pytest.approx((2 * 1 + 0.5 * 2) / 3)
    assert found.dr.value == pytest.approx(0.8 + (2 * 0.5 + 0.5 * -0.5 + 0.5 * 1) / 3)


def test_clipping_by_hand(monkeypatch):
    found = off_policy(by_hand(monkeypatch), clip=1.0, resamples=200)
    assert (found.clip, found.clipped, found.largest) == (1.0, 1, 2.0)
    assert found.effective == pytest.approx(4 / 1.5)
    assert found.snips.value == pytest.approx((1 * 1 + 0.5 * 2) / 2)
    assert found.dr.value == pytest.approx(0.8 + (0.5 - 0.25 + 0.5) / 3)
    assert found.support.value == 1.0  # of the weights as they are


def world(seed=0):
    """True rewards [U, I], the log's policy [U, I], and another policy [U, I] whose value is known."""
    draw = np.random.default_rng(seed)
    truth = draw.uniform(1, 4, (USERS, ITEMS))
    logging, target = (np.exp(draw.normal(size=(USERS, ITEMS))) for _ in range(2))
    return truth, logging / logging.sum(1, keepdims=True), target / target.sum(1, keepdims=True)


def logged(truth, logging, target, model, seed):
    """Events drawn by the log's policy, with a habit of each user that its events share."""
    draw = np.random.default_rng((1, seed))
    user = draw.integers(USERS, size=USERS).repeat(EVENTS)  # users are a sample, too
    cumulative = logging[user].cumsum(1)
    item = (draw.random(len(user))[:, None] > cumulative[:, :-1]).sum(1)
    return Bandit(
        user=np.arange(USERS).repeat(EVENTS),
        reward=truth[user, item] + draw.normal(size=USERS).repeat(EVENTS) * 0.5 + draw.normal(size=len(user)) * 0.3,
        propensity=logging[user, item],
        target=target[user, item],
        predicted=model[user, item],
        expected=(target * model).sum(1)[user],
    )


def estimates(model_of, seeds):
    truth, logging, target = world()
    value = (target * truth).sum(1).mean()
    model = model_of(truth)
    return value, [off_policy(logged(truth, logging, target, model, seed), seed=1, resamples=200) for seed in seeds]


def coverage(found, name, value):
    return np.mean([getattr(one, name).low <= value <= getattr(one, name).high for one in found])


def test_intervals_cover_the_true_value_as_often_as_they_say():
    value, found = estimates(lambda truth: truth, range(150))
    for name in ("dm", "snips", "dr"):
        assert 0.88 <= coverage(found, name, value) <= 0.99, name
    spread = {name: np.std([getattr(one, name).value for one in found]) for name in ("snips", "dr")}
    assert spread["dr"] < 0.8 * spread["snips"]  # a good model takes variance away


def test_a_wrong_model_misleads_the_direct_method_alone():
    value, found = estimates(lambda truth: 4.5 - truth, range(100))
    assert coverage(found, "dm", value) < 0.1
    for name in ("snips", "dr"):
        assert coverage(found, name, value) >= 0.86
        assert np.mean([getattr(one, name).value for one in found]) == pytest.approx(value, abs=0.03)


def test_events_of_one_user_come_together():
    truth, logging, target = world()
    bandit = logged(truth, logging, target, truth, 0)
    apart = off_policy(replace(bandit, user=np.arange(len(bandit.user))), resamples=500).dr
    together = off_policy(bandit, resamples=500).dr
    assert together.high - together.low > 1.2 * (apart.high - apart.low)
    assert together.value == pytest.approx(apart.value)


def test_without_overlap_there_is_no_number():
    truth, logging, target = world()
    logging = np.where(np.arange(ITEMS) < 3, logging, 0.0)
    logging /= logging.sum(1, keepdims=True)
    found = off_policy(logged(truth, logging, target, truth, 0), resamples=200)
    assert (found.dm, found.snips, found.dr) == (None, None, None)
    assert found.refused.endswith(
        "of the policy's choices are ones that the logging policy could have made, and 90% are needed"
    )
    assert found.support.value == pytest.approx(target[:, :3].sum(1).mean(), abs=0.1)

    never = np.eye(ITEMS)[np.full(USERS, 4)]
    found = off_policy(logged(truth, logging, never, truth, 0), resamples=50)
    assert found.refused.startswith("effective sample size 0.0 of 450 events, and 30 and 1%")
    assert found.dr is None


def test_propensities_that_cannot_be_right_are_refused():
    truth, logging, target = world()
    bandit = logged(truth, logging, target, truth, 0)
    found = off_policy(replace(bandit, propensity=bandit.propensity / 2), resamples=200)
    assert "weights average" in found.refused
    assert found.snips is None


def test_a_propensity_of_what_is_never_seen_is_named():
    truth, logging, target = world()
    bandit = logged(truth, logging, target, truth, 0)
    bandit.propensity[7] = 1e-30
    found = off_policy(bandit, resamples=50)
    assert found.refused.startswith("the smallest propensity is 1e-30, and in a log of 450 events")
    assert (found.dm, found.snips, found.dr) == (None, None, None)
    lines = off_policy_section({"DARLR": found}, mean_reward(bandit.user, bandit.reward)).lines
    assert not re.search("[0-9]{8}", "\n".join(lines))  # a support of 2e27 is not written out


def clicks(rate, seed, n=600):
    """One event a user of a uniform policy over two items, clicked at this rate; a policy that shows the first item."""
    draw = np.random.default_rng(seed)
    first, clicked = draw.random(n) < 0.5, (draw.random(n) < rate).astype(float)
    half = np.full(n, 0.5)
    return Bandit(np.arange(n), clicked, half, first.astype(float), np.full(n, 0.2), np.full(n, 0.2))


def test_a_value_that_no_reward_supports_has_an_exact_interval_or_none():
    bandit = clicks(0.0, 0)
    bandit.reward[np.flatnonzero(bandit.target == 0)[:3]] = 1.0  # no click on what the policy would show
    found, matching = off_policy(bandit, resamples=50), int(bandit.target.sum())
    assert (found.effective, found.rewarded, found.dr, found.dm) == (pytest.approx(matching), 0.0, None, None)
    assert found.snips.value == found.snips.low == 0.0
    assert found.snips.high == pytest.approx(1 - 0.025 ** (1 / matching))  # of 0 hits in so many
    assert found.exact
    assert "0.0 of" in found.refused
    section = off_policy_section({"list": found}, mean_reward(bandit.user, bandit.reward))
    line = next(line for line in section.lines if line.startswith("| list | – | 0"))
    assert " | – | 274.0 of 600 | 0.0 | " in line
    assert "- list: no DR and no DM: rewards of matching events hardly differ" in "\n".join(section.lines)
    spent = off_policy(replace(bandit, reward=bandit.reward * np.arange(600)), resamples=50)  # no share
    assert (spent.snips, spent.exact) == (None, False)
    assert "rewards of matching events hardly differ" in spent.refused


def test_nine_rewarded_events_are_few_and_ten_are_not():
    bandit = clicks(0.0, 0)
    shown = np.flatnonzero(bandit.target == 1)
    bandit.reward[shown[:9]] = 1.0
    assert off_policy(bandit, resamples=50).exact
    assert off_policy(replace(bandit, reward=1 - bandit.reward), resamples=50).exact  # nine without a reward
    bandit.reward[shown[9]] = 1.0
    found = off_policy(bandit, resamples=50)
    assert (found.exact, found.refused, found.rewarded) == (False, None, pytest.approx(10))
    assert found.snips.value == pytest.approx(10 / len(shown))


def test_the_log_with_few_rewards_has_an_exact_interval_too():
    reward = np.zeros(100)
    reward[3] = 1.0
    found = mean_reward(np.arange(100), reward)
    assert (found.value, found.low, found.high) == pytest.approx((0.01, 0.000253, 0.0545), rel=2e-3)  # as in tables
    reward[:5] = 1.0
    assert mean_reward(np.arange(100), reward).high == pytest.approx(0.1128, abs=1e-3)
    one = mean_reward(np.repeat(np.arange(10), 10), reward)  # five clicks of one user are as informative as 1 of 20
    assert (one.value, one.low, one.high) == pytest.approx((0.05, 0.001265, 0.2487), rel=2e-3)


def test_exact_intervals_cover_a_rare_click():
    found = [off_policy(clicks(0.01, seed), seed=1, resamples=100) for seed in range(200)]
    estimated = [one.snips for one in found if one.snips is not None]
    assert sum(one.exact for one in found) > 190
    assert np.mean([one.low <= 0.01 <= one.high for one in estimated]) >= 0.94


def test_greedy_and_sampled_policies_on_a_log():
    log = InteractionLog(
        name="tiny",
        user=np.array([2, 0, 2]),
        item=np.array([1, 0, 0]),
        reward=np.array([1.0, 0.0, 1.0], dtype=np.float32),
        propensity=np.array([0.5, 0.25, 1.0], dtype=np.float32),
        user_ids=(0, 1, 2),
        item_ids=(0, 1),
    )
    table = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, 2.0]])
    reward = torch.tensor([[0.1, 0.2], [0.0, 0.0], [0.3, 0.6]])
    greedy = bandit_of(UserGreedy(table), log, reward, greedy=True)
    assert greedy.target.tolist() == [1.0, 0.0, 0.0]
    assert greedy.expected == pytest.approx([0.6, 0.2, 0.6])
    assert greedy.predicted == pytest.approx([0.6, 0.1, 0.3])
    sampled = bandit_of(UserGreedy(table), log, reward, greedy=False)
    p = np.exp(2) / (1 + np.exp(2))
    assert sampled.target == pytest.approx([p, 1 / (1 + np.e), 1 - p])
    assert sampled.expected[0] == pytest.approx(0.6 * p + 0.3 * (1 - p))
    assert bandit_of(Random(), log, reward, greedy=False).target == pytest.approx([0.5] * 3)
    with pytest.raises(ValueError, match="without propensities"):
        bandit_of(Random(), replace(log, propensity=None), reward, greedy=True)


def test_users_in_chunks(monkeypatch):
    draw = np.random.default_rng(0)
    log = InteractionLog(
        name="tiny",
        user=draw.integers(20, size=60),
        item=draw.integers(4, size=60),
        reward=np.ones(60, dtype=np.float32),
        propensity=np.full(60, 0.25, dtype=np.float32),
        user_ids=tuple(range(20)),
        item_ids=tuple(range(4)),
    )
    table = torch.from_numpy(draw.normal(size=(20, 4)).astype(np.float32))
    whole = bandit_of(UserGreedy(table), log, table, greedy=False)
    monkeypatch.setattr("darlr.evaluation.off_policy.CHUNK", 3)
    parts = bandit_of(UserGreedy(table), log, table, greedy=False)
    assert parts.target == pytest.approx(whole.target)
    assert parts.expected == pytest.approx(whole.expected)
