"""Policies whose scores are known before a session begins: chance, one list for all, a table."""

from dataclasses import dataclass

import torch
from torch import Tensor

from darlr.simulation.session import Session


@dataclass(frozen=True)
class Random:
    """Every item alike: uniform when sampled."""

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], all 0."""
        return torch.zeros((len(session.user), session.n_items), device=session.user.device)


@dataclass(frozen=True)
class FixedList:
    """The same order of items for everybody. value: float32 [I], best first."""

    value: Tensor

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], the list's values in every row."""
        return self.value.expand(len(session.user), -1)


@dataclass(frozen=True)
class UserGreedy:
    """A user's best items by a table. table: float32 [R, I]; row: int64 [U], a user's row; None = the user's code."""

    table: Tensor
    row: Tensor | None = None

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], the users' rows of the table."""
        return self.table[session.user if self.row is None else self.row[session.user]]
