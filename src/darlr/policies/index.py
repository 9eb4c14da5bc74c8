"""An index that prices leaving: posterior mean - c P(leave) x turns left.

P(leave) comes from the exit rule and the predictive distribution of the next reward. What a turn is worth, c, comes
from sessions with users who are drawn from the prior: the mean reward of a turn of greedy sessions in which nobody
leaves, times the factor that earns the most with the rule.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from darlr.policies.bayes import Bayes, fit_bayes
from darlr.simulation import environment
from darlr.simulation.environment import Environment
from darlr.simulation.exits import Exit, never, risk
from darlr.simulation.policy import Policy
from darlr.simulation.session import Session
from darlr.world.context import Context
from darlr.world.hashing import normals

FACTORS = (0.0, 0.25, 0.5, 1.0, 2.0)  # of c
USERS, CELLS = 256, 2**16  # the most users who are drawn, and the cells of their table of rewards


@dataclass(frozen=True)
class Index(Bayes):
    """See `Bayes` and above; without a rule it is greedy. worth: c. zero: the learned value of a reward of 0."""

    worth: float = 0.0
    zero: float = 0.0
    rule: Exit = never

    def _scores(self, session: Session, part: slice) -> Tensor:
        found = self.posterior(session, part)
        mean = found.rows(found.theta())
        if self.rule is never or not self.worth:
            return mean
        own = replace(session, **{name: getattr(session, name)[part] for name in PARTS})
        left = (session.turns - session.turn[part] - 1).clamp(min=0)
        return mean - self.worth * left[:, None] * risk(self.rule, own, mean, found.variance().sqrt())

    def knowing(self, rule: Exit, turns: int) -> Policy:
        """The index with this rule; c is multiplied by the factor that earns the most in drawn worlds."""
        tried = [replace(self, rule=rule, worth=self.worth * factor) for factor in FACTORS]
        return max(tried, key=lambda one: drawn_return(one, rule, turns))


PARTS = ("user", "items", "rewards", "turn", "done")


class Drawn(NamedTuple):
    """A greedy player in worlds that are drawn from the prior. rows: the expected rewards of each user, [B, I]."""

    policy: Policy
    rows: Tensor
    noise: Tensor

    def move(self, session: Session, chance: Tensor) -> "Shown":
        """Show the best item that was not shown before; chance: standard normal numbers of the noise, [B]."""
        action = self.policy.scores(session).masked_fill(session.seen, -torch.inf).max(1).indices
        return Shown(action, self.rows.gather(1, action[:, None]).squeeze(1) + chance * self.noise[action].sqrt())


class Shown(NamedTuple):
    """The items of a turn and their rewards, [B] each."""

    action: Tensor
    feedback: Tensor


def drawn_return(policy: Index, rule: Exit, turns: int) -> float:
    """The mean return, in learned units above a reward of 0, of sessions with users who are drawn from the prior."""
    count, items = max(2, min(USERS, CELLS // len(policy.mean))), len(policy.mean)
    user = torch.arange(count)
    normal = normals(user, user * 0, policy.factors.shape[1] + turns, policy.seed + 1)
    theta, noise = normal[:, : policy.factors.shape[1]], normal[:, policy.factors.shape[1] :]
    new = replace(policy, items=policy.items[:1, :0].expand(count, 0), rewards=policy.rewards[:1, :0].expand(count, 0))
    player = Drawn(new, policy.mean + theta @ policy.factors.T, policy.noise)
    rules = Environment(rule, min(turns, items), items, repeats=False, offered=items)
    session, _ = environment.play(rules, player, user, lambda turn, _: noise[:, turn])
    return float(((session.rewards - policy.zero) * (session.items >= 0)).sum(1).mean())


def fit_index(context: Context, seed: int = 0) -> Index:
    """The index on the belief of the log's users, without a rule yet."""
    found, unit = fit_bayes(context, seed), context.log.unit
    zero = unit.least - unit.low / unit.scale
    index = Index(**{**vars(found), "zero": zero})
    return replace(index, worth=max(drawn_return(index, never, context.turns) / context.turns, 0.0))
