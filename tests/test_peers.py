"""The sessions that other libraries play in `benchmarks.peers`."""

import numpy as np

from benchmarks.peers import WINDOW, Batch


def test_a_batch_pays_the_table_and_shows_the_last_items() -> None:
    reward = np.arange(6, dtype=np.float32).reshape(2, 3)
    batch = Batch(reward, np.eye(3, dtype=np.float32), turns=2, sessions=4)
    assert not batch.reset().any()
    action = np.array([0, 1, 2, 1])
    seen, earned, over = batch.step(action)
    assert (earned == reward[batch.user, action]).all()
    assert not over
    assert seen.shape == (4, WINDOW * 4)
    last = seen[:, -4:]
    assert (last[:, :3].argmax(1) == action).all()
    assert (last[:, 3] == earned).all()
    assert not seen[:, :-4].any()
    seen, _, over = batch.step(action)
    assert over
    assert (seen[:, -8:-4] == last).all()
