"""What users did next, by lists whose measures are worked by hand, and against a slow, obvious twin."""

from math import log2

import numpy as np
import pytest
import torch

from darlr.data.log import InteractionLog
from darlr.evaluation.next_items import FIRST, NDCG, K, last_events, measure, rank, unseen_items
from darlr.evaluation.sections import next_items_section
from darlr.policies.fixed import FixedList, UserGreedy

HIT, RECALL = "hit rate@10", "recall@10"


def log_of(events, users=2, items=12, timestamp=None):
    """events: (user, item, reward)."""
    user, item, reward = (np.array(column) for column in zip(*events, strict=True))
    ids = tuple(range(users)), tuple(range(items))
    return InteractionLog(
        "log",
        user.astype(np.int64),
        item.astype(np.int64),
        reward.astype(np.float32),
        *ids,
        timestamp=None if timestamp is None else np.array(timestamp, dtype=np.int64),
        reward_range=(0.0, 5.0),
    )


TRAINING = log_of([(0, 0, 5), (0, 1, 1), (1, 2, 3)])  # its mean is 3
IN_ORDER = FixedList(torch.arange(12, 0, -1).float())  # item 0 first


def test_measures_worked_by_hand():
    # User 0's list is 2 3 ... 11, user 1's 0 1 3 4 ... 10, without item 11.
    test = log_of([(0, 3, 4), (0, 2, 1), (0, 5, 5), (1, 11, 5), (1, 0, 2), (0, 0, 5)])
    found = unseen_items(test, TRAINING)
    assert found.user.tolist() == [0, 0, 0, 1, 1]  # (0, 0) was trained on
    assert found.gain.tolist() == [0, 1, 2, 0, 2]
    ranked = rank([IN_ORDER], found)
    (row,) = measure({"list": ("log", ranked)}, resamples=50)
    assert row.measures[HIT].value == 0.5
    assert row.measures[RECALL].value == 0.5  # 2 of 2, 0 of 1
    ndcg = (1 / log2(3) + 2 / log2(5)) / (2 / log2(2) + 1 / log2(3))
    assert row.measures[NDCG].value == pytest.approx(ndcg / 2)
    assert row.measures[FIRST].value == 1.5  # user 0's own first is item 2 (1), user 1's is item 0 (2)
    assert row.coverage == 1
    assert row.measures[HIT].low <= 0.5 <= row.measures[HIT].high


def test_positives_alone_count_alike_and_repeats_once():
    training = log_of([(0, 0, 1), (1, 0, 1)])
    found = unseen_items(log_of([(0, 2, 1), (0, 2, 1), (0, 11, 1), (1, 3, 1)]), training)
    (row,) = measure({"list": ("log", rank([IN_ORDER], found))}, resamples=50)
    assert row.measures.keys() == {HIT, RECALL, NDCG}
    assert row.measures[RECALL].value == 0.75
    first, second = (1 / log2(3)) / (1 + 1 / log2(3)), 1 / log2(4)
    assert row.measures[NDCG].value == pytest.approx((first + second) / 2)


def test_it_equals_a_slow_computation(monkeypatch):
    draw = np.random.default_rng(0)
    users, items = 17, 23
    cells = draw.permutation(users * items)
    events = [(cell // items, cell % items, draw.integers(1, 6)) for cell in cells.tolist()]
    training, test = log_of(events[:150], users, items), log_of(events[150:220], users, items)
    found = unseen_items(test, training)
    table = torch.from_numpy(draw.integers(0, 9, (users, items)).astype(np.float32))  # many ties
    whole = rank([UserGreedy(table)], found)
    monkeypatch.setattr("darlr.evaluation.next_items.CELLS", 3 * items)
    parts = rank([UserGreedy(table)], found)
    for name, sums in whole.sums.items():
        np.testing.assert_array_equal(sums, parts.sums[name])
    assert whole.coverage == parts.coverage
    mean, shown = training.reward.mean(dtype=np.float64), set()
    for place, user in enumerate(found.users):
        known = set(training.item[training.user == user].tolist())
        order = [i for i in sorted(range(items), key=lambda i: (-table[user, i], i)) if i not in known]
        reward = dict(zip(test.item[test.user == user].tolist(), test.reward[test.user == user].tolist(), strict=True))
        gain = {item: max(value - mean, 0) for item, value in reward.items()}
        relevant, top = {item for item, value in gain.items() if value > 0}, order[:K]
        shown |= set(top)
        assert whole.sums[HIT][0][place] == bool(relevant & set(top))
        if relevant:
            assert whole.sums[RECALL][0][place] == pytest.approx(len(relevant & set(top)) / len(relevant))
            best = sorted(gain.values(), reverse=True)[:K]
            ideal = sum(value / log2(n + 2) for n, value in enumerate(best))
            reached = sum(gain.get(item, 0) / log2(n + 2) for n, item in enumerate(top))
            assert whole.sums[NDCG][0][place] == pytest.approx(reached / ideal)
        assert whole.sums[NDCG][1][place] == bool(relevant)
        if len(set(reward.values())) > 1:
            assert whole.sums[FIRST][0][place] == reward[min(reward, key=order.index)]
    assert whole.coverage == len(shown) / items


def test_seeds_are_averaged_and_rows_are_paired():
    test = log_of([(0, 3, 5), (1, 11, 5)])
    found = unseen_items(test, TRAINING)
    reverse = FixedList(torch.arange(12).float())
    both = rank([IN_ORDER, reverse], found)
    assert both.sums[HIT][0].tolist() == [1.0, 0.5]
    rows = measure({"both": ("log", both), "agent": ("learned", rank([IN_ORDER], found))}, resamples=200)
    assert [row.name for row in rows] == ["both", "agent"]
    assert rows[0].behind.value == rows[0].behind.low == rows[0].behind.high == 0
    assert rows[1].behind.value == pytest.approx(rows[0].measures[NDCG].value - rows[1].measures[NDCG].value)
    section = next_items_section(rows, "Here are 2.", ["ALS is left out: no library."])
    assert section.lines[0].startswith("The first row by nDCG@10 is both with ")
    assert "agent ties with it" in section.lines[0]
    assert section.lines[0].endswith("Here are 2. ALS is left out: no library.")
    assert "was never shown counts as a miss" in section.lines[-1]


def test_last_events_are_later_than_all_that_was_trained_on():
    training = log_of([(0, 0, 1), (0, 1, 1), (1, 0, 1)], users=3, timestamp=[3, 5, 1])
    test = log_of([(0, 2, 1), (0, 3, 1), (1, 3, 1), (2, 3, 1)], users=3, timestamp=[5, 6, 2, 0])
    assert last_events(test, training).tolist() == [False, True, True, True]
