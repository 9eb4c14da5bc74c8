"""The scope of a log: the users and items we recommend to and from. Everything after the world model uses its codes."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import Block, FeatureColumn, IntArray, InteractionLog
from darlr.data.split import select


@dataclass(frozen=True)
class Scope:
    """The users and items of the scope.

    users: int64 [Us], items: int64 [Is]: codes of the log in ascending order. The position of a user or item in them is
    its scope code. n_users, n_items: the numbers U and I of the log.
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
    place = places(scope.items, scope.n_items)
    kept = select(log, place[log.item] >= 0)
    return replace(
        kept,
        item=place[kept.item],
        item_ids=_chosen(log.item_ids, scope.items),
        item_features=_rows(log.item_features, scope.items),
        block=log.block and Block(log.block.users, np.arange(len(scope.items), dtype=np.int64)),
    )


def within_scope(log: InteractionLog, scope: Scope) -> InteractionLog:
    """The events of the scope's users on the scope's items, both in scope codes.

    A log with a block has no such events, so that the result holds ids and features only. If the scope is the
    whole log, the log itself is returned.
    """
    if scope.whole:
        return log
    place = places(scope.users, scope.n_users)
    offered = catalogue(log, scope)
    kept = select(offered, place[offered.user] >= 0)
    return replace(
        kept,
        user=place[kept.user],
        user_ids=_chosen(log.user_ids, scope.users),
        user_features=_rows(log.user_features, scope.users),
        block=None,
    )


def places(codes: IntArray, size: int) -> IntArray:
    """The place of each code from 0 to size - 1 in `codes`, int64 [size], or -1 where it is not there."""
    place = np.full(size, -1, dtype=np.int64)
    place[codes] = np.arange(len(codes))
    return place


def _chosen(ids: tuple[str, ...] | tuple[int, ...], codes: NDArray[np.int64]) -> tuple[str, ...] | tuple[int, ...]:
    return tuple(ids[code] for code in codes.tolist())


def _rows(columns: tuple[FeatureColumn, ...], codes: IntArray) -> tuple[FeatureColumn, ...]:
    return tuple(replace(column, values=column.values[codes]) for column in columns)
