"""Options of a policy in use."""

from dataclasses import dataclass
from typing import Literal, get_args

from darlr.io.hints import perhaps
from darlr.options.checks import require

Name = Literal["greedy", "sample", "explore"]


@dataclass(frozen=True)
class StrategyConfig:
    """How items are chosen by their scores (docs/production.md, Strategies)."""

    strategy: Name = "greedy"
    """greedy: the best items. sample: each rank is drawn from the policy's softmax over the items that are left.
    explore: each rank is the best item that is left, or with probability EPSILON any item that is left."""
    epsilon: float = 0.1
    """Probability that `explore` draws a rank from all items that are left."""

    def __post_init__(self) -> None:
        names = get_args(Name)
        hint = "" if self.strategy in names else perhaps(str(self.strategy), names, f"choose from {', '.join(names)}")
        require(self.strategy in names, "strategy", f"no strategy is called {self.strategy!r}; {hint}")
        number = isinstance(self.epsilon, int | float) and 0 <= self.epsilon <= 1
        require(number, "epsilon", f"must be a number from 0 to 1, not {self.epsilon!r}")

    @property
    def random(self) -> bool:
        """Whether items are drawn, so that a request needs a name to be repeatable."""
        return self.strategy != "greedy"
