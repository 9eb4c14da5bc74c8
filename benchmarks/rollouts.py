"""A policy that looks ahead: it plays sessions to their end in thought, with a rule and a fatigue that it knows."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from darlr.policies.index import Index
from darlr.simulation.exits import chances
from darlr.simulation.session import Session, show

TRIED = 6  # of the best items by the index, whose sessions are played to their end


@dataclass(frozen=True)
class Rollouts:
    """The item after which a session that the index goes on with earns most, by the posterior mean of the rewards."""

    index: Index

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I]: what a session is expected to earn after each of TRIED items; the rest are far below."""
        known = self.index.dynamics
        rested = replace(session, rewards=known.rested(session.items, session.rewards))
        found = self.index.posterior(rested, slice(None))
        mean, deviation = found.rows(found.theta()), found.variance().sqrt()
        first = known.values(session, mean, deviation).masked_fill(session.seen, -torch.inf).topk(TRIED).indices
        many = torch.arange(len(mean)).repeat_interleave(TRIED)
        ahead = replace(
            session, **{name: getattr(session, name)[many] for name in ("user", "items", "rewards", "turn")}
        )
        ahead = replace(ahead, done=session.done[many])
        mean, deviation, action = mean[many], deviation[many], first.flatten()
        alive, earned = torch.ones(len(many)), torch.zeros(len(many))
        for _ in range(session.turns - int(session.turn.min())):
            place, live = action[:, None], alive * (ahead.turn < session.turns)
            reward = mean.gather(1, place).squeeze(1)
            reward = reward if known.fatigue is None else known.fatigue.felt(ahead, action, reward)
            earned += live * (reward - self.index.zero)
            alive = live * (1 - chances(known.rule, ahead, mean, deviation).leave.gather(1, place).squeeze(1))
            ahead = show(ahead, action, reward, torch.zeros_like(ahead.done))
            action = known.values(ahead, mean, deviation).masked_fill(ahead.seen, -torch.inf).max(1).indices
        scores = torch.full((len(first), mean.shape[1]), -1e9)
        return scores.scatter(1, first, earned.view(first.shape))
