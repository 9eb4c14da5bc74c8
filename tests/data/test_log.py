from dataclasses import replace

import numpy as np
import pytest

from darlr.data.log import InteractionLog
from darlr.errors import ConfigError, DataError


@pytest.mark.parametrize(("users", "items", "events"), [(4, 5, 60), (400, 500, 60), (400, 500, 0)])
def test_cells_are_counted_once_in_dense_and_in_sparse_logs(users, items, events):
    generator = np.random.default_rng(0)
    user, item = generator.integers(0, users, events), generator.integers(0, items // 5, events)
    user[::2], item[::2] = user[:1].repeat(-(-events // 2)), item[:1].repeat(-(-events // 2))
    log = InteractionLog("log", user, item, np.ones(events, np.float32), tuple(range(users)), tuple(range(items)))
    assert log.count_cells() == len(set(zip(user.tolist(), item.tolist(), strict=True)))


def small(**options):
    return InteractionLog(
        name="small",
        user=np.array([0, 0, 1, 1, 1, 0, 0, 1]),
        item=np.array([0, 1, 2, 0, 1, 2, 0, 1]),
        reward=np.array([1, 2, 3, 4, 5, 1, 2, 3], np.float32),
        user_ids=("ann", "bob"),
        item_ids=(10, 20, 30),
        reward_range=(1.0, 5.0),
        **options,
    )


def test_a_split_by_time_holds_out_each_users_last_events_and_keeps_ids_and_range():
    log = small(timestamp=np.array([8, 1, 6, 2, 3, 4, 7, 5]))
    train, test = log.split(held_out=0.5, by="time")
    assert (test.user.tolist(), test.timestamp.tolist()) == ([0, 1, 0, 1], [8, 6, 7, 5])
    assert sorted(np.concatenate([train.timestamp, test.timestamp]).tolist()) == [1, 2, 3, 4, 5, 6, 7, 8]
    for part in (train, test):
        assert (part.user_ids, part.item_ids, part.reward_range) == (log.user_ids, log.item_ids, (1.0, 5.0))
    assert len(train.split(0.5)[1]) + len(train.split(0.5)[0]) == len(train)
    draws = {tuple(log.split(0.5, seed=seed)[1].timestamp) for seed in range(5)}
    assert len(draws) > 1
    assert log.split(0.5, seed=3)[1].timestamp.tolist() == log.split(0.5, seed=3)[1].timestamp.tolist()


def test_splits_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="small: a split by time needs timestamps, and this log has none"):
        small().split(by="time")
    with pytest.raises(ConfigError, match="option by: must be 'random' or 'time', not 'date'"):
        small().split(by="date")
    with pytest.raises(ConfigError, match="option held_out: must be a share above 0 and below 1"):
        small().split(1.0)


def test_a_log_shows_its_sizes_and_its_events_by_id():
    log = small(timestamp=np.arange(8))
    assert repr(log) == "<InteractionLog 'small': 8 events, 2 users, 3 items, rewards 1 to 5>"
    assert log.describe().splitlines()[1:3] == [
        "density 100.00%, rewards 1 to 5, mean 2.625",
        "timestamps: yes; category: none",
    ]
    frame = log.frame()
    assert frame.columns == ["user", "item", "reward", "timestamp"]
    assert frame.row(2) == ("bob", 30, 3.0, 2)
    clicks = replace(log, reward=np.ones(8, np.float32))
    assert (clicks.implicit, log.implicit) == (True, False)
    assert "positives only (every reward is 1)" in clicks.describe()
