"""Greedy use of an exact posterior about the user, and Thompson sampling from it.

They learn about a user from the answers of the session alone and in closed form, so that they show what a policy that
is trained must reach. For new users the prior is that of the log's users; for users of the log it is given the user's
own events first.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.data.histories import last_events
from darlr.data.scope import within_scope
from darlr.simulation.session import Session
from darlr.world.belief import Belief, Posterior
from darlr.world.context import Context
from darlr.world.hashing import normals

CELLS = 2**24  # numbers that are held at once
LOGGED = 64  # the most events of a user's log that the posterior is given: the last ones


@dataclass(frozen=True)
class Bayes:
    """The item with the largest posterior mean, or if `drawn` the largest expected reward by a draw of the posterior.

    mean, factors, noise, tempering: of the belief (`darlr.world.belief.Belief`). items, rewards: the logged events of
    each user, [U, m], -1 for padding; of no columns for new users. seed: of the draws, which are a hash of user and
    turn, so that scores depend on the session alone.
    """

    mean: Float[Tensor, " I"]
    factors: Float[Tensor, "I d"]
    noise: Float[Tensor, " I"]
    items: Int[Tensor, "U m"]
    rewards: Float[Tensor, "U m"]
    drawn: bool = False
    seed: int = 0
    tempering: float = 1.0

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I]."""
        answers, width = session.turns + self.items.shape[1], self.factors.shape[1]
        size = max(1, CELLS // max(answers * (answers + width), len(self.mean)))
        starts = range(0, max(len(session.user), 1), size)
        return torch.cat([self._scores(session, slice(start, start + size)) for start in starts])

    def _scores(self, session: Session, part: slice) -> Tensor:
        found = self.posterior(session, part)
        if not self.drawn:
            return found.rows(found.theta())
        normal = normals(session.user[part], session.turn[part], self.factors.shape[1] + found.x.shape[1], self.seed)
        return found.rows(found.draw(normal[:, : self.factors.shape[1]], normal[:, self.factors.shape[1] :]))

    def posterior(self, session: Session, part: slice) -> Posterior:
        """The posterior of some of the sessions, given the log's events of their users and their answers."""
        shown = session.turns - int((session.items >= 0).any(0).sum())  # answers are at the end
        items, rewards = session.items[part, shown:], session.rewards[part, shown:]
        if self.items.shape[1]:
            user = session.user[part]
            items, rewards = torch.cat([self.items[user], items], 1), torch.cat([self.rewards[user], rewards], 1)
        return Belief(self.mean, self.factors, self.noise, self.tempering).given(items, rewards)


def fit_bayes(context: Context, seed: int = 0, drawn: bool = False) -> Bayes:
    """The policy on the belief of the log's users. seed: of the belief's sampler and of the draws."""
    found = context.belief(seed)
    logged = last_events(within_scope(context.log, context.scope), LOGGED)
    return Bayes(found.mean, found.factors, found.noise, *logged, drawn, seed, found.tempering)
