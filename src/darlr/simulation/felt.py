"""Users who leave because of what they felt: bad rewards, fatigue, or both by a hazard that a log taught."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.special import ndtr

from darlr.data.unit import Unit
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.hazard import COUNTS, Hazard
from darlr.simulation.session import Session
from darlr.simulation.shortlist import GOLDEN, mixed


class Chances(NamedTuple):
    """What each item may bring, [B, I]. leave: P(leave). strike: P(the user stays, and the rule's next state is met).

    strike is None for a rule of one state.
    """

    leave: Tensor
    strike: Tensor | None = None


class FeltRule(ABC):
    """A rule by which the session makes users leave, by chance or by its rewards. No item alone does for certain.

    Draws are a hash of the user and of what was shown, so that policies that show the same items meet the same luck.
    """

    @property
    @abstractmethod
    def sentence(self) -> str:
        """The rule for readers."""

    @property
    def window(self) -> int:
        """1: what users felt has no window of items."""
        return 1

    def leaves(self, recent: Tensor, action: Tensor) -> Tensor:
        """False for every session, bool [B]."""
        return torch.zeros_like(action, dtype=torch.bool)

    def ending(self, recent: Tensor) -> Tensor:
        """False for every item, bool [B, 1], which broadcasts over items."""
        return torch.zeros_like(recent[:, :1], dtype=torch.bool)

    def felt(self, session: Session, action: Tensor, feedback: Tensor) -> Tensor:
        """Whether users leave after the items int64 [B] with these rewards [B]; bool [B]. session: before the items."""
        return luck(session, action) < self.leaving(session, action, feedback, self.state(session))

    @abstractmethod
    def leaving(self, session: Session, action: Tensor, feedback: Tensor, state: Tensor) -> Tensor:
        """P(leave) after these items with these rewards, [B], were the sessions in these states int64 [B]."""

    def strikes(self, feedback: Tensor) -> Tensor:
        """Whether rewards [B] lead to the next state, bool [B]."""
        return torch.zeros_like(feedback, dtype=torch.bool)

    @abstractmethod
    def chances(self, session: Session, mean: Tensor, deviation: Tensor) -> Chances:
        """What each item may bring, where its reward is normal with this mean and standard deviation, [B, I]."""

    @property
    def states(self) -> int:
        """S, the number of states of a session that the rule tells apart, such as counts of disappointments."""
        return 1

    def state(self, session: Session) -> Tensor:
        """The state of each session, int64 [B], 0 to S - 1. A strike leads to the next one."""
        return torch.zeros_like(session.turn)

    @property
    def as_learned(self) -> Self:
        """The same rule for rewards in the unit of learning; itself where rewards do not matter."""
        return self

    @property
    def of_new_users(self) -> Self:
        """The same rule for users who are in no log."""
        return self

    @property
    def of_normal(self) -> Self:
        """The same rule where rewards are normal and not rounded, as in drawn worlds."""
        return self


def luck(session: Session, action: Tensor) -> Tensor:
    """A uniform number for each session before its item, float64 [B]."""
    key = mixed(mixed(session.user * GOLDEN + session.turn + 1) + action)  # mixed(0) is 0
    return (key >> 38).double() / 2**24


@dataclass(frozen=True)
class FeltExit(FeltRule):
    """Users leave with probability `chance` after an item with a reward below `threshold`.

    patience: k, the number of such items in a session from which on users leave. threshold: in the unit of the rewards
    that sessions observe. learned: the same in the unit of learning. cut: where policies cut the normal distribution of
    a learned reward, half-way between the logged rewards on either side of the threshold, as a rating of 2 stands for
    what lies between 1.5 and 2.5; None = at the threshold.
    """

    threshold: float
    learned: float
    patience: int = 1
    chance: float = 1.0
    cut: float | None = None

    @property
    def sentence(self) -> str:
        """The rule for readers."""
        count = "an item" if self.patience == 1 else f"{self.patience} items"
        return f"Users leave after {count} with a reward below {self.threshold:g}, with probability {self.chance:g}."

    def leaving(self, session: Session, action: Tensor, feedback: Tensor, state: Tensor) -> Tensor:
        """See `FeltRule`."""
        return self.chance * (self.strikes(feedback) & (state == self.patience - 1)).double()

    def strikes(self, feedback: Tensor) -> Tensor:
        """See `FeltRule`."""
        return feedback < self.threshold

    def chances(self, session: Session, mean: Tensor, deviation: Tensor) -> Chances:
        """See `FeltRule`."""
        below: Tensor = ndtr(((self.threshold if self.cut is None else self.cut) - mean) / deviation)
        if self.patience == 1:
            return Chances(self.chance * below)
        tired = (self.state(session) == self.patience - 1)[:, None]
        return Chances(self.chance * below * tired, below * ~tired)

    @property
    def states(self) -> int:
        """The patience: in the last state one more reward below the threshold is enough."""
        return self.patience

    def state(self, session: Session) -> Tensor:
        """See `FeltRule`."""
        bad = (session.rewards < self.threshold) & (session.items >= 0)
        return bad.sum(1).clamp(max=self.patience - 1)

    @property
    def as_learned(self) -> "FeltExit":
        """The same rule for rewards in the unit of learning."""
        return replace(self, threshold=self.learned)

    @property
    def of_normal(self) -> "FeltExit":
        """See `FeltRule`. It is in the unit of learning."""
        return self if self.cut is None else replace(self, threshold=self.cut)


@dataclass(frozen=True)
class LearnedExit(FeltRule):
    """Users leave by a hazard that was fitted to a log. unit: that of the rewards that sessions observe."""

    hazard: Hazard
    unit: Unit

    @property
    def sentence(self) -> str:
        """See `FeltRule`."""
        return "Users leave by chance, with a probability that was learned from the log."

    def leaving(self, session: Session, action: Tensor, feedback: Tensor, state: Tensor) -> Tensor:
        """See `FeltRule`."""
        learned = replace(session, rewards=self.unit.learn(session.rewards))
        return self.hazard.after(learned, action, self.unit.learn(feedback), state)

    def strikes(self, feedback: Tensor) -> Tensor:
        """See `FeltRule`."""
        return self.unit.learn(feedback) < self.hazard.threshold

    def chances(self, session: Session, mean: Tensor, deviation: Tensor) -> Chances:
        """See `FeltRule`. mean, deviation: in the unit of the sessions."""
        learned = replace(session, rewards=self.unit.learn(session.rewards))
        return Chances(*self.hazard.at(learned, self.unit.learn(mean), deviation / self.unit.scale))

    @property
    def states(self) -> int:
        """The counts of bad items that the hazard tells apart."""
        return COUNTS

    def state(self, session: Session) -> Tensor:
        """See `FeltRule`."""
        return self.hazard.bad(replace(session, rewards=self.unit.learn(session.rewards)))

    @property
    def as_learned(self) -> "LearnedExit":
        """See `FeltRule`."""
        return replace(self, unit=Unit())

    @property
    def of_new_users(self) -> "LearnedExit":
        """See `FeltRule`."""
        return replace(self, hazard=self.hazard.of_new_users())


@dataclass(frozen=True)
class TiredExit(FeltRule):
    """Users leave with probability 1 - exp(-F) after an item. fatigue: gives F, with the strength of the rule."""

    fatigue: Fatigue

    @property
    def sentence(self) -> str:
        """See `FeltRule`."""
        return "Users leave by chance, sooner the more items repeat categories of recent ones."

    def leaving(self, session: Session, action: Tensor, feedback: Tensor, state: Tensor) -> Tensor:
        """See `FeltRule`."""
        return -torch.expm1(-self.fatigue.of(session, action))

    def chances(self, session: Session, mean: Tensor, deviation: Tensor) -> Chances:
        """See `FeltRule`."""
        return Chances(-torch.expm1(-self.fatigue.of_all(session)))
