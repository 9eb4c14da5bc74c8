"""Policies whose scores ignore feedback: random items, one list for all users, and a table of scores."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding  # several times faster than table[rows] on a CPU

from darlr.simulation.exits import Exit
from darlr.simulation.policy import Policy
from darlr.simulation.session import Session, last_items


@dataclass(frozen=True)
class Random:
    """The same score for all items, so that samples are uniform."""

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], all 0."""
        return torch.zeros((len(session.user), session.n_items), device=session.user.device)


@dataclass(frozen=True)
class FixedList:
    """The same order of items for all users. value: float32 [I], the scores."""

    value: Tensor

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], the list's scores in every row."""
        return self.value.expand(len(session.user), -1)


@dataclass(frozen=True)
class UserGreedy:
    """A user's best items by a table, float32 [R, I]. row: int64 [U], each user's row; None means the user's code."""

    table: Tensor
    row: Tensor | None = None

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], the users' rows of the table."""
        return embedding(session.user if self.row is None else self.row[session.user], self.table)


@dataclass(frozen=True)
class Staying:
    """A policy with items that would make the user leave ranked below all others. leaving: the exit rule."""

    policy: Policy
    leaving: Exit

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], the policy's scores, lowered for items that end the session; their order stays."""
        scores = self.policy.scores(session)
        leaves = self.leaving.ending(last_items(session, self.leaving.window))
        reach = scores.amax(1, keepdim=True) - scores.amin(1, keepdim=True) + 1
        return torch.where(leaves, scores - reach, scores)
