"""Options of decisions that were logged, and of what they are worth."""

from dataclasses import dataclass
from typing import Literal

from darlr.options.checks import at_least, require


@dataclass(frozen=True)
class FeedbackConfig:
    """How feedback is joined to the decisions that it belongs to, by request id and item."""

    within: float = 168.0
    """Hours after a decision in which its feedback counts. Later feedback is left out, and is counted as late."""
    repeated: Literal["last", "first", "highest"] = "last"
    """Which reward counts where an item of a decision has several."""
    missing_reward: float | None = None
    """Reward of an item that was shown and has no feedback, such as 0 for no click.
    The default leaves such items out."""

    def __post_init__(self) -> None:
        require(self.within > 0, "within", f"must be above 0, not {self.within:g}")
        finite = self.missing_reward is None or abs(self.missing_reward) < float("inf")
        require(finite, "missing-reward", f"must be a number, not {self.missing_reward}")


@dataclass(frozen=True)
class ValueConfig:
    """What is estimated from decisions."""

    ranks: int | None = None
    """Number of ranks of a list that count. The default is all of them. Fewer ranks need less overlap."""
    by: Literal["users", "requests"] = "users"
    """What intervals resample. Users: decisions of one user depend on each other. A new user is one request."""

    def __post_init__(self) -> None:
        if self.ranks is not None:
            at_least(1, self, ("ranks",))
