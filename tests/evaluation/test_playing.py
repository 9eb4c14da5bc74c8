"""Metrics with numbers worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.data.log import FeatureColumn, InteractionLog
from darlr.evaluation.playing import majority_items, metrics
from darlr.evaluation.protocol import Trajectories


def test_metrics_by_hand():
    played = Trajectories(
        users=torch.tensor([0, 1]),
        items=torch.tensor([[4, 2, 4], [1, -1, -1]]),
        rewards=torch.tensor([[1.0, 2.0, 3.0], [5.0, 0.0, 0.0]]),
        length=torch.tensor([3, 1]),
    )
    found = metrics(played, 5, torch.tensor([True, True, False, False, True]))
    assert found == {"R_tra": 5.5, "Length": 2.0, "R_each": 2.75, "CV": 3 / 5, "MCD": 3 / 4}
    assert metrics(played, 5)["MCD"] is None


def test_metrics_of_sessions_that_never_began():
    nothing = Trajectories(torch.tensor([0]), torch.full((1, 2), -1), torch.zeros((1, 2)), torch.tensor([0]))
    assert metrics(nothing, 5, torch.ones(5, dtype=torch.bool)) == {
        "R_tra": 0.0,
        "Length": 0.0,
        "R_each": 0.0,
        "CV": 0.0,
        "MCD": None,
    }


def tagged_log(items, rewards, tags, category="tags"):
    tags = np.array(tags)
    return InteractionLog(
        name="tiny",
        user=np.zeros(len(items), dtype=np.int64),
        item=np.array(items),
        reward=np.array(rewards, dtype=np.float32),
        user_ids=(0, 1),
        item_ids=tuple(range(len(tags))),
        item_features=(FeatureColumn("tags", "multi", tags, ("a", "b", "c", "d")),),
        category=category,
        reward_range=(1.0, 5.0),
    )


TAGS = [[0, -1], [1, 2], [2, -1], [3, -1], [-1, -1]]


def test_majority_by_hand():
    # positives (reward above 3): item 0 four times, item 1 twice, item 3 twice; category counts a 4, b 2, c 2, d 2
    log = tagged_log([0, 0, 0, 0, 1, 1, 3, 3, 2, 2, 4], [4, 5, 4, 5, 5, 5, 4, 4, 3, 1, 5], TAGS)
    # cumulative shares .4 .6 .8 1: a, b, c
    assert majority_items(log).tolist() == [True, True, True, False, False]
    # in a range up to 9 only rewards above 5 are positive; a 2, b 2, c 2 of 6; .33 .67 1: a, b
    wide = replace(log, reward=np.where(log.reward == 5, 9, log.reward).astype(np.float32), reward_range=(1.0, 9.0))
    assert majority_items(wide).tolist() == [True, True, False, False, False]


def test_majority_is_at_least_one_category():
    log = tagged_log([0] * 9 + [2], [5] * 10, TAGS)  # a 0.9
    assert majority_items(log).tolist() == [True, False, False, False, False]


def test_no_majority_without_categories_or_positives():
    assert majority_items(tagged_log([0], [5], TAGS, category=None)) is None
    assert majority_items(tagged_log([0], [1], TAGS)) is None
    assert majority_items(tagged_log([4], [5], TAGS)) is None


@pytest.mark.parametrize("copies", [1, 7, 1000])
def test_a_cumulative_share_of_exactly_the_limit_belongs(copies):
    log = tagged_log([0, 0, 1, 3] * copies, [5] * 4 * copies, TAGS)  # a 2, b 1, c 1, d 1 of 5: a b c reach 0.8
    assert majority_items(log).tolist() == [True, True, True, False, False]
