import numpy as np
import torch

from darlr.data.log import Block
from darlr.data.scope import scope_of
from darlr.world import logged_neighbours
from darlr.world.logged_neighbours import logged_feedback, logged_neighbour_table
from tests.world.tiny import log_of


def make_log(cells, n_users, n_items, block=None, reward=None):
    user, item = zip(*cells, strict=True)
    return log_of(user, item, np.ones(len(user)) if reward is None else reward, n_users, n_items, block=block)


def test_feedback_is_the_mean_of_a_cell():
    log = make_log([(0, 0), (0, 0), (1, 2)], 2, 3, reward=[2, 4, 5])
    mean, logged = logged_feedback(log, np.array([1, 0]), np.array([0, 2]))
    assert mean.tolist() == [[0, 5], [3, 0]]
    assert logged.tolist() == [[0, 1], [1, 0]]


def test_neighbours_outside_the_block_by_hand():
    """Users 0, 1 are served items 0, 1; 0 is like 2 and then 3, 1 is like 4, by items 2 to 4 alone."""
    block = Block(np.array([0, 1]), np.array([0, 1]))
    cells = [(0, 2), (0, 3), (1, 4), (2, 2), (2, 3), (2, 0), (2, 0), (3, 2), (3, 1), (4, 4), (4, 1)]
    log = make_log(cells, 5, 5, block)
    scope = scope_of(log)
    index, cosine = logged_neighbours.logged_neighbours(log, scope, 2)
    assert index[0].tolist() == [2, 3]
    assert index[1, 0] == 4
    torch.testing.assert_close(cosine[0], torch.tensor([1.0, 0.5**0.5]))
    assert logged_neighbour_table(log, scope, 1).tolist() == [[1, 0], [0, 1]]
    assert logged_neighbour_table(log, scope, 2)[0].tolist() == [0.5, 0.5]  # a repeated positive counts once
    assert logged_neighbour_table(log, scope, 99).tolist()[0] == logged_neighbour_table(log, scope, 3).tolist()[0]


def test_chunks_do_not_change_the_table(monkeypatch):
    generator = np.random.default_rng(0)
    cells = list(zip(*np.nonzero(generator.random((30, 12)) < 0.3), strict=True))
    log = make_log(cells, 30, 12)
    scope = scope_of(log)
    whole = logged_neighbour_table(log, scope, 4)
    index, _ = logged_neighbours.logged_neighbours(log, scope, 4)
    assert not (index == torch.arange(30)[:, None]).any()  # nobody is its own neighbour
    dense, _ = logged_feedback(log, scope.users, scope.items)
    torch.testing.assert_close(whole, dense[index].mean(1))
    monkeypatch.setattr(logged_neighbours, "CHUNK", 7)
    torch.testing.assert_close(logged_neighbour_table(log, scope, 4), whole)
