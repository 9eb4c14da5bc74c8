"""An index that prices leaving: posterior mean - P(leave) x what leaving costs, and likewise for disappointments.

The costs come from sessions with users who are drawn from the belief (`darlr.policies.staying`), and P(leave) from the
exit rule and the predictive distribution of the next reward.
"""

from dataclasses import dataclass, replace

from torch import Tensor

from darlr.data.unit import Unit
from darlr.policies.bayes import Bayes, fit_bayes
from darlr.policies.staying import Worlds, cost_of_leaving
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.exits import Exit, never
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.session import Session
from darlr.world.belief import Belief
from darlr.world.context import Context

PARTS = ("user", "items", "rewards", "turn", "done")


@dataclass(frozen=True)
class Index(Bayes):
    """See `Bayes` and above; without a rule it is greedy. zero: the learned value of a reward of 0.

    fatigue: how rewards fall as categories repeat, if that is known. costs: see `darlr.simulation.dynamics.Dynamics`.
    """

    zero: float = 0.0
    rule: Exit = never
    fatigue: Fatigue | None = None
    costs: Tensor | None = None

    def _scores(self, session: Session, part: slice) -> Tensor:
        own, known = replace(session, **{name: getattr(session, name)[part] for name in PARTS}), self.dynamics
        found = self.posterior(replace(own, rewards=known.rested(own.items, own.rewards)), slice(None))
        return known.values(own, found.rows(found.theta()), found.variance().sqrt())

    @property
    def dynamics(self) -> Dynamics:
        """What the index knows of sessions."""
        return Dynamics(self.rule, self.costs, self.fatigue)

    def knowing(self, rule: Exit, turns: int) -> "Index":
        """The index with this rule, and what leaving costs among its users."""
        belief = Belief(self.mean, self.factors, self.noise, self.tempering)
        worlds = Worlds(belief, self.items, self.rewards, self.zero, self.seed)
        return replace(self, rule=rule, costs=cost_of_leaving(worlds, Dynamics(rule, None, self.fatigue), turns))


def fit_index(context: Context, seed: int = 0) -> Index:
    """The index on the belief of the log's users, without a rule yet."""
    return Index(**vars(fit_bayes(context, seed)), zero=zero_of(context.log.unit))


def zero_of(unit: Unit) -> float:
    """The learned value of a reward of 0, by the line through the range."""
    return unit.least - unit.low / unit.scale
