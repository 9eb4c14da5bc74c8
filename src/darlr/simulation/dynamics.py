"""What a policy knows of how a session changes its user: how rewards fall, and when leaving loses what."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from darlr.simulation.exits import Exit, Never, chances, for_new_users, never
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.felt import FeltRule
from darlr.simulation.session import Session, last_items


@dataclass(frozen=True)
class Dynamics:
    """rule: by which users leave. fatigue: how rewards fall; None where they stay.

    costs: what is lost on average where a user leaves after the item of turn t, 0 to T - 1, in state s of the rule, and
    where the item leads to the next state; None where leaving costs nothing. newcomers: the same for users who are in
    no log; None = the same costs. spread: by how much the predicted variance of rewards of users of the log is too
    small, as a factor.
    """

    rule: Exit = never
    costs: Float[Tensor, "2 T S"] | None = None
    fatigue: Fatigue | None = None
    newcomers: Float[Tensor, "2 T S"] | None = None
    spread: float = 1.0

    @property
    def of_new_users(self) -> "Dynamics":
        """The same for users who are in no log."""
        costs = self.costs if self.newcomers is None else self.newcomers
        return replace(self, rule=for_new_users(self.rule), costs=costs, newcomers=None)

    def states(self, turns: int) -> int:
        """S, the number of states that the rule tells apart in sessions of this many turns."""
        return min(self.rule.states, turns + 1) if isinstance(self.rule, FeltRule) else 1

    def after(
        self, session: Session, action: Int[Tensor, " B"], feedback: Float[Tensor, " B"], states: int
    ) -> tuple[Float[Tensor, "B S"], Bool[Tensor, " B"]]:
        """P(leave) after an item with this reward, were the session in each state, and whether it leads to the next."""
        if not isinstance(self.rule, FeltRule):
            leaves = self.rule.leaves(last_items(session, self.rule.window), action)
            return leaves[:, None].float(), torch.zeros_like(leaves)
        each = [self.rule.leaving(session, action, feedback, action * 0 + state) for state in range(states)]
        leave: Tensor = torch.stack(each, 1).float()
        return leave, self.rule.strikes(feedback)

    def rested(self, items: Int[Tensor, "B n"], rewards: Float[Tensor, "B n"]) -> Float[Tensor, "B n"]:
        """The rewards of a session without its fatigue. items: newest last, -1 for none."""
        return rewards if self.fatigue is None else rewards + self.fatigue.of_shown(items)

    def values(
        self, session: Session, mean: Float[Tensor, "B I"], deviation: Float[Tensor, "B I"]
    ) -> Float[Tensor, "B I"]:
        """The next reward of each item less what is lost where the user leaves, or comes nearer to it.

        mean, deviation: of the normal distribution of that reward, for a user without fatigue.
        """
        mean = mean if self.fatigue is None else mean - self.fatigue.of_all(session)
        if isinstance(self.rule, Never) or self.costs is None:
            return mean
        _, turns, states = self.costs.shape
        turn, chance = session.turn.clamp(max=turns - 1), chances(self.rule, session, mean, deviation)
        state = self.rule.state(session).clamp(max=states - 1) if isinstance(self.rule, FeltRule) else 0 * turn
        leaving, strike = self.costs[:, turn, state, None]
        priced: Tensor = mean - leaving * chance.leave
        return priced if chance.strike is None else priced - strike * chance.strike
