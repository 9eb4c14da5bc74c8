"""Users who are hidden from training leave no trace in the log."""

from dataclasses import replace

import numpy as np
import pytest

from darlr.data.log import Block, FeatureColumn
from darlr.data.scope import hide, scope_of
from darlr.errors import ConfigError, DataError
from darlr.options import SplitConfig
from tests.world.tiny import log_of

USERS = 10
AGE = FeatureColumn("age", "numeric", np.arange(USERS, dtype=np.float32))
LOG = replace(
    log_of(np.repeat(np.arange(USERS), 3), np.arange(30) % 4, np.repeat(np.arange(USERS), 3), USERS, 4),
    user_ids=tuple(f"u{n}" for n in range(USERS)),
    user_features=(AGE,),
    reward_range=(0.0, 9.0),
)


def test_every_user_is_hidden_by_exactly_one_fold():
    folds = [hide(LOG, SplitConfig(hidden=0.25, fold=fold))[1] for fold in range(4)]
    assert sorted(np.concatenate([one.new for one in folds]).tolist()) == list(range(USERS))
    for one in folds:
        assert sorted([*one.new, *one.known]) == list(range(USERS))
    other = hide(LOG, SplitConfig(hidden=0.25, seed=7))[1]
    assert np.array_equal(other.new, folds[0].new)  # whatever the seed of the split


def test_nothing_of_a_hidden_user_is_left_and_the_others_keep_theirs():
    rest, hidden = hide(LOG, SplitConfig(hidden=0.2, fold=1))
    assert rest.user_ids == tuple(f"u{n}" for n in hidden.known)
    assert rest.user_features[0].values.tolist() == hidden.known.tolist()
    assert np.array_equal(rest.reward, hidden.known[rest.user])  # each user's reward is its old code
    assert len(rest) == 3 * len(hidden.known)


def test_of_a_block_only_its_users_are_hidden():
    log = replace(LOG, block=Block(np.array([9, 1, 4, 6]), np.array([3])))
    rest, hidden = hide(log, SplitConfig(hidden=0.5))
    scope = scope_of(log).users
    gone = {f"u{code}" for code in scope[hidden.new]}
    assert len(gone) == 2
    assert set(rest.user_ids) == set(log.user_ids) - gone
    assert rest.block is not None
    assert {rest.user_ids[code] for code in rest.block.users} == {f"u{code}" for code in scope[hidden.known]}


def test_too_few_users_and_wrong_folds_are_refused():
    with pytest.raises(DataError, match=r"cannot hide 0\.02 of 10 users"):
        hide(LOG, SplitConfig(hidden=0.02))
    with pytest.raises(ConfigError, match=r"split\.fold: must be from 0 to 4 here, not 5"):
        SplitConfig(hidden=0.2, fold=5)
    with pytest.raises(ConfigError, match=r"split\.hidden: must be from 0 to 0\.5"):
        SplitConfig(hidden=0.6)
