"""Profiles of logs whose numbers are known by hand, and of logs with one planted fault each."""

import json
from dataclasses import replace

import numpy as np
import pytest

from darlr.data.log import FeatureColumn, InteractionLog
from darlr.data.profile import _grouped, gini, profile
from darlr.data.profile_text import findings, text, to_json

RANDOM = np.random.default_rng(0)


def log_of(user, item, reward, **more) -> InteractionLog:
    user, item = np.array(user, dtype=np.int64), np.array(item, dtype=np.int64)
    reward = np.array(reward, dtype=np.float32)
    names = {"user_ids": tuple(f"u{k}" for k in range(user.max() + 1))}
    names["item_ids"] = tuple(f"i{k}" for k in range(item.max() + 1))
    limits = (min(0.0, float(reward.min())), float(reward.max()) or 1.0)
    return InteractionLog("tiny", user, item, reward, reward_range=limits, **(names | more))


def large(n=2_000, **more) -> InteractionLog:
    """40 users, 50 items, every cell once, rewards 1 to 5 at random."""
    user, item = np.divmod(np.arange(n), 50)
    return log_of(user, item, more.pop("reward", RANDOM.integers(1, 6, n)), **more)


def said(log: InteractionLog) -> str:
    return "\n".join(map(str, findings(profile(log))))


def test_numbers_worked_by_hand():
    log = log_of([0, 0, 0, 1, 2], [0, 0, 1, 0, 3], [1, 2, 0, 4, 4], timestamp=np.array([5, 4, 6, 7, 9]))
    p = profile(log)
    assert (p.events, p.users, p.items, p.active_users, p.active_items) == (5, 3, 4, 3, 3)
    assert (p.repeats, p.conflicts, p.density) == (1, 1, 4 / 9)
    assert (p.reward.least, p.reward.median, p.reward.most, p.reward.mean) == (0, 2, 4, 2.2)
    assert (p.events_per_user.median, p.events_per_user.most) == (1, 3)
    assert (p.single_users, p.single_items, p.levels) == (2, 2, 4)
    assert p.histogram.counts == (1, 1, 1, 2)
    assert p.gini_users == pytest.approx(2 * (1 + 2 + 9) / (3 * 5) - 4 / 3)
    assert (p.head, p.times, p.backwards) == (0.6, (4, 9), 1)


def test_gini():
    assert gini(np.array([7, 7, 7])) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 9])) == pytest.approx(0.75)


def test_a_sound_log_has_no_warning():
    log = large(
        timestamp=np.arange(2_000), item_features=(FeatureColumn("c", "categorical", np.arange(50) % 7, ("x",) * 7),)
    )
    assert [f for f in findings(profile(replace(log, category="c"))) if f.level == "warning"] == []
    assert "nothing to act on" in text(profile(replace(log, category="c")))


USER, ITEM = np.divmod(np.arange(2_000), 50)
LEAKS = {
    "item": (large(reward=ITEM % 5), "depends on the item alone"),
    "user": (large(reward=USER % 7), "depends on the user alone"),
    "time": (large(timestamp=np.arange(2_000), reward=np.arange(2_000)), "follows time"),
    "numeric feature": (
        large(reward=ITEM / 10, item_features=(FeatureColumn("price", "numeric", np.arange(50, dtype=np.float32)),)),
        "feature 'price' predicts the reward",
    ),
    "categorical feature": (
        large(reward=USER % 8, user_features=(FeatureColumn("g", "categorical", np.arange(40) % 8, ("x",) * 8),)),
        "feature 'g' predicts the reward",
    ),
    "multi-valued feature": (
        large(
            reward=ITEM % 5,
            item_features=(FeatureColumn("t", "multi", np.stack([np.arange(50) % 5, np.full(50, -1)], 1), ("x",) * 5),),
        ),
        "feature 't' predicts the reward",
    ),
    "ids in order of time": (
        large(user_ids=tuple(range(40)), timestamp=np.arange(2_000)),
        "user ids rise or fall with first event",
    ),
}


@pytest.mark.parametrize("case", LEAKS)
def test_a_planted_leak_is_found(case):
    log, message = LEAKS[case]
    assert message in said(log)


def test_chance_is_no_leak():
    names = tuple(str(k) for k in range(50))
    log = large(
        timestamp=RANDOM.permutation(2_000),
        item_features=(
            FeatureColumn("a", "categorical", np.arange(50), names),
            FeatureColumn("b", "numeric", RANDOM.random(50).astype(np.float32)),
            FeatureColumn("none", "numeric", np.full(50, np.nan, dtype=np.float32)),
        ),
        user_ids=tuple(range(40)),
    )
    assert profile(log).leaks == ()
    assert profile(log_of([0, 1, 2], [0, 1, 2], [0, 1, 2])).leaks == ()  # one event each: no evidence


K = np.arange(1_000)
POPULAR = np.maximum(0, np.arange(2_000) - 1_900)
FAULTS = {
    "few events": (log_of([0, 0, 1], [0, 1, 0], [1, 2, 3]), "fewer than 1,000 events"),
    "few a user": (log_of(K // 2, K % 9, K % 5), "fewer than 5 events (median 2)"),
    "few an item": (log_of(K % 9, K // 2, K % 5), "of the items have fewer"),
    "few users": (log_of(K % 9, K % 50, K % 5), "only 9 users"),
    "implicit": (large(reward=np.ones(2_000)), "all rewards are 1"),
    "one huge reward": (large(reward=np.where(np.arange(2_000) == 7, 1e6, 1 + ITEM % 3)), "333,333 times the 99th"),
    "popularity": (log_of(np.arange(2_000) % 40, POPULAR, ITEM % 5), "gather on few items"),
    "single events": (log_of(K, K % 9, K % 5), "1,000 of 1,000 users have a"),
    "propensity": (large(propensity=np.full(2_000, 1e-4, dtype=np.float32)), "can weigh 10,000 times"),
    "no times": (large(), "no times"),
    "conflicts": (log_of([0, 0, 1], [0, 0, 1], [1, 2, 3]), "1 events repeat a user and item; 1 such cells"),
    "large tables": (large(item_ids=range(10_000_000)), "400,000,000 cells of users and items to recommend"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_every_fault_says_what_it_means_and_what_to_do(case):
    log, message = FAULTS[case]
    found = [finding for finding in findings(profile(log)) if message in finding.found + finding.means]
    assert len(found) == 1
    assert found[0].means
    assert found[0].do
    levels = [finding.level for finding in findings(profile(log))]
    assert levels == sorted(levels, reverse=True)  # warnings first


def test_json_is_plain():
    assert json.loads(json.dumps(to_json(profile(large()))))["profile"]["events"] == 2_000


def test_the_histogram_shows_every_event():
    p = profile(large(reward=RANDOM.normal(size=2_000)))
    assert sum(p.histogram.counts) == 2_000
    assert len(p.histogram.counts) == 10
    assert text(p).count("#") > 40


def test_groups_of_one_event_explain_nothing() -> None:
    """Twelve events of one group with rewards 0 and 1 in turn, and twelve groups of one event each."""
    group = np.array([0] * 12 + list(range(1, 13)))
    reward = np.array([0.0, 1.0] * 12)
    leak = _grouped("feature", "size", group, reward)
    assert leak.strength == pytest.approx(0.0)
    assert leak.groups == 1
