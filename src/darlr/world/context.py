"""What a baseline can learn from: the log, the scope and the world model's tables, but not the ground truth."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope
from darlr.data.split import select
from darlr.errors import DataError
from darlr.world.belief import Belief
from darlr.world.fit import fit_belief
from darlr.world.tables import World


@dataclass(frozen=True)
class Context:
    """The inputs of a baseline.

    log: the events to fit to, in log codes. held_out: the events for choices; they may be empty, and after a refit they
    are part of `log`. catalogue: the events of all users on the scope's items, in log codes of users and scope codes of
    items. world: tables in scope codes, or None. turns: T, the number of turns of a session. beliefs: the beliefs that
    were fitted to the log, by their seeds.
    """

    log: InteractionLog
    held_out: InteractionLog
    scope: Scope
    catalogue: InteractionLog
    world: World | None
    turns: int = 30
    beliefs: dict[int, Belief] = field(default_factory=dict, repr=False, compare=False)

    @property
    def implicit(self) -> bool:
        """Whether all rewards of the log are equal."""
        return self.log.implicit

    @cached_property
    def train(self) -> InteractionLog:
        """The log without the held-out cells, for fits that are compared on held-out events."""
        cell, held = (part.user * self.log.n_items + part.item for part in (self.log, self.held_out))
        return select(self.log, ~np.isin(cell, held))

    def belief(self, seed: int) -> Belief:
        """The belief about the log's users, fitted once for all policies that read it. seed: of the sampler."""
        if seed not in self.beliefs:
            self.beliefs[seed] = fit_belief(self.log, self.train, self.held_out, seed)
        return self.beliefs[seed]

    def tables(self) -> World:
        """The world model's tables; DataError where there are none."""
        if self.world is None:
            raise DataError(f"{self.log.name}: this baseline needs a world model; pass Context.world")
        return self.world


def events(log: InteractionLog) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The user, the item and the mean reward of each cell that has an event."""
    cell, place, count = np.unique(log.user * log.n_items + log.item, return_inverse=True, return_counts=True)
    reward = np.bincount(place, log.reward) / count
    return cell // log.n_items, cell % log.n_items, reward.astype(np.float32)
