"""Options of data sets, of splits, and of anybody's own tables."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from darlr.options.checks import at_least, not_negative, require

LARGEST_REWARD = 1e12  # squares of larger ones, summed over a log, leave float32


@dataclass(frozen=True)
class SyntheticConfig:
    """The built-in synthetic world."""

    users: int = 300
    """Number of users."""
    items: int = 200
    """Number of items."""
    categories: int = 40
    """Number of item categories."""
    events_per_user: int = 30
    """Mean number of logged events of a user."""
    latent: int = 4
    """Dimension of the latent tastes."""
    noise: float = 0.5
    """Standard deviation of the noise on a logged reward (reward units, scale 1 to 5)."""
    boredom: float = 0.8
    """What a logged reward loses when a category of the item occurred in the last events (reward units)."""
    popularity_bias: float = 1.0
    """How strongly exposure follows popularity; 0 exposes items uniformly."""
    seed: int = 0
    """Seed of the world; another seed is another world."""

    def __post_init__(self) -> None:
        at_least(2, self, ("users",), "synthetic")
        at_least(1, self, ("items", "categories", "events_per_user", "latent"), "synthetic")
        not_negative(self, ("noise",), "synthetic")


@dataclass(frozen=True)
class KuaiRecConfig:
    """How KuaiRec's raw files become rewards."""

    reward: Literal["clipped", "raw", "normalised"] = "clipped"
    """Watch ratio clipped at 5; as it is; or 0 to 1 between a video's 2nd and 98th percentile in the log."""


@dataclass(frozen=True)
class SplitConfig:
    """How the log is split into a training and a held-out part."""

    kind: Literal["random", "time"] = "random"
    """Random within each user, or each user's last events by time."""
    held_out: float = 0.1
    """Share of each user's events that is held out (users with one event keep it for training)."""
    seed: int = 0
    """Seed of the random split."""
    keep: float = 1.0
    """Share of the events that is kept before anything else; below 1 a stress test of sparsity."""
    isolated: float = 0.0
    """Share of the users who lose all their events before anything else; above 0 a stress test likewise."""
    refit: bool = True
    """Once the held-out part has chosen the epoch, fit the world model again on the whole log for as many."""
    evaluation: float | None = None
    """Share of each user's items whose events training never sees, kept for the evaluation world model of `darlr
    evaluate`; left out: 0 where the data set has a truth, else 0.3."""

    def __post_init__(self) -> None:
        require(0 < self.held_out < 1, "split.held-out", f"must be above 0 and below 1, not {self.held_out:g}")
        require(0 < self.keep <= 1, "split.keep", f"must be above 0 and at most 1, not {self.keep}")
        for name in ("isolated", "evaluation"):
            value = getattr(self, name) or 0.0
            require(0 <= value < 1, f"split.{name}", f"must be at least 0 and below 1, not {value}")


@dataclass(frozen=True)
class TableFiles:
    """The files of a log."""

    log: Path | tuple[Path, ...]
    """Files of logged events, one event a row: files, folders or quoted patterns."""
    users: Path | None = None
    """File of user features, one user a row; every column but the id is a feature."""
    items: Path | None = None
    """File of item features, one item a row; items without events stay in the catalogue."""


@dataclass(frozen=True)
class ColumnsConfig:
    """Which column of a log, and of the tables of its users and items, means what."""

    user: str = "user"
    """Column of user ids, in the log and in the users' file."""
    item: str = "item"
    """Column of item ids, in the log and in the items' file."""
    reward: str = "reward"
    """Column of rewards."""
    implicit: bool = False
    """The log has no rewards: each event (a click, a purchase) is a positive of reward 1."""
    timestamp: str | None = None
    """Column of times (numbers or ISO 8601); only their order counts."""
    propensity: str | None = None
    """Column of logging probabilities, above 0 and at most 1."""
    category: str | None = None
    """Item feature that drives the exit rule: users leave when it repeats."""
    separator: str = "|"
    """What separates the values of a multi-valued feature."""
    multi: tuple[str, ...] = ()
    """Features to read as multi-valued; others are when the separator occurs in them."""
    categorical: tuple[str, ...] = ()
    """Features to read as categorical although they look like numbers or lists."""
    ignore: tuple[str, ...] = ()
    """Columns of the users' and items' files that are no features."""
    reward_range: tuple[float, float] | None = None
    """Lowest and highest possible reward; by default what occurs (0 and the value where only one occurs)."""
    name: str | None = None
    """Name of the data set; by default that of the log's first file."""

    def __post_init__(self) -> None:
        require(self.separator != "", "separator", "must not be empty")
        require(not self.implicit or self.reward == "reward", "implicit", f"reward '{self.reward}' is named too")
        for name in self.ignore:
            read = name in (self.category, *self.multi, *self.categorical)
            require(not read, "ignore", f"'{name}' is also named as a feature to read; leave out one of the two")
        if self.reward_range is not None:
            low, high = self.reward_range
            limits = f"must lie between -{LARGEST_REWARD:g} and {LARGEST_REWARD:g}"
            for end in self.reward_range:
                require(abs(end) <= LARGEST_REWARD, "reward-range", f"{end} {limits}")
            apart = struct.pack("f", low) != struct.pack("f", high)
            held = not self.implicit or low <= 1 <= high
            require(
                held, "reward-range", f"{low} to {high} must hold 1, the reward of all events with the option implicit"
            )
            require(low < high and apart, "reward-range", f"{low} must be below {high}, in float32 too")


@dataclass(frozen=True)
class TableConfig(ColumnsConfig, TableFiles):
    """A user's own files: CSV, TSV (plain, .gz or .zst) or Parquet, and which column means what."""
