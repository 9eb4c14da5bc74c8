"""The scope of a log: the users we recommend to and the items we recommend. All stages after the world model use it."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from darlr.data.log import Block, IntArray, InteractionLog
from darlr.data.split import select
from darlr.errors import DataError
from darlr.options import SplitConfig

HIDDEN = 0x1DDE  # seed of the groups of users that are hidden in turn, whatever the seeds of a run


@dataclass(frozen=True)
class Scope:
    """The users and items of the scope. users: int64 [Us], items: int64 [Is]: codes of the log in ascending order. The
    position of a user or item in them is its scope code. n_users, n_items: the numbers U and I of the log.
    """

    users: IntArray
    items: IntArray
    n_users: int
    n_items: int

    @property
    def whole(self) -> bool:
        """Whether the scope is the whole log; scope codes are then equal to log codes."""
        return len(self.users) == self.n_users and len(self.items) == self.n_items

    def feedback_items(self, log: InteractionLog) -> IntArray:
        """The items outside the block, as log codes: users inside and outside the scope have feedback on them."""
        items = np.arange(self.n_items, dtype=np.int64)
        return items if log.block is None else np.setdiff1d(items, log.block.items)

    def candidates(self, log: InteractionLog) -> IntArray:
        """The users outside the block, as log codes: only they may have logged the items of the scope."""
        users = np.arange(self.n_users, dtype=np.int64)
        return users if log.block is None else np.setdiff1d(users, log.block.users)


def scope_of(log: InteractionLog) -> Scope:
    """The scope of a log: its block if it has one, otherwise all its users and items."""
    if log.block is None:
        users, items = np.arange(log.n_users, dtype=np.int64), np.arange(log.n_items, dtype=np.int64)
    else:
        users, items = np.unique(log.block.users), np.unique(log.block.items)
    return Scope(users, items, log.n_users, log.n_items)


def catalogue(log: InteractionLog, scope: Scope) -> InteractionLog:
    """The events of all users on the items of the scope, with user codes of the log and item codes of the scope.

    Popularity, item means, exit rules, majority categories and entropies are computed from it. If the scope is the
    whole log, the log itself is returned.
    """
    if len(scope.items) == scope.n_items:
        return log
    block = log.block and Block(log.block.users, np.arange(len(scope.items), dtype=np.int64))
    return replace(_restricted(log, "item", scope.items), block=block)


def within_scope(log: InteractionLog, scope: Scope) -> InteractionLog:
    """The events of the scope's users on the scope's items, both in scope codes. A log with a block has no such events,
    so that the result holds ids and features only. If the scope is the whole log, the log itself is returned.
    """
    return log if scope.whole else replace(_restricted(catalogue(log, scope), "user", scope.users), block=None)


@dataclass(frozen=True)
class Hidden:
    """The new users of a log, who are hidden from training, and the others: int64, rising scope codes of the whole log.

    The position of a user in either array is its code among the users of that kind.
    """

    new: IntArray
    known: IntArray


def hide(log: InteractionLog, config: SplitConfig) -> tuple[InteractionLog, Hidden]:
    """(rest, hidden): the log as if a share of the scope's users had never come, and who they are.

    The rest has neither their events nor their ids and features, and codes of its own for the other users. Raises
    DataError where the log has too few users to hide any, or fewer than two would be left.
    """
    scope = scope_of(log)
    n = len(scope.users)
    first, last = (round((config.fold + end) * config.hidden * n) for end in (0, 1))
    order = np.random.default_rng(HIDDEN).permutation(n)
    hidden = Hidden(np.sort(order[first:last]), np.sort(np.delete(order, slice(first, last))))
    if not len(hidden.new) or len(hidden.known) < 2:
        raise DataError(
            f"{log.name}: cannot hide {config.hidden:g} of {n} users: at least one must be hidden and two must stay; "
            "choose another share (option split.hidden)"
        )
    found = without(log, scope.users[hidden.new])
    if not len(found):
        raise DataError(f"{log.name}: no event is left without the hidden users; hide fewer (option split.hidden)")
    return found, hidden


def without(log: InteractionLog, users: IntArray) -> InteractionLog:
    """The log as if these users (log codes) had never come, with codes of its own for the others."""
    rest = np.setdiff1d(np.arange(log.n_users), users)
    found = _restricted(log, "user", rest)
    if log.block is None:
        return found
    left = places(rest, log.n_users)[log.block.users]
    return replace(found, block=Block(left[left >= 0], log.block.items))


def places(codes: IntArray, size: int) -> IntArray:
    """The place of each code from 0 to size - 1 in `codes`, int64 [size], or -1 where it is not there."""
    place = np.full(size, -1, dtype=np.int64)
    place[codes] = np.arange(len(codes))
    return place


def _restricted(log: InteractionLog, side: Literal["user", "item"], codes: IntArray) -> InteractionLog:
    """Only the events of these users (or items). The place of each in `codes` becomes its code."""
    ids, features = getattr(log, f"{side}_ids"), getattr(log, f"{side}_features")
    place = places(codes, len(ids))
    kept = select(log, place[getattr(log, side)] >= 0)
    changed: dict[str, Any] = {
        side: place[getattr(kept, side)],
        f"{side}_ids": tuple(ids[code] for code in codes.tolist()),
        f"{side}_features": tuple(replace(column, values=column.values[codes]) for column in features),
    }
    return replace(kept, **changed)
