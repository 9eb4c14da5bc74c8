"""Tiny logs for the tests of the world model."""

import numpy as np

from darlr.data.log import InteractionLog


def log_of(user, item, reward, n_users, n_items, **more):
    """A log of these events; ids are the indices. more: other fields of the log."""
    return InteractionLog(
        "tiny",
        np.asarray(user, dtype=np.int64),
        np.asarray(item, dtype=np.int64),
        np.asarray(reward, dtype=np.float32),
        tuple(range(n_users)),
        tuple(range(n_items)),
        **more,
    )
