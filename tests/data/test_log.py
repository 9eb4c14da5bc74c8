import numpy as np
import pytest

from darlr.data.log import InteractionLog


@pytest.mark.parametrize(("users", "items", "events"), [(4, 5, 60), (400, 500, 60), (400, 500, 0)])
def test_cells_are_counted_once_in_dense_and_in_sparse_logs(users, items, events):
    generator = np.random.default_rng(0)
    user, item = generator.integers(0, users, events), generator.integers(0, items // 5, events)
    user[::2], item[::2] = user[:1].repeat(-(-events // 2)), item[:1].repeat(-(-events // 2))
    log = InteractionLog("log", user, item, np.ones(events, np.float32), tuple(range(users)), tuple(range(items)))
    assert log.count_cells() == len(set(zip(user.tolist(), item.tolist(), strict=True)))
