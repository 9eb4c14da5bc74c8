"""The service: whom we recommend to, and what. Everything after the world model speaks in its codes."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import Block, FeatureColumn, IntArray, InteractionLog
from darlr.data.split import select


@dataclass(frozen=True)
class Service:
    """users: int64 [Us], items: int64 [Is], log codes, rising; a place in them is the service code.

    n_users, n_items: U and I of the log.
    """

    users: IntArray
    items: IntArray
    n_users: int
    n_items: int

    @property
    def whole(self) -> bool:
        """Whether it is the whole log, so that service codes are log codes."""
        return len(self.users) == self.n_users and len(self.items) == self.n_items

    def feedback_items(self, log: InteractionLog) -> IntArray:
        """Items, log codes, on which users of all kinds have feedback: those outside the block."""
        items = np.arange(self.n_items, dtype=np.int64)
        return items if log.block is None else np.setdiff1d(items, log.block.items)

    def candidates(self, log: InteractionLog) -> IntArray:
        """Users, log codes, who may have logged the service's items: those outside the block."""
        users = np.arange(self.n_users, dtype=np.int64)
        return users if log.block is None else np.setdiff1d(users, log.block.users)


def service_of(log: InteractionLog) -> Service:
    """The log's block where it has one, else all its users and items."""
    if log.block is None:
        users, items = np.arange(log.n_users, dtype=np.int64), np.arange(log.n_items, dtype=np.int64)
    else:
        users, items = np.unique(log.block.users), np.unique(log.block.items)
    return Service(users, items, log.n_users, log.n_items)


def catalogue(log: InteractionLog, service: Service) -> InteractionLog:
    """The events of all users on the service's items: user codes of the log, item codes of the service.

    What popularity, item means, exit rule, majority categories and entropy read. A whole service: the log itself.
    """
    if len(service.items) == service.n_items:
        return log
    place = _places(service.items, service.n_items)
    kept = select(log, place[log.item] >= 0)
    return replace(
        kept,
        item=place[kept.item],
        item_ids=_chosen(log.item_ids, service.items),
        item_features=_rows(log.item_features, service.items),
        block=log.block and Block(log.block.users, np.arange(len(service.items), dtype=np.int64)),
    )


def served(log: InteractionLog, service: Service) -> InteractionLog:
    """The events of the service's users on its items, both in service codes; without events where these are a block.

    A whole service: the log itself.
    """
    if service.whole:
        return log
    place = _places(service.users, service.n_users)
    offered = catalogue(log, service)
    kept = select(offered, place[offered.user] >= 0)
    return replace(
        kept,
        user=place[kept.user],
        user_ids=_chosen(log.user_ids, service.users),
        user_features=_rows(log.user_features, service.users),
        block=None,
    )


def _places(codes: IntArray, size: int) -> IntArray:
    """Service code of each log code, int64 [size]; -1 outside the service."""
    place = np.full(size, -1, dtype=np.int64)
    place[codes] = np.arange(len(codes))
    return place


def _chosen(ids: tuple[str, ...] | tuple[int, ...], codes: NDArray[np.int64]) -> tuple[str, ...] | tuple[int, ...]:
    return tuple(ids[code] for code in codes.tolist())


def _rows(columns: tuple[FeatureColumn, ...], codes: IntArray) -> tuple[FeatureColumn, ...]:
    return tuple(replace(column, values=column.values[codes]) for column in columns)
