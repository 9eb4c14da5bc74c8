"""Thinner logs, to test sparsity: some events are left out, and some users lose all their events."""

import numpy as np

from darlr.data.log import InteractionLog
from darlr.data.split import select
from darlr.errors import DataError
from darlr.options import SplitConfig

EVENTS, USERS = 1, 2  # what the split's seed is drawn on for, apart from the split itself


def thin(log: InteractionLog, config: SplitConfig) -> InteractionLog:
    """The log with round(keep * L) of its events, and without the events of round(isolated * U) users.

    Ids and features stay. At least one event is kept. With one seed, sparser logs are parts of denser ones, so that a
    sweep changes nothing but the share. Raises DataError when all events belonged to the isolated users.
    """
    if config.keep == 1 and config.isolated == 0:
        return log
    keys = np.random.default_rng((config.seed, EVENTS)).random(len(log))
    kept = np.argsort(np.argsort(keys)) < max(1, round(config.keep * len(log)))
    order = np.random.default_rng((config.seed, USERS)).permutation(log.n_users)
    isolated = np.argsort(order) < round(config.isolated * log.n_users)
    rows = kept & ~isolated[log.user]
    if not rows.any():
        raise DataError(
            f"{log.name}: no event is left with split.keep {config.keep} and split.isolated {config.isolated}; "
            "keep more, or choose another split.seed"
        )
    return select(log, rows)
