"""Decisions and feedback in memory, where no folder for them was named."""

from collections import deque
from collections.abc import Sequence

from darlr.decisions.records import Decision, Reward


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

    def check(self) -> None:
        """There is always room."""

    def close(self) -> None:
        """Nothing to write down."""
