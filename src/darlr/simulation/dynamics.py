"""What a policy knows of how a session changes its user: how rewards fall, and when leaving loses what."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.simulation.exits import Exit, Never, chances, for_new_users, never
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.felt import FeltRule
from darlr.simulation.session import Session


@dataclass(frozen=True)
class Dynamics:
    """rule: by which users leave. fatigue: how rewards fall; None where they stay.

    staying: V[t, s], what a session of at most T turns still earns after t of them in state s of the rule; None where
    nothing is known of it, and leaving costs nothing. newcomers: the same for users who are in no log; None = the same
    table. spread: by how much the predicted variance of rewards of users of the log is too small, as a factor.
    """

    rule: Exit = never
    staying: Float[Tensor, "T1 S"] | None = None
    fatigue: Fatigue | None = None
    newcomers: Float[Tensor, "T1 S"] | None = None
    spread: float = 1.0

    @property
    def of_new_users(self) -> "Dynamics":
        """The same for users who are in no log."""
        staying = self.staying if self.newcomers is None else self.newcomers
        return replace(self, rule=for_new_users(self.rule), staying=staying, newcomers=None)

    @property
    def states(self) -> int:
        """S, the number of states that the rule tells apart."""
        return self.rule.states if isinstance(self.rule, FeltRule) else 1

    def state(self, session: Session) -> Int[Tensor, " B"]:
        """The state of each session, 0 to S - 1."""
        return self.rule.state(session) if isinstance(self.rule, FeltRule) else torch.zeros_like(session.turn)

    def rested(self, items: Int[Tensor, "B n"], rewards: Float[Tensor, "B n"]) -> Float[Tensor, "B n"]:
        """The rewards of a session without its fatigue. items: newest last, -1 for none."""
        return rewards if self.fatigue is None else rewards + self.fatigue.of_shown(items)

    def values(
        self, session: Session, mean: Float[Tensor, "B I"], deviation: Float[Tensor, "B I"]
    ) -> Float[Tensor, "B I"]:
        """The next reward of each item less what is lost where the user leaves, or comes nearer to it.

        It is mean + E[V[t + 1, next state]] - V[t + 1, state], with 0 for leaving. mean, deviation: of the normal
        distribution of that reward, for a user without fatigue.
        """
        mean = mean if self.fatigue is None else mean - self.fatigue.of_all(session)
        if isinstance(self.rule, Never) or self.staying is None:
            return mean
        turns, states = self.staying.shape
        turn, state = (session.turn + 1).clamp(max=turns - 1), self.state(session)
        here, struck = (self.staying[turn, (state + more).clamp(max=states - 1), None] for more in (0, 1))
        chance = chances(self.rule, session, mean, deviation)
        priced = mean - here * chance.leave
        return priced if chance.strike is None else priced - (here - struck) * chance.strike
