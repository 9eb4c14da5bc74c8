import numpy as np
import pytest

from darlr.data.split import split, thin
from darlr.errors import ConfigError, DataError
from darlr.options import SplitConfig
from tests.data.test_split import log_of


def test_nothing_is_thinned_by_default():
    log = log_of([0, 0, 1, 1])
    assert thin(log, SplitConfig()) is log


@pytest.mark.parametrize(("keep", "expected"), [(0.5, 100), (0.1, 20), (0.01, 2), (1e-6, 1)])
def test_the_share_is_kept_in_order_with_ids_and_columns(keep, expected):
    log = log_of([user for user in range(20) for _ in range(10)], timestamp=list(range(200)))
    found = thin(log, SplitConfig(keep=keep))
    assert len(found) == expected
    assert (np.diff(found.item) > 0).all()
    assert (found.user == log.user[found.item]).all()
    assert found.timestamp.tolist() == found.reward.tolist() == found.item.tolist()
    assert (found.propensity == log.propensity[found.item]).all()
    assert found.user_ids == log.user_ids


def test_every_event_is_as_likely():
    log = log_of([0] * 90 + [1] * 10)  # not one share of each user
    counts = sum(np.isin(np.arange(100), thin(log, SplitConfig(keep=0.2, seed=s)).item) for s in range(2000))
    assert abs(counts / 2000 - 0.2).max() < 0.04
    assert counts.sum() == 2000 * 20


def test_sparser_logs_are_parts_of_denser_ones_and_seeds_differ():
    log = log_of([0, 1] * 100)
    found = [set(thin(log, SplitConfig(keep=keep)).item.tolist()) for keep in (0.02, 0.1, 0.5)]
    assert found[0] < found[1] < found[2]
    assert set(thin(log, SplitConfig(keep=0.5, seed=1)).item.tolist()) != found[2]


def test_isolated_users_lose_everything_and_others_nothing():
    log = log_of([user for user in range(20) for _ in range(5)])
    found = thin(log, SplitConfig(isolated=0.25))
    counts = np.bincount(found.user, minlength=20)
    assert sorted(counts.tolist()) == [0] * 5 + [5] * 15
    both = np.bincount(thin(log, SplitConfig(keep=0.9, isolated=0.25)).user, minlength=20)
    assert (both[counts == 0] == 0).all()


def test_an_empty_log_is_refused():
    with pytest.raises(DataError, match=r"no event is left with split.keep 1.0 and split.isolated 0.9"):
        thin(log_of([3, 3, 3, 7, 7, 9]), SplitConfig(isolated=0.95))


def test_shares_are_checked():
    for wrong in ({"keep": 0.0}, {"keep": 1.1}, {"isolated": 1.0}, {"isolated": -0.1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            SplitConfig(**wrong)


def test_a_thinned_log_may_leave_nothing_to_hold_out():
    config = SplitConfig(keep=0.1)
    log = thin(log_of([user for user in range(20) for _ in range(2)]), config)
    train, held_out = split(log, config)
    assert len(train) + len(held_out) == 4
    one = thin(log_of([0, 0, 1]), SplitConfig(keep=0.3))
    train, held_out = split(one, SplitConfig(keep=0.3))
    assert (len(train), len(held_out)) == (1, 0)
