"""Where decisions and feedback go."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from darlr.serving.ids import Id


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer, with all that is needed to repeat it and to use it for off-policy values.

    time: when it was made, in UTC. history: items and rewards, oldest first. exclude, candidates: the rules, as
    given. seed: of the draws, see `darlr.serving.strategy.seed_of`; None where nothing was drawn. items, propensities:
    by rank. arm, run, version: the arm, the name of its run, and the version of its policy.
    """

    request_id: str
    time: datetime
    user: Id | None
    user_known: bool
    history: tuple[tuple[Id, float], ...]
    exclude: tuple[Id, ...]
    candidates: tuple[Id, ...] | None
    strategy: str
    epsilon: float
    seed: int | None
    items: tuple[Id, ...]
    propensities: tuple[float, ...]
    arm: str
    run: str
    version: str


@dataclass(frozen=True, slots=True)
class Reward:
    """Feedback for an item of a decision. time: when the user gave it, or when it arrived, in UTC."""

    request_id: str
    item: Id
    reward: float
    time: datetime


class Sink(Protocol):
    """Keeps decisions and feedback. Its methods are quick, and are called from one thread.

    They raise OSError where nothing more can be kept; the server then answers 503, and nothing is shown unlogged.
    """

    def decided(self, decision: Decision) -> None:
        """Keep a decision, before it is shown."""
        ...

    def rewarded(self, rewards: Sequence[Reward]) -> None:
        """Keep feedback, all or nothing."""
        ...

    def close(self) -> None:
        """Write down what is not written yet; nothing comes afterwards."""
        ...


class Memory:
    """The newest decisions and rewards, in memory alone."""

    def __init__(self, most: int = 10_000) -> None:
        self.decisions: deque[Decision] = deque(maxlen=most)
        self.rewards: deque[Reward] = deque(maxlen=most)

    def decided(self, decision: Decision) -> None:
        """Keep a decision."""
        self.decisions.append(decision)

    def rewarded(self, rewards: Sequence[Reward]) -> None:
        """Keep feedback."""
        self.rewards.extend(rewards)

    def close(self) -> None:
        """Nothing to write down."""
