"""What a policy knows of how a session changes its user: how rewards fall, and when the user leaves."""

from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from torch import Tensor

from darlr.simulation.exits import Exit, Never, for_new_users, never, risk
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.session import Session


@dataclass(frozen=True)
class Dynamics:
    """rule: by which users leave. worth: c, what each turn that is left is worth. fatigue: None where rewards stay.

    turns: T, the most turns of a session; None = those that a session has room for, which in serving may be fewer.
    """

    rule: Exit = never
    worth: float = 0.0
    fatigue: Fatigue | None = None
    turns: int | None = None

    @property
    def of_new_users(self) -> "Dynamics":
        """The same for users who are in no log."""
        return replace(self, rule=for_new_users(self.rule))

    def rested(self, items: Int[Tensor, "B n"], rewards: Float[Tensor, "B n"]) -> Float[Tensor, "B n"]:
        """The rewards of a session without its fatigue. items: newest last, -1 for none."""
        return rewards if self.fatigue is None else rewards + self.fatigue.of_shown(items)

    def values(
        self, session: Session, mean: Float[Tensor, "B I"], deviation: Float[Tensor, "B I"]
    ) -> Float[Tensor, "B I"]:
        """The next reward of each item less the price of leaving, c P(leave) x turns left.

        mean, deviation: of the normal distribution of that reward, for a user without fatigue.
        """
        mean = mean if self.fatigue is None else mean - self.fatigue.of_all(session)
        if isinstance(self.rule, Never) or not self.worth:
            return mean
        turns = session.turns if self.turns is None else self.turns
        left = (turns - session.turn - 1).clamp(min=0)
        return mean - self.worth * left[:, None] * risk(self.rule, session, mean, deviation)
