"""Factors of a log of positives: the normal equations, cell by cell, and a block that is no zero."""

import numpy as np
import pytest

from darlr.data.log import Block
from darlr.world.models.factors import factorise
from tests.world.tiny import log_of

N_USERS, N_ITEMS, SIZE, PENALTY = 30, 20, 3, 0.5


def some_log(block: Block | None = None):
    generator = np.random.default_rng(0)
    liked = generator.random((N_USERS, N_ITEMS)) < 0.3
    if block is not None:
        liked[np.ix_(block.users, block.items)] = False
    user, item = np.nonzero(liked)
    return log_of(user, item, np.ones(len(user)), N_USERS, N_ITEMS, block=block), liked


@pytest.mark.parametrize("block", [None, Block(np.array([1, 4, 7]), np.array([0, 2, 3]))])
def test_users_solve_their_normal_equations(block):
    log, liked = some_log(block)
    user, item = factorise(log, block, 0, size=SIZE, penalty=PENALTY)
    weight = np.where(liked, 2.0, 1.0)
    if block is not None:
        weight[np.ix_(block.users, block.items)] = 0.0
    for u in range(N_USERS):
        gram = (item.T * weight[u]) @ item + PENALTY * np.eye(SIZE)
        np.testing.assert_allclose(user[u], np.linalg.solve(gram, (item.T * weight[u]) @ liked[u]), atol=1e-9)


def test_sweeps_lower_the_loss():
    log, liked = some_log()
    weight = np.where(liked, 2.0, 1.0)

    def loss(sweeps):
        user, item = factorise(log, None, 0, size=SIZE, penalty=PENALTY, sweeps=sweeps)
        error = (weight * (liked - user @ item.T) ** 2).sum()
        return error + PENALTY * ((user**2).sum() + (item**2).sum())

    assert loss(0) > loss(1) > loss(4)


def test_repeated_events_count_once_and_seeds_differ():
    log, liked = some_log()
    user, item = np.nonzero(liked)
    twice = log_of(np.tile(user, 2), np.tile(item, 2), np.ones(2 * len(user)), N_USERS, N_ITEMS)
    first = factorise(log, None, 0, size=SIZE)[0]
    np.testing.assert_array_equal(first, factorise(twice, None, 0, size=SIZE)[0])
    assert not np.allclose(first, factorise(log, None, 1, size=SIZE)[0])
