import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darlr.data.log import InteractionLog
from darlr.data.split import newest, oldest, reserve, select, split, thin
from darlr.errors import ConfigError, DataError
from darlr.options import SplitConfig


def log_of(users: list[int], timestamp: list[int] | None = None) -> InteractionLog:
    """Event k has item k and reward k."""
    n = len(users)
    return InteractionLog(
        name="split",
        user=np.array(users),
        item=np.arange(n),
        reward=np.arange(n, dtype=np.float32),
        user_ids=tuple(range(max(users) + 1)),
        item_ids=tuple(range(n)),
        timestamp=None if timestamp is None else np.array(timestamp),
        propensity=np.linspace(0.1, 1, n, dtype=np.float32),
        reward_range=(0.0, float(n)),
    )


@given(
    users=st.lists(st.integers(0, 4), min_size=8, max_size=40),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 9),
    kind=st.sampled_from(["random", "time"]),
)
def test_every_event_is_in_one_part_and_every_user_keeps_some(users, share, seed, kind):
    log = log_of(users, timestamp=[7 * k % 5 for k in range(len(users))])
    try:
        train, held = split(log, SplitConfig(kind, share, seed))
    except DataError:
        return
    assert sorted([*train.item, *held.item]) == list(range(len(users)))
    assert set(train.user) == set(users)
    for part in (train, held):
        assert (np.diff(part.item) > 0).all()  # original order
        assert (part.user == log.user[part.item]).all()
        assert (part.reward == part.item).all()
        assert (part.propensity == log.propensity[part.item]).all()
        assert part.user_ids == log.user_ids
    counts = np.bincount(log.user, minlength=5)
    out = np.bincount(held.user, minlength=5)
    wanted = counts * share
    assert ((out >= np.minimum(np.floor(wanted), np.maximum(counts - 1, 0))) & (out <= np.floor(wanted) + 1)).all()


def test_by_time_holds_out_the_last_events():
    log = log_of([0] * 4 + [1] * 4, timestamp=[4, 3, 2, 1, 5, 5, 5, 9])
    _, held = split(log, SplitConfig("time", 0.5))
    assert held.item.tolist() == [0, 1, 6, 7]  # ties: the later row is later


def test_short_histories_give_their_share_on_average():
    log = log_of([user for user in range(2000) for _ in range(3)])
    _, held = split(log, SplitConfig(held_out=0.1))
    assert len(held) == pytest.approx(600, abs=60)


def test_the_seed_decides():
    log = log_of([0, 1] * 30)
    first, again, other = (split(log, SplitConfig(seed=s))[1].item.tolist() for s in (1, 1, 2))
    assert first == again != other


def test_one_event_a_user_cannot_be_split():
    for share in (0.1, 0.9):  # no share helps, so none is advised
        with pytest.raises(DataError, match=r"no user has two events.*use a longer period"):
            split(log_of([0, 1, 2]), SplitConfig(held_out=share))
    with pytest.raises(DataError, match="no user has two events"):
        reserve(dataclasses.replace(log_of([0, 1, 2]), propensity=None), 0.3)


def test_a_share_that_is_advised_works():
    for most in range(2, 12):
        log = log_of([0, *[1] * most, 2])
        with pytest.raises(
            DataError, match=r"of 3 users at a share of 1e-09; a share of (\S+) \(option split.held-out\) works"
        ) as found:
            split(log, SplitConfig(held_out=1e-9))
        share = float(str(found.value).split()[-4])
        assert all(len(split(log, SplitConfig(held_out=share, seed=seed))[1]) for seed in range(20))
        for kind in (log, dataclasses.replace(log, propensity=None)):
            with pytest.raises(
                DataError, match=r"share of 1e-09; a share of (\S+) \(option split.evaluation\) works, or train on"
            ) as found:
                reserve(kind, 1e-9)
            assert f"a share of {share} (option split.evaluation) works" in str(found.value)
            assert len(reserve(kind, share)[1])
    again = dataclasses.replace(log_of([0, 0, 1, 1]), item=np.zeros(4, np.int64), propensity=None)
    with pytest.raises(DataError, match=r"at a share of 0.9; train on all events with a share of 0"):
        reserve(again, 0.9)


def test_by_time_needs_timestamps():
    log = dataclasses.replace(log_of([0, 0, 1, 1]), timestamp=None)
    with pytest.raises(DataError, match="needs timestamps"):
        split(log, SplitConfig("time"))


@given(users=st.lists(st.integers(0, 4), min_size=8, max_size=40), share=st.floats(0.05, 0.95))
def test_reserving_takes_whole_cells_and_leaves_every_user_some(users, share):
    log = log_of(users)
    few = tuple(range(len(users) // 3 + 1))
    log = dataclasses.replace(log, item=log.item // 3, item_ids=few, propensity=None)  # cells repeat
    cells = log.user * log.n_items + log.item
    try:
        rest, kept = reserve(log, share)
    except DataError:
        return
    assert sorted([*rest.reward, *kept.reward]) == list(range(len(users)))
    inside = cells[kept.reward.astype(int)]
    assert not set(inside) & set(cells[rest.reward.astype(int)])
    assert set(rest.user) == set(users)
    distinct = np.bincount(np.unique(cells) // log.n_items, minlength=5)
    out = np.bincount(np.unique(inside) // log.n_items, minlength=5)
    assert (out <= np.maximum(distinct - 1, 0)).all()
    assert ((out >= np.floor(distinct * share)) | (out == distinct - 1)).all()


def test_reserving_gives_the_share_and_no_seed_changes_it():
    log = dataclasses.replace(log_of([user for user in range(2000) for _ in range(3)]), propensity=None)
    assert len(reserve(log, 0.3)[1]) == pytest.approx(1800, abs=100)
    assert (reserve(log, 0.3)[1].item == reserve(log, 0.3)[1].item).all()
    assert len(reserve(log, 0.0)[1]) == 0


@given(users=st.lists(st.integers(0, 4), min_size=8, max_size=40), share=st.floats(0.05, 0.95))
def test_with_propensities_events_are_reserved_whatever_their_items(users, share):
    log = log_of(users)
    same = dataclasses.replace(log, item=log.item * 0, item_ids=(0,))
    try:
        rest, kept = reserve(log, share)
    except DataError:
        return
    assert sorted([*rest.reward, *kept.reward]) == list(range(len(users)))
    assert (reserve(same, share)[1].reward == kept.reward).all()
    count, out = (np.bincount(of.user, minlength=5) for of in (log, kept))
    assert (abs(out - count * share) < 1 + 1e-9).all()


def test_with_propensities_users_of_one_event_give_their_share_too():
    assert len(reserve(log_of(list(range(1000))), 0.3)[1]) == pytest.approx(300, abs=45)


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


def test_an_extended_log_keeps_the_split_of_its_first_part():
    users = [k % 4 for k in range(40)]
    whole = dataclasses.replace(log_of(users), propensity=None, item=np.arange(40) % 17, parts=(24,))
    first = select(whole, np.arange(24))
    config = SplitConfig(held_out=0.3)
    for longer, shorter in zip(split(whole, config), split(first, config), strict=True):
        assert np.array_equal(oldest(longer).reward, shorter.reward)
        assert len(newest(longer)) + len(shorter) == len(longer)
    rest, kept = reserve(whole, 0.3)
    assert np.array_equal(oldest(kept).reward, reserve(first, 0.3)[1].reward)
    assert len(newest(kept))
    cells = [set((part.user * part.n_items + part.item).tolist()) for part in (rest, kept)]
    assert not cells[0] & cells[1]  # a later event of a cell goes where the first one went
