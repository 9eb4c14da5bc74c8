"""The sessions of a log: where a gap ends one, which ends are known, and how the gap is chosen."""

from dataclasses import replace

import numpy as np
import pytest

from darlr.data.sessions import sessions_of, valley
from darlr.errors import DataError
from tests.world.tiny import log_of

TIMES = np.array([0, 5, 300, 310, 7, 1000], dtype=np.int64)  # users 0, 0, 0, 0, 1, 1
LOG = log_of([0, 0, 0, 0, 1, 1], [0, 1, 2, 0, 1, 2], [1, 2, 3, 4, 5, 1], 2, 3, timestamp=TIMES)


def test_a_gap_ends_a_session_and_the_last_end_of_a_log_is_not_known() -> None:
    found = sessions_of(LOG, 100)
    assert found.session.tolist() == [0, 0, 1, 1, 2, 3]
    assert found.turn.tolist() == [0, 1, 0, 1, 0, 0]
    assert found.left.tolist() == [False, True, False, True, True, True]
    assert found.known.tolist() == [True] * 5 + [False]  # user 1 may have gone on after time 1000
    assert len(found) == 4
    order = np.array([5, 2, 0, 3, 1, 4])
    shuffled = replace(
        LOG, user=LOG.user[order], item=LOG.item[order], reward=LOG.reward[order], timestamp=TIMES[order]
    )
    again = sessions_of(shuffled, 100)
    assert order[again.order].tolist() == list(range(6))


def test_the_gap_lies_between_the_two_groups_of_gaps() -> None:
    rng = np.random.default_rng(0)
    short, long = np.exp(rng.normal(4, 1, 2000)), np.exp(rng.normal(10, 1, 300))
    found = valley(np.concatenate([short, long]).astype(np.int64))
    assert found is not None
    assert np.exp(6) < found < np.exp(8.5)
    for one_group in (short, rng.exponential(3600, 2000), np.full(9, 3), np.zeros(9)):
        assert valley(one_group.astype(np.int64)) is None


def test_a_log_without_sessions_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"no two groups.*session\.gap"):
        sessions_of(replace(LOG, timestamp=np.arange(6)))
    with pytest.raises(DataError, match="need timestamps"):
        sessions_of(replace(LOG, timestamp=None), 100)
