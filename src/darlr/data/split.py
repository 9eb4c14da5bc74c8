"""Training and held-out parts of a log; every choice that training makes is made on the held-out part."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from darlr.config import SplitConfig
from darlr.data.log import InteractionLog
from darlr.errors import DataError


def split(log: InteractionLog, config: SplitConfig) -> tuple[InteractionLog, InteractionLog]:
    """(train, held_out): same ids and features, disjoint events in their original order.

    Of a user's k events floor(k * share + uniform) are held out, so that short histories give their share
    on average; at least one event stays in training. Raises DataError when nothing can be held out (a log that was
    thinned on purpose, see darlr.data.thin, gets an empty held-out part instead), or the split is by time and the log
    has no timestamps.
    """
    generator = np.random.default_rng(config.seed)
    n = len(log)
    if config.kind == "time":
        if log.timestamp is None:
            raise DataError(f"{log.name}: a split by time needs timestamps, and this log has none; use kind 'random'")
        late: NDArray[np.generic] = log.timestamp
        generator.random(n)  # keeps the number held out of each user the same for both kinds
    else:
        late = generator.random(n)
    order = np.lexsort((np.arange(n), late, log.user))
    events = np.bincount(log.user, minlength=log.n_users)
    start = np.cumsum(events) - events
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n) - start[log.user[order]]
    wanted = np.floor(events * config.held_out + generator.random(log.n_users)).astype(np.int64)
    kept = events - np.minimum(wanted, np.maximum(events - 1, 0))
    held = place >= kept[log.user]
    if not held.any() and config.keep == 1 and config.isolated == 0:
        raise DataError(
            f"{log.name}: nothing to hold out: {n} events of {int((events > 0).sum())} users at a share of "
            f"{config.held_out}; raise the share or bring users with more events"
        )
    return select(log, ~held), select(log, held)


def select(log: InteractionLog, rows: NDArray[np.bool_]) -> InteractionLog:
    """The log with only the events where `rows`, bool [L], is true; ids and features stay."""
    return replace(
        log,
        user=log.user[rows],
        item=log.item[rows],
        reward=log.reward[rows],
        timestamp=None if log.timestamp is None else log.timestamp[rows],
        propensity=None if log.propensity is None else log.propensity[rows],
    )
