"""The data that a baseline can read: the log, the scope and the world model's tables. The truth is not among them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope
from darlr.data.split import select
from darlr.errors import DataError
from darlr.world.tables import World


@dataclass(frozen=True)
class Context:
    """The inputs of a fit.

    log: the events to fit on, log codes. held_out: events kept for choices (may be empty, and may be part of `log`
    after a refit). scope: whom and what we recommend. catalogue: the log's events on scope items, of all users;
    user log codes, item scope codes. world: tables in scope codes, or None. turns: T of a session.
    """

    log: InteractionLog
    held_out: InteractionLog
    scope: Scope
    catalogue: InteractionLog
    world: World | None
    turns: int = 30

    @property
    def implicit(self) -> bool:
        """Whether the log records positives alone: one reward for all events."""
        return self.log.implicit

    @cached_property
    def train(self) -> InteractionLog:
        """The log without the held-out cells: the data for candidates that the held-out part compares."""
        cell, held = (part.user * self.log.n_items + part.item for part in (self.log, self.held_out))
        return select(self.log, ~np.isin(cell, held))

    def tables(self) -> World:
        """The world model's tables; DataError when there are none."""
        if self.world is None:
            raise DataError(f"{self.log.name}: this baseline needs a world model; pass Context.world")
        return self.world


def events(log: InteractionLog) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """User, item and mean reward of each cell that has an event."""
    cell, place, count = np.unique(log.user * log.n_items + log.item, return_inverse=True, return_counts=True)
    reward = np.bincount(place, log.reward) / count
    return cell // log.n_items, cell % log.n_items, reward.astype(np.float32)
