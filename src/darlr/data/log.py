"""The interaction log, which every later stage reads, whatever file or frame it came from."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from darlr.data.report import PrepareReport
from darlr.data.unit import Unit
from darlr.errors import DataError
from darlr.options.checks import require

if TYPE_CHECKING:
    import polars as pl

IntArray = NDArray[np.int64]
Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
# The fields of a log with a value for each event.
EVENTS = ("user", "item", "reward", "timestamp", "propensity", "random")
ExitKind = Literal["none", "category", "distance"]


@dataclass(frozen=True)
class FeatureColumn:
    """One feature of every user or item.

    values: categorical int64 [n], codes into `vocabulary`, -1 = missing;
            multi int64 [n, most], codes padded with -1 (all -1 = no value);
            numeric float32 [n], NaN = missing.
    """

    name: str
    kind: Literal["categorical", "multi", "numeric"]
    values: NDArray[np.generic]
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """Cells that are unobserved by construction, because they were cut out of the log for evaluation. users: int64 [a],
    items: int64 [b]; the block holds every pair of them. No negatives are sampled from it.
    """

    users: IntArray
    items: IntArray


@dataclass(frozen=True, repr=False)
class InteractionLog:
    """Logged feedback. Users and items are codes from 0; `user_ids` and `item_ids` give the id of each code.

    user, item: int64 [L]. reward: float32 [L], or float64 as tables are read. timestamp: int64 [L] or None; only the
    order of times counts, not their unit. propensity: float32 [L] in (0, 1], or None. random: bool [L], whether the
    item was shown at random, whatever the user wanted, or None. user_ids, item_ids: the ids in the order of codes, [U]
    and [I], all str or all int. category: the name of the item feature that drives the exit rule and MCD, or None.
    exit: the exit rule that `exit = auto` stands for. unit: leads from rewards as they are learned
    (`darlr.data.unit.as_learned`) back to rewards as they were logged; it is not stored. report: what the reader of the
    log dropped and noticed, if it is known. parts: the places where events begin that were added later
    (`darlr.data.extend`), rising. Each part is split on its own, so that what was kept from training stays kept.
    """

    name: str
    user: IntArray
    item: IntArray
    reward: FloatArray | NDArray[np.float64]
    user_ids: tuple[str, ...] | tuple[int, ...]
    item_ids: tuple[str, ...] | tuple[int, ...]
    timestamp: IntArray | None = None
    propensity: FloatArray | None = None
    random: Mask | None = None
    user_features: tuple[FeatureColumn, ...] = ()
    item_features: tuple[FeatureColumn, ...] = ()
    category: str | None = None
    reward_range: tuple[float, float] = (0.0, 1.0)
    block: Block | None = None
    exit: ExitKind = "none"
    unit: Unit = field(default_factory=Unit)
    report: PrepareReport | None = field(default=None, compare=False)
    parts: tuple[int, ...] = ()

    @property
    def n_users(self) -> int:
        """U, users with or without events."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """I, items with or without events."""
        return len(self.item_ids)

    def __len__(self) -> int:
        return len(self.user)

    @property
    def implicit(self) -> bool:
        """Whether all rewards are equal, as in a log of clicks: only which items were logged is informative."""
        return len(self) > 0 and bool((self.reward == self.reward[0]).all())

    def __repr__(self) -> str:
        low, high = self.reward_range
        sizes = f"{len(self):,} events, {self.n_users:,} users, {self.n_items:,} items"
        return f"<InteractionLog {self.name!r}: {sizes}, rewards {low:g} to {high:g}>"

    def describe(self) -> str:
        """Sizes, density, rewards, times and features, a line each."""
        rewards = "no rewards, as there are no events"
        if len(self):
            rewards = f"rewards {self.reward.min():g} to {self.reward.max():g}, mean {self.reward.mean():.4g}"
        if self.implicit:
            rewards = f"positives only (every reward is {self.reward[0]:g}), negatives are not recorded"
        features = [f"{column.name} ({column.kind})" for column in (*self.user_features, *self.item_features)]
        return (
            f"{self.name}: {len(self):,} events, {self.n_users:,} users, {self.n_items:,} items\n"
            f"density {self.count_cells() / (self.n_users * self.n_items):.2%}, {rewards}\n"
            f"timestamps: {'no' if self.timestamp is None else 'yes'}; category: {self.category or 'none'}"
            f"{'' if self.random is None else f'; shown at random: {self.random.sum():,} events'}\n"
            f"features: {', '.join(features) or 'none'}"
        )

    def frame(self) -> "pl.DataFrame":
        """The events as a polars frame: user and item ids, reward, and timestamp, propensity and random where known."""
        import polars as pl

        columns = {"user": pl.Series(self.user_ids)[self.user], "item": pl.Series(self.item_ids)[self.item]}
        rest = {name: getattr(self, name) for name in EVENTS[2:]}
        return pl.DataFrame(columns | {name: values for name, values in rest.items() if values is not None})

    def split(
        self, held_out: float = 0.2, by: Literal["random", "time"] = "random", seed: int = 0
    ) -> tuple["InteractionLog", "InteractionLog"]:
        """(train, test): two parts of the events. Both keep the ids, features and range of the log, so codes agree.

        held_out: the share of each user's events that goes to the test part, above 0 and below 1; at least one event of
        a user stays in training. by: "random" draws them with the seed; "time" takes the user's last events. Raises
        DataError when nothing can be held out, or the log has no timestamps to split by, and ConfigError for a share or
        a kind of split that cannot be.
        """
        from darlr.data.split import split
        from darlr.options import SplitConfig

        share = isinstance(held_out, int | float) and 0 < held_out < 1
        require(share, "held_out", f"must be a share above 0 and below 1, not {held_out!r}")
        require(by in ("random", "time"), "by", f"must be 'random' or 'time', not {by!r}")
        return split(self, SplitConfig(kind=by, held_out=held_out, seed=seed))

    def count_cells(self) -> int:
        """Distinct pairs of user and item with an event."""
        cells = self.user * self.n_items
        cells += self.item
        if self.n_users * self.n_items <= cells.nbytes:  # a byte a cell is quicker than sorting, and takes no more
            seen = np.zeros(self.n_users * self.n_items, dtype=bool)
            seen[cells] = True
            return int(seen.sum())
        cells.sort()  # in place; np.unique hashes millions of cells far more slowly
        return int(np.count_nonzero(cells[1:] != cells[:-1])) + min(1, len(cells))

    def category_codes(self) -> IntArray | None:
        """Categories of each item, int64 [I, most], padded with -1; None without a category feature."""
        if self.category is None:
            return None
        column = next(c for c in self.item_features if c.name == self.category)
        values = np.asarray(column.values, dtype=np.int64)
        return values[:, None] if values.ndim == 1 else values


def check(log: InteractionLog) -> None:
    """Raise DataError, naming the field, unless the log fits the description of `InteractionLog`."""

    def need(condition: bool | np.bool_, problem: str) -> None:
        if not condition:
            raise DataError(f"{log.name}: {problem}")

    def need_codes(name: str, codes: IntArray, n: int) -> None:
        need(codes.dtype == np.int64 and codes.ndim == 1, f"{name} must be int64 [L]")
        need(((codes >= 0) & (codes < n)).all(), f"{name} has a code outside 0 to {n - 1}")

    def need_numbers(name: str, values: NDArray[np.floating], *kinds: type) -> None:
        right = values.dtype in kinds and values.shape == log.user.shape
        need(right, f"{name} must be {' or '.join(kind.__name__ for kind in kinds)}, one for each event")
        need(np.isfinite(values).all(), f"{name} has a NaN or infinite value")

    def need_feature(what: str, column: FeatureColumn, n: int) -> None:
        values = column.values
        need(values.ndim == (2 if column.kind == "multi" else 1) and len(values) == n, f"{what}: wrong shape")
        if column.kind == "numeric":
            need(values.dtype == np.float32, f"{what} must be float32")
            need(not np.isinf(values).any(), f"{what} has an infinite value")
            return
        need(values.dtype == np.int64, f"{what} must be int64 codes")
        codes = values.astype(np.int64)
        need(((codes >= -1) & (codes < len(column.vocabulary))).all(), f"{what} has a code outside its vocabulary")

    for side, codes, ids, features in (
        ("user", log.user, log.user_ids, log.user_features),
        ("item", log.item, log.item_ids, log.item_features),
    ):
        need(len(ids) > 0, f"there are no {side}s")
        need({type(i) for i in ids} in ({str}, {int}), f"{side} ids must be all str or all int")
        need(len(set(ids)) == len(ids), f"{side} ids repeat")
        need_codes(side, codes, len(ids))
        need(len({f.name for f in features}) == len(features), f"{side} feature names repeat")
        for column in features:
            need_feature(f"{side} feature '{column.name}'", column, len(ids))
    need(log.user.shape == log.item.shape, "user and item differ in length")
    need_numbers("reward", log.reward, np.float32, np.float64)
    low, high = log.reward_range
    need(low < high, f"reward range {low} to {high} is empty")
    need(np.isfinite([low, high]).all(), f"reward range {low} to {high} is infinite")
    reward = log.reward.astype(np.float32, copy=False)  # as bounds of 0.1 hold a float32 of 0.1
    inside = (reward >= np.float32(low)) & (reward <= np.float32(high))
    need(inside.all(), f"a reward lies outside the reward range {low} to {high}")
    if log.timestamp is not None:
        right = log.timestamp.dtype == np.int64 and log.timestamp.shape == log.user.shape
        need(right, "timestamp must be int64, one for each event")
    if log.propensity is not None:
        need_numbers("propensity", log.propensity, np.float32)
        need(((log.propensity > 0) & (log.propensity <= 1)).all(), "a propensity lies outside (0, 1]")
    if log.random is not None:
        need(log.random.dtype == bool and log.random.shape == log.user.shape, "random must be bool, one for each event")
    ends = [0, *log.parts, len(log)]
    need(ends == sorted(ends), f"parts begin at {log.parts}, which do not rise from 0 to {len(log)}")
    named = [f.name for f in log.item_features if f.kind != "numeric"]
    need(log.category is None or log.category in named, f"category '{log.category}' is no categorical item feature")
    if log.block is not None:
        need_codes("block.users", log.block.users, log.n_users)
        need_codes("block.items", log.block.items, log.n_items)
