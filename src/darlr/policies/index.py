"""An index that prices leaving: posterior mean - c P(leave) x turns left.

P(leave) comes from the exit rule and the predictive distribution of the next reward. What a turn is worth, c, comes
from sessions with users who are drawn from the prior: the mean reward of a turn of greedy sessions in which nobody
leaves. Another factor of it is taken only where it surely earns more with the rule.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from darlr.data.unit import Unit
from darlr.policies.bayes import Bayes, fit_bayes
from darlr.simulation import environment
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.environment import Environment
from darlr.simulation.exits import Exit, for_new_users, never
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.felt import FeltRule
from darlr.simulation.session import Session
from darlr.world.belief import Belief
from darlr.world.context import Context
from darlr.world.hashing import normals

FACTORS = (0.0, 0.25, 0.5, 2.0)  # of c, besides 1
SURE = 2.5  # standard errors by which one of them must be ahead: 95% for all of them together (Bonferroni)
USERS, CELLS = 256, 2**16  # the most users who are drawn, and the cells of their table of rewards


@dataclass(frozen=True)
class Index(Bayes):
    """See `Bayes` and above; without a rule it is greedy. worth: c. zero: the learned value of a reward of 0.

    fatigue: how rewards fall as categories repeat, if that is known.
    """

    worth: float = 0.0
    zero: float = 0.0
    rule: Exit = never
    fatigue: Fatigue | None = None

    def _scores(self, session: Session, part: slice) -> Tensor:
        own, known = replace(session, **{name: getattr(session, name)[part] for name in PARTS}), self.dynamics
        found = self.posterior(replace(own, rewards=known.rested(own.items, own.rewards)), slice(None))
        return known.values(own, found.rows(found.theta()), found.variance().sqrt())

    @property
    def dynamics(self) -> Dynamics:
        """What the index knows of sessions."""
        return Dynamics(self.rule, self.worth, self.fatigue)

    def knowing(self, rule: Exit, turns: int) -> "Index":
        """The index with this rule; c is multiplied by a factor where that surely earns more in drawn worlds."""
        own = replace(self, rule=rule)
        tried = [replace(own, worth=self.worth * factor) for factor in FACTORS]
        more = torch.stack([drawn_returns(one, rule, turns) for one in tried]) - drawn_returns(own, rule, turns)
        least = more.mean(1) - SURE * more.std(1) / more.shape[1] ** 0.5
        best = int(least.argmax())
        return tried[best] if least[best] > 0 else own


PARTS = ("user", "items", "rewards", "turn", "done")


class Drawn(NamedTuple):
    """A greedy player in worlds that are drawn from the prior. rows: the expected rewards of each user, [B, I]."""

    policy: "Index"
    rows: Tensor
    noise: Tensor

    def move(self, session: Session, chance: Tensor) -> "Shown":
        """Show the best item that was not shown before; chance: standard normal numbers of the noise, [B]."""
        action = self.policy.scores(session).masked_fill(session.seen, -torch.inf).max(1).indices
        reward = self.rows.gather(1, action[:, None]).squeeze(1) + chance * self.noise[action].sqrt()
        fatigue = self.policy.fatigue
        return Shown(action, reward if fatigue is None else reward - fatigue.of(session, action))


class Shown(NamedTuple):
    """The items of a turn and their rewards, [B] each."""

    action: Tensor
    feedback: Tensor


def drawn_returns(policy: Index, rule: Exit, turns: int) -> Tensor:
    """The returns, in learned units above a reward of 0, of sessions with users who are drawn from the prior."""
    rule, known = (for_new_users(one.of_normal if isinstance(one, FeltRule) else one) for one in (rule, policy.rule))
    policy = replace(policy, rule=known)
    count, items = max(2, min(USERS, CELLS // len(policy.mean))), len(policy.mean)
    user = torch.arange(count)
    normal = normals(user, user * 0, policy.factors.shape[1] + turns, policy.seed + 1)
    theta, noise = normal[:, : policy.factors.shape[1]], normal[:, policy.factors.shape[1] :]
    new = replace(policy, items=policy.items[:1, :0].expand(count, 0), rewards=policy.rewards[:1, :0].expand(count, 0))
    player = Drawn(new, policy.mean + theta @ policy.factors.T, policy.noise)
    rules = Environment(rule, min(turns, items), items, repeats=False, offered=items)
    session, _ = environment.play(rules, player, user, lambda turn, _: noise[:, turn])
    return ((session.rewards - policy.zero) * (session.items >= 0)).sum(1)


def fit_index(context: Context, seed: int = 0) -> Index:
    """The index on the belief of the log's users, without a rule yet."""
    return worthy(Index(**{**vars(fit_bayes(context, seed)), "zero": zero_of(context.log.unit)}), context.turns)


def new_users_dynamics(belief: Belief, unit: Unit, rule: Exit, turns: int, fatigue: Fatigue | None = None) -> Dynamics:
    """What the index knows of new users of this belief. All but `unit` are in the unit of learning."""
    nobody = torch.zeros(1, 0)
    found = Index(belief.mean, belief.factors, belief.noise, nobody.long(), nobody, zero=zero_of(unit), fatigue=fatigue)
    return worthy(found, turns).knowing(for_new_users(rule), turns).dynamics


def worthy(index: Index, turns: int) -> Index:
    """The index with what a turn is worth in sessions in which nobody leaves."""
    return replace(index, worth=max(float(drawn_returns(index, never, turns).mean()) / turns, 0.0))


def zero_of(unit: Unit) -> float:
    """The learned value of a reward of 0, by the line through the range."""
    return unit.least - unit.low / unit.scale
