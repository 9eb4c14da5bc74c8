"""A trained recommender as a policy."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding

from darlr.agents.actor_critic import Candidates
from darlr.agents.forbidden import FORBIDDEN
from darlr.agents.observation import Decision, Tokens
from darlr.agents.recommender import Recommender
from darlr.agents.slates import Slate
from darlr.simulation.policy import Shortlist
from darlr.simulation.session import Session
from darlr.simulation.shortlist import ByUser


class Held(NamedTuple):
    """Parts of users' scores that do not depend on their sessions. features: float32 [B, S, d1], of the belief."""

    user: Tensor
    slate: Slate
    layer: Candidates
    features: Tensor | None


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
        if self.tokens is not None:
            slate = slates.of(session.user)
            return Shortlist(slate.items, self._logits(session, slate))
        held = self._held
        if not held or not torch.equal(held[0].user, session.user):
            held[:] = ()  # before the new ones, which may be as large
            held.append(self._of(session.user))
        return Shortlist(held[0].slate.items, self._logits(session, held[0].slate, held[0].layer, held[0].features))

    def _logits(
        self, session: Session, slate: Slate | None, layer: Candidates | None = None, features: Tensor | None = None
    ) -> Tensor:
        observation = self.recommender.observe(session)
        decision: Decision = self.recommender(observation, self.tokens, slate, layer, features)
        return decision.logits

    def _of(self, user: Tensor) -> "Held":
        """What the scores of these users' slates are computed from."""
        slate, agent = Slate(*self._slates.of(user)), self.recommender
        items = slate.known(len(agent.items))
        features = embedding(items, agent.features) if agent.config.belief else None
        return Held(user, slate, Candidates(agent.heads.actor.weight, agent.heads.actor.bias, items), features)

    @cached_property
    def _held(self) -> "list[Held]":
        """Those of the users that were asked for last, as the same sessions are asked for turn after turn."""
        return []

    @cached_property
    def _slates(self) -> ByUser:
        """The slates of all users that were asked for."""
        slates = self.recommender.slates
        assert slates is not None
        return ByUser(len(self.recommender.users), lambda user: slates.of(user).parts)
