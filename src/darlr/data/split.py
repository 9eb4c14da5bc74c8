"""Training and held-out parts of a log. Training makes all its choices on the held-out part.

A third part, kept for evaluation, is taken off before these two. Nothing that learns or chooses sees it.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import EVENTS, IntArray, InteractionLog, Mask
from darlr.data.sessions import TIMES
from darlr.errors import DataError
from darlr.options import SplitConfig

RESERVED = 0x5EED  # seed of what is kept for evaluation: the same events whatever the seeds of a run
OF_EVENTS, OF_USERS = 1, 2  # a thinner log draws with the seed of the split and one of these


def split(log: InteractionLog, config: SplitConfig) -> tuple[InteractionLog, InteractionLog]:
    """(train, held_out): disjoint events in their original order, with the ids and features of the log.

    Of a user's k events floor(k * share + uniform) are held out, so that short histories give their share on average.
    At least one event of each user stays in training. Raises DataError when nothing can be held out, or when the split
    is by time and the log has no timestamps. A log that was thinned on purpose (`thin`) gets an empty held-out part
    instead of the error.
    """
    if config.kind == "time" and log.timestamp is None:
        raise DataError(
            f"{log.name}: a split by time needs timestamps, and this log has none; name their column when the log "
            f"is read ({TIMES}), or split at random (option split.kind)"
        )
    held = _by_parts(log, lambda part: _held_out(part, config))
    n = len(log)
    if not held.any() and config.keep == 1 and config.isolated == 0:
        _require_two_events(log)
        raise DataError(
            f"{log.name}: nothing to hold out: {n} events of {len(np.unique(log.user))} users at a share of "
            f"{config.held_out}; {_enough(log.user, 'split.held-out')} works"
        )
    return select(log, ~held), select(log, held)


def reserve(log: InteractionLog, share: float, draw: int = 0) -> tuple[InteractionLog, InteractionLog]:
    """(rest, kept): the log without the events kept for evaluation, and those events.

    Of a user's k distinct items floor(k * share + uniform) are drawn, and all their events are kept; at least one item
    stays. So no (user, item) cell is on both sides. A log with propensities is drawn by event, whatever its item, and
    no user needs to keep one: only then is a propensity the chance of the item of a kept event, given the rest.
    No other option changes what is drawn, so that runs of all seeds leave out the same events.
    Raises DataError when a share above 0 can keep nothing.
    """
    kept = _by_parts(log, lambda part: _reserved(part, share, draw))
    if log.parts and log.propensity is None:  # a later event of a cell goes where the first one went
        _, first, place = np.unique(log.user * log.n_items + log.item, return_index=True, return_inverse=True)
        kept = kept[first][place]
    if share > 0 and not kept.any():
        _require_two_events(log)
        users = np.unique(log.user * log.n_items + log.item) // log.n_items if log.propensity is None else log.user
        several = np.bincount(users).max() > 1
        advice = f"{_enough(users, 'split.evaluation')} works, or " if several else ""
        raise DataError(
            f"{log.name}: nothing to keep for evaluation at a share of {share}; "
            f"{advice}train on all events with a share of 0 (option split.evaluation)"
        )
    return select(log, ~kept), select(log, kept)


def _held_out(log: InteractionLog, config: SplitConfig) -> Mask:
    """Which events `split` holds out, bool [L]."""
    generator = np.random.default_rng(config.seed)
    late: NDArray[np.generic] = generator.random(len(log))  # drawn for both kinds, so that they hold out equally many
    if config.kind == "time":
        assert log.timestamp is not None
        late = log.timestamp
    return _last(log.user, log.n_users, config.held_out, late, generator)


def _reserved(log: InteractionLog, share: float, draw: int) -> Mask:
    """Which events `reserve` keeps, bool [L]."""
    generator = np.random.default_rng(RESERVED + draw)
    if log.propensity is not None:
        return _last(log.user, log.n_users, share, generator.random(len(log)), generator, stay=0)
    cell, place = np.unique(log.user * log.n_items + log.item, return_inverse=True)
    kept: Mask = _last(cell // log.n_items, log.n_users, share, generator.random(len(cell)), generator)[place]
    return kept


def _by_parts(log: InteractionLog, choose: Callable[[InteractionLog], Mask]) -> Mask:
    """The choice on each part of an extended log, bool [L]: on the first part that on the log before it grew."""
    if not log.parts:
        return choose(log)
    return np.concatenate([choose(select(log, rows)) for rows in np.split(np.arange(len(log)), log.parts)])


def newest(log: InteractionLog) -> InteractionLog:
    """The events that were added last; the log itself where none were."""
    return select(log, np.arange(log.parts[-1], len(log))) if log.parts else log


def oldest(log: InteractionLog) -> InteractionLog:
    """The events before any were added."""
    return select(log, np.arange(log.parts[0])) if log.parts else log


def thin(log: InteractionLog, config: SplitConfig) -> InteractionLog:
    """The log with round(keep * L) of its events, and without the events of round(isolated * U) users.

    Ids and features stay. At least one event is kept. With one seed, sparser logs are parts of denser ones, so that a
    sweep changes nothing but the share. Raises DataError when all events belonged to the isolated users.
    """
    if config.keep == 1 and config.isolated == 0:
        return log
    keys = np.random.default_rng((config.seed, OF_EVENTS)).random(len(log))
    kept = np.argsort(np.argsort(keys)) < max(1, round(config.keep * len(log)))
    order = np.random.default_rng((config.seed, OF_USERS)).permutation(log.n_users)
    isolated = np.argsort(order) < round(config.isolated * log.n_users)
    rows = kept & ~isolated[log.user]
    if not rows.any():
        raise DataError(
            f"{log.name}: no event is left with split.keep {config.keep} and split.isolated {config.isolated}; "
            "keep more, or choose another split.seed"
        )
    return select(log, rows)


def _require_two_events(log: InteractionLog) -> None:
    """Raise DataError where no share holds anything out, as one event of each user stays."""
    if np.bincount(log.user).max(initial=0) < 2:
        raise DataError(
            f"{log.name}: no user has two events, so that none can be held out, and training needs held-out events; "
            "use a longer period of the log, or ids that join the events of a user"
        )


def _enough(user: IntArray, option: str) -> str:
    """A share at which the user with the most entries surely loses one, and the option that sets it."""
    return f"a share of {math.ceil(100 / int(np.bincount(user).max())) / 100} (option {option})"


def _last(
    user: IntArray, n_users: int, share: float, late: NDArray[np.generic], generator: np.random.Generator, stay: int = 1
) -> Mask:
    """The latest entries of each user by `late` [L], their share of them and at most all but `stay`, bool [L]."""
    n = len(user)
    order = np.lexsort((np.arange(n), late, user))
    entries = np.bincount(user, minlength=n_users)
    start = np.cumsum(entries) - entries
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n) - start[user[order]]
    wanted = np.floor(entries * share + generator.random(n_users)).astype(np.int64)
    kept = entries - np.minimum(wanted, np.maximum(entries - stay, 0))
    return np.asarray(place >= kept[user])


def select(log: InteractionLog, rows: Mask | NDArray[np.integer]) -> InteractionLog:
    """The log with only these events: those where bool [L] is true, or those at int [n], in this order. Ids and
    features stay. Chosen by places, events are one part.
    """
    arrays = {name: getattr(log, name) for name in EVENTS}
    chosen: dict[str, Any] = {name: array[rows] for name, array in arrays.items() if array is not None}
    kept = rows.dtype == np.bool_
    return replace(log, **chosen, parts=tuple(int(rows[:part].sum()) for part in log.parts) if kept else ())
