"""Policies whose scores ignore feedback: random items, one list for all users, and a table of scores."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from darlr.simulation.exits import Exit
from darlr.simulation.policy import Policy, Shortlist
from darlr.simulation.session import Session, last_items
from darlr.simulation.shortlist import GOLDEN, ByUser, best_items, mixed, once_each
from darlr.world.estimates import Estimate, estimate_of

LISTED, DRAWN = 256, 64  # items of a short list: the best ones, or random ones
CELLS = 2**24  # scores that are ranked at once


@dataclass(frozen=True)
class Random:
    """The same score for all items, so that samples are uniform.

    seed: of short lists, which hold other items, drawn at random, for each user and turn.
    """

    seed: int = 0

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], all 0."""
        return torch.zeros((len(session.user), session.n_items), device=session.user.device)

    def shortlist(self, session: Session, *, greedy: bool) -> Shortlist | None:
        """DRAWN items at random; none where the first item of the catalogue is shown."""
        if greedy:
            return None
        place = torch.arange(DRAWN, device=session.user.device)
        key = mixed(session.user * GOLDEN + session.turn) + mixed(torch.tensor(self.seed, device=place.device))
        items = once_each(mixed(key[:, None] * GOLDEN + place) % session.n_items, session.n_items)
        return Shortlist(items, torch.zeros(items.shape, device=place.device))


@dataclass(frozen=True)
class FixedList:
    """The same order of items for all users. value: float32 [I], the scores."""

    value: Tensor

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], the list's scores in every row."""
        return self.value.expand(len(session.user), -1)

    def shortlist(self, session: Session, *, greedy: bool) -> Shortlist | None:
        """The first items of the list; none for samples."""
        if not greedy:
            return None
        return Shortlist(*(part.expand(len(session.user), -1).contiguous() for part in self._first))

    @cached_property
    def _first(self) -> tuple[Tensor, Tensor]:
        """The first LISTED items, by rising code, and their scores, [1, S] each."""
        items = best_items(self.value[None], min(LISTED, len(self.value)))
        return items, self.value[items]


@dataclass(frozen=True)
class UserGreedy:
    """A user's best items by a table [R, I] or an estimate. row: int64 [U], each user's row; None: the user's code."""

    table: Tensor | Estimate
    row: Tensor | None = None

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], the users' rows."""
        return estimate_of(self.table).rows(self._rows(session))

    def shortlist(self, session: Session, *, greedy: bool) -> Shortlist | None:
        """The first items of each user; none for samples."""
        return Shortlist(*self._first.of(self._rows(session))) if greedy else None

    def _rows(self, session: Session) -> Tensor:
        return session.user if self.row is None else self.row[session.user]

    @cached_property
    def _first(self) -> ByUser:
        """The LISTED best items of rows, by rising code, and their scores, [n, S] each."""
        estimate = estimate_of(self.table)
        rows, n_items = estimate.shape

        def best(row: Tensor) -> tuple[Tensor, Tensor]:
            parts = (estimate.rows(part) for part in torch.split(row, max(1, CELLS // n_items)))
            found = [(items := best_items(scores, min(LISTED, n_items)), scores.gather(1, items)) for scores in parts]
            items, scores = (torch.cat(part) for part in zip(*found, strict=True))
            return items, scores

        return ByUser(rows, best)


@dataclass(frozen=True)
class Cautious:
    """A policy that lowers the scores of items that would make the user leave by `caution`. leaving: the exit rule."""

    policy: Policy
    leaving: Exit
    caution: float

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I]."""
        ending = self.leaving.ending(last_items(session, self.leaving.window))
        return self.policy.scores(session) - self.caution * ending.float()


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
