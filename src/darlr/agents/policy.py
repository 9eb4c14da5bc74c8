"""A trained recommender as a policy."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from darlr.agents.actor_critic import FORBIDDEN
from darlr.agents.recommender import Decision, Recommender, Tokens
from darlr.agents.slates import Slate
from darlr.simulation.policy import Shortlist
from darlr.simulation.session import Session
from darlr.simulation.shortlist import ByUser


@dataclass(frozen=True)
class RecommenderPolicy:
    """A trained recommender as a `Policy`; it needs no selector.

    tokens: `Recommender.tokens`, where the rounding of a user's scores may not depend on who else is asked for, or was.
    """

    recommender: Recommender
    tokens: Tokens | None = None

    @torch.inference_mode()
    def scores(self, session: Session) -> Tensor:
        """The logits, float32 [B, I]; those of items outside a user's slate are FORBIDDEN."""
        found = self.shortlist(session, greedy=False)
        if found is None:
            return self._logits(session, None)
        everything = found.scores.new_full((len(session.user), len(self.recommender.items) + 1), FORBIDDEN)
        return everything.scatter_(1, found.items, found.scores)[:, :-1]

    @torch.inference_mode()
    def shortlist(self, session: Session, *, greedy: bool) -> Shortlist | None:
        """The slates of the users, with their logits; None where the whole catalogue can be recommended."""
        slates = self.recommender.slates
        if slates is None:
            return None
        slate = Slate(*self._slates.of(session.user)) if self.tokens is None else slates.of(session.user)
        return Shortlist(slate.items, self._logits(session, slate))

    def _logits(self, session: Session, slate: Slate | None) -> Tensor:
        decision: Decision = self.recommender(self.recommender.observe(session), self.tokens, slate)
        return decision.logits

    @cached_property
    def _slates(self) -> ByUser:
        """The slates of all users that were asked for."""
        slates = self.recommender.slates
        assert slates is not None
        return ByUser(len(self.recommender.users), lambda user: slates.of(user).parts)
