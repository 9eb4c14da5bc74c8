"""Options of data sets, of splits, and of your own tables."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from darlr.options.checks import at_least, not_negative, require

LARGEST_REWARD = 1e12  # the sum of the squares of larger rewards over a log overflows float32


@dataclass(frozen=True)
class SyntheticConfig:
    """The built-in synthetic world, whose true rewards are known."""

    users: int = 300
    """Number of users."""
    items: int = 200
    """Number of items."""
    categories: int = 40
    """Number of item categories."""
    events_per_user: int = 30
    """Mean number of logged events per user."""
    latent: int = 4
    """Number of latent factors behind the preferences."""
    noise: float = 0.5
    """Standard deviation of the noise of a logged reward, on the scale from 1 to 5."""
    boredom: float = 0.8
    """How much a logged reward falls when a category of the item is among the last events, on the scale from 1 to 5."""
    leave: float = 0.0
    """Logged users leave a session after a reward below this, on the scale from 1 to 5. 0: no reward does that."""
    leave_patience: int = 1
    """Number of such rewards in a session after which a user leaves."""
    leave_chance: float = 1.0
    """Probability that a user whose patience is at an end leaves after such a reward."""
    fatigue: float = 0.0
    """How much a reward falls for each category that the item shares with the last item of the session, on the scale
    from 1 to 5. The true rewards of evaluation fall, too."""
    tiring: float = 0.0
    """Logged users leave with probability 1 - exp(-tiring F), where F is the fatigue: shared categories, of which each
    counts recovery^(lag - 1)."""
    recovery: float = 0.7
    """Share of the fatigue from a category that is left one item later."""
    popularity_bias: float = 1.0
    """How strongly exposure follows popularity. 0 exposes all items alike."""
    exposure: Literal["auto", "exact", "sampled"] = "auto"
    """exact: users choose among all items, which costs time by users x items. sampled: they choose among candidates
    that are drawn by popularity, which costs time by events. auto: exact up to 20,000 items."""
    truth_users: int = 0
    """Number of users whose true rewards evaluation knows, drawn at random. 0: all of them; but where users x items
    exceeds 2^30, as many as have 2^28 rewards, such as 2,684 of 1,000,000 users with 100,000 items."""
    seed: int = 0
    """Seed of the world. Another seed gives another world."""

    def __post_init__(self) -> None:
        at_least(2, self, ("users",), "synthetic")
        at_least(1, self, ("items", "categories", "events_per_user", "latent"), "synthetic")
        at_least(1, self, ("leave_patience",), "synthetic")
        not_negative(self, ("noise", "truth_users", "leave", "fatigue", "tiring"), "synthetic")
        for name in ("leave_chance", "recovery"):
            require(
                0 <= getattr(self, name) <= 1, f"synthetic.{name}", f"must be from 0 to 1, not {getattr(self, name)}"
            )

    @property
    def visits(self) -> bool:
        """Whether the log consists of sessions, which long gaps end."""
        return self.leave > 0 or self.tiring > 0 or self.fatigue > 0


@dataclass(frozen=True)
class KuaiRecConfig:
    """How the raw files of KuaiRec become rewards."""

    reward: Literal["clipped", "raw", "normalised"] = "clipped"
    """The reward is the watch ratio. clipped: at most 5. raw: unchanged.
    normalised: scaled to 0 to 1 between the 2nd and the 98th percentile of the ratios of the video."""


@dataclass(frozen=True)
class CoatConfig:
    """The ground truth of Coat."""

    complete: bool = False
    """Complete the ratings of test.ascii to a ground truth, even where coat_pseudoGT_ratingM.ascii holds one."""


@dataclass(frozen=True)
class YahooConfig:
    """The ground truth of Yahoo! R3."""

    truth: Path | None = None
    """File of true rewards, users of the test file x songs. The default completes the ratings of the test file."""


@dataclass(frozen=True)
class SplitConfig:
    """How the log is split into a training part and a held-out part."""

    kind: Literal["random", "time"] = "random"
    """random: events of each user are held out at random. time: the last events of each user are held out."""
    held_out: float = 0.1
    """Share of the events of each user that is held out. A user with one event keeps it for training."""
    seed: int = 0
    """Seed of the random split."""
    keep: float = 1.0
    """Share of the events that are used. Below 1 it tests how a method copes with a sparse log."""
    isolated: float = 0.0
    """Share of the users whose events are all dropped. Above 0 it tests how a method copes with cold-start users."""
    refit: bool = True
    """The held-out part chooses the number of epochs of the world model.
    Then the world model is fitted again on all events for that many epochs."""
    evaluation: float | None = None
    """Share of the items of each user whose events are kept from training.
    `darlr evaluate` fits a world model of its own to these events.
    The default is 0 for a data set whose true rewards are known, and 0.3 for others."""
    draw: int = 0
    """Which events are kept from training for evaluation. Each number draws other ones."""
    hidden: float = 0.0
    """Share of the users who are hidden from training with their events and features, as if they had never come.
    Above 0 `darlr evaluate --users new` measures how a policy serves new users."""
    fold: int = 0
    """Which of the groups of users is hidden: from 0 to 1 / hidden - 1. The groups are the same for all seeds."""

    @property
    def folds(self) -> int:
        """The number of groups of users that can be hidden in turn; 0 where none is hidden."""
        return int(1 / self.hidden + 1e-9) if self.hidden else 0

    def __post_init__(self) -> None:
        require(0 < self.held_out < 1, "split.held-out", f"must be above 0 and below 1, not {self.held_out:g}")
        require(0 < self.keep <= 1, "split.keep", f"must be above 0 and at most 1, not {self.keep}")
        for name in ("isolated", "evaluation"):
            value = getattr(self, name) or 0.0
            require(0 <= value < 1, f"split.{name}", f"must be at least 0 and below 1, not {value}")
        require(self.draw >= 0, "split.draw", f"must not be negative, not {self.draw}")
        require(0 <= self.hidden <= 0.5, "split.hidden", f"must be from 0 to 0.5, not {self.hidden}")
        last = max(self.folds, 1) - 1
        require(0 <= self.fold <= last, "split.fold", f"must be from 0 to {last} here, not {self.fold}")


@dataclass(frozen=True)
class TableFiles:
    """The files of a log."""

    log: Path | tuple[Path, ...]
    """Files of logged events, with one event per row. Folders, quoted patterns and addresses such as 's3://bucket/*.csv'
    are read too."""
    users: Path | None = None
    """File of user features, with one user per row. Every column but the id is a feature."""
    items: Path | None = None
    """File of item features, with one item per row. Items without events stay in the catalogue."""


@dataclass(frozen=True)
class ColumnsConfig:
    """What the columns of a log, and of the tables of its users and items, mean."""

    user: str = "user"
    """Column of user ids, in the log and in the file of users."""
    item: str = "item"
    """Column of item ids, in the log and in the file of items."""
    reward: str = "reward"
    """Column of rewards."""
    implicit: bool = False
    """The log has no rewards. Each event, such as a click or a purchase, is a positive with reward 1."""
    timestamp: str | None = None
    """Column of times, as numbers or in ISO 8601. Only their order counts."""
    propensity: str | None = None
    """Column of logging probabilities (propensities). Each is above 0 and at most 1."""
    random: str | None = None
    """Column that marks events whose item was shown at random, whatever the user wanted: 1 or true, and 0 or false.
    What makes users leave or tire is then learned from these events."""
    category: str | None = None
    """Item feature that the exit rule reads. A user leaves when one of its values repeats."""
    separator: str = "|"
    """Text between the values of a multi-valued feature."""
    multi: tuple[str, ...] = ()
    """Features that are read as multi-valued. Others are multi-valued where the separator occurs in them."""
    categorical: tuple[str, ...] = ()
    """Features that are read as categorical although they look like numbers or lists."""
    ignore: tuple[str, ...] = ()
    """Columns of the files of users and items that are not features."""
    reward_range: tuple[float, float] | None = None
    """Lowest and highest possible reward.
    The default is the range in the log. Where all rewards are equal, it is the range between 0 and that reward."""
    name: str | None = None
    """Name of the data set. The default is the name of the first file of the log."""

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
    """Your own files, and what their columns mean. CSV, TSV (plain, .gz or .zst) and Parquet are read."""
