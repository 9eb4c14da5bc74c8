"""Options of a policy in use."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from darlr.io.hints import perhaps
from darlr.options.checks import at_least, require

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


@dataclass(frozen=True)
class ServeConfig:
    """A server of policies (docs/production.md)."""

    runs: tuple[Path, ...] = ()
    """Folders of runs, or of policies. Several are the arms of an A/B test."""
    demo: bool = False
    """Train two small runs on the built-in world, once, and serve them with the page. It names no run."""
    host: str = "127.0.0.1"
    """Address to listen at. Any other than this machine's own needs keys."""
    port: int = 8000
    """Port to listen at. 0 takes a free one."""
    keys: Path | None = None
    """File of keys, one per line. Without it the keys are those of the environment's DARLR_KEYS."""
    weights: tuple[float, ...] = ()
    """Shares of the users for each run, such as 9 1. The default is equal shares."""
    choose: StrategyConfig = field(default_factory=StrategyConfig)
    decisions: Path | None = None
    """Folder for the log of decisions and feedback. Without it they are kept in memory, and are lost at the end."""
    keep_unknown: bool = False
    """Keep feedback also for requests that this server and its log never answered, as where several servers share
    their clients. Otherwise it is rejected."""
    waiting: int = 256
    """Most requests that wait for the inference thread. Further ones are refused with status 429."""
    threads: int = 1
    """Number of CPU threads for computing."""
    page: bool = True
    """Show the page at /, on which a person plays a user. It reads the run's folder when it is opened."""
    drain: int = 30
    """Most seconds that requests under way may take after SIGTERM."""

    def __post_init__(self) -> None:
        require(bool(self.runs) or self.demo, "runs", "name at least one, or give --demo")
        require(not (self.runs and self.demo), "demo", "serves runs of its own; leave out the runs, or --demo")
        at_least(1, self, ("waiting", "threads", "drain"))
        require(0 <= self.port < 65536, "port", f"must be from 0 to 65535, not {self.port}")
