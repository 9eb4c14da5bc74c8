"""Read a user's own files into an InteractionLog: CSV, TSV or Parquet and a column mapping."""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import FeatureColumn, FloatArray, InteractionLog, check
from darlr.data.report import Dropped, PrepareReport
from darlr.data.spelling import plain
from darlr.data.tabular.columns import numbered
from darlr.data.tabular.events import Events, read_events, refuse_bad_numbers, repeated
from darlr.data.tabular.features import FeatureTable, feature_columns, missing_ids, read_feature_table
from darlr.data.tabular.file import Table
from darlr.data.tabular.ids import Side, alike, counted, odd_ids, without_ids
from darlr.data.tabular.paths import log_files, log_name
from darlr.data.tabular.times import read_times
from darlr.errors import ConfigError, DataError
from darlr.options import LARGEST_REWARD, TableConfig

SHARE = 0.01  # of the reward range: where the rewards fill less, the range is noted


def read_table(config: TableConfig) -> tuple[InteractionLog, PrepareReport]:
    """The log that the files and columns of `config` hold, and what was dropped and why.

    Rows without a user or item id are dropped, and with a timestamp exact repeats too; users without events are
    dropped, items without events stay. The files are streamed (darlr.data.tabular.events): codes and numbers of
    all rows must fit in memory, the files need not. Raises DataError naming file, row and column, ConfigError naming
    an option.
    """
    config = _plain_columns(config)
    reward_column = None if config.implicit else config.reward
    columns = [c for c in (config.user, config.item, reward_column, config.timestamp, config.propensity) if c]
    doubled = [c for c in columns if columns.count(c) > 1]
    if doubled:
        raise ConfigError(f"options user, item, reward, timestamp, propensity: column '{doubled[0]}' is named twice")
    files, left_out = log_files(config.log)
    events = read_events(files, config)
    user, item = (Side(events, side) for side in ("user", "item"))
    keep, dropped = without_ids(events, user, item)
    if not keep.any():
        raise DataError(f"{_source(files)}: no row has both a user and an item id{_reasons(dropped)}")
    refuse_bad_numbers(events, "reward", config.reward, keep)
    times = None if config.timestamp is None else read_times(events, config.timestamp, keep)
    if config.propensity is not None:
        refuse_bad_numbers(events, "propensity", config.propensity, keep)
        _check_range(events, config.propensity, "propensity", keep, (0.0, 1.0), above=True)
    if times is not None:
        again = repeated(events, times, keep)
        keep &= ~again
        dropped += counted("exact repeat of an earlier row", again, events)
    reward = events.numbers["reward"][keep]
    low, high = config.reward_range or _observed(reward)
    _check_range(events, config.reward, "reward", keep, (-LARGEST_REWARD, LARGEST_REWARD))
    _check_range(events, config.reward, "reward", keep, (low, high))

    for side in (user, item):
        side.restrict(keep)
    if len(user.ids) < 2:
        raise DataError(
            f"{_source(files)}, column '{config.user}': all rows belong to one user ({user.ids[0]!r}); "
            f"learning from other users needs at least 2{_reasons(dropped)}"
        )
    users = _features_of(config.users, config.user, user, [])
    items = _features_of(config.items, config.item, item, [config.category] if config.category else [])
    user_names, user_ids = numbered([user.ids])
    item_names, item_ids = numbered([item.ids] if items is None else [item.ids, items.ids])
    user_features, user_notes = _columns(users, user_names, config)
    item_features, item_notes = _columns(items, item_names, config)
    _check_named(config, (*user_features, *item_features), [source.table for source in (users, items) if source])
    for source in (users, items):
        dropped += [] if source is None else [missing_ids(source)]
    if users is not None:
        silent = users.ids.drop_nulls().is_in(user.ids.to_list())
        dropped.append(Dropped(f"rows of {users.table.path.name}: users without events", int((~silent).sum())))
    notes = [
        *left_out,
        *_unused(reward, low, high),
        *events.notes,
        *odd_ids(config.user, user),
        *odd_ids(config.item, item),
        *alike(config.user, user, users),
        *alike(config.item, item, items),
        *_coverage(users, user),
        *_coverage(items, item, len(item_ids)),
    ]
    log = InteractionLog(
        name=config.name or log_name(config.log),
        user=user.codes(user_names, keep),
        item=item.codes(item_names, keep),
        reward=reward,
        user_ids=user_ids,
        item_ids=item_ids,
        timestamp=None if times is None else times[keep],
        propensity=events.numbers["propensity"][keep] if config.propensity is not None else None,
        user_features=user_features,
        item_features=item_features,
        category=config.category,
        reward_range=(low, high),
        exit="category" if config.category else "none",
    )
    check(log)
    return log, PrepareReport(
        source=_source(files),
        rows_read=len(events),
        rows_kept=len(log),
        dropped=tuple(d for d in dropped if d.count),
        notes=tuple(notes + user_notes + item_notes),
    )


def _plain_columns(config: TableConfig) -> TableConfig:
    """The same columns, their names as `csv_header` spells them."""
    return replace(
        config,
        user=plain(config.user),
        item=plain(config.item),
        reward=plain(config.reward),
        timestamp=config.timestamp and plain(config.timestamp),
        propensity=config.propensity and plain(config.propensity),
        category=config.category and plain(config.category),
        multi=tuple(map(plain, config.multi)),
        ignore=tuple(map(plain, config.ignore)),
        categorical=tuple(map(plain, config.categorical)),
    )


def _reasons(dropped: Sequence[Dropped]) -> str:
    return "".join(f"; dropped {d.count:,}: {d.reason}" for d in dropped)


def _source(files: Sequence[Path]) -> str:
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"


def _coverage(source: FeatureTable | None, side: Side, listed: int | None = None) -> list[str]:
    """Notes on ids of the log that a feature file lacks, and on items (`listed` in all) that only it has."""
    if source is None:
        return []
    path, absent = source.table.path, int((~side.ids.is_in(source.ids.drop_nulls().to_list())).sum())
    notes = []
    if absent:
        notes.append(f"{path}: lacks {absent:,} of the log's {len(side.ids):,} ids; their features count as missing")
    if listed is not None and listed > len(side.ids):
        notes.append(f"{path}: {listed - len(side.ids):,} items without events stay: they can be recommended")
    return notes


def _observed(reward: FloatArray) -> tuple[float, float]:
    """Lowest and highest reward; a single value v gives (0, v), (v, 0), or (0, 1) when v is 0."""
    low, high = float(reward.min()), float(reward.max())
    if low < high:
        return low, high
    return (min(low, 0.0), max(high, 0.0)) if low else (0.0, 1.0)


def _unused(reward: FloatArray, low: float, high: float) -> list[str]:
    """A note where the reward range is far wider than the rewards are."""
    least, most = float(reward.min()), float(reward.max())
    if least == most or most - least >= SHARE * (high - low):
        return []
    found = f"{low:g} to {high:g} is far wider than the rewards, which are {least:g} to {most:g}"
    return [f"option reward-range: {found}; is it right?"]


def _check_range(
    events: Events,
    column: str,
    what: str,
    keep: NDArray[np.bool_],
    limits: tuple[float, float],
    above: bool = False,
) -> None:
    """Raise DataError at the first row to keep outside the limits (`above`: the low limit is out too)."""
    with np.errstate(over="ignore"):
        values = events.numbers[what].astype(np.float32, copy=False)  # a limit of 0.1 holds a float32 of 0.1
        low, high = (np.float32(limit) for limit in limits)
    outside = ((values < low) | (values > high) | (above & (values == low))) & keep
    if outside.any():
        row = int(outside.argmax())
        wanted = f"above {limits[0]:g} and at most {limits[1]:g}" if above else f"from {limits[0]:g} to {limits[1]:g}"
        events.fail(row, column, f"{what} {events.numbers[what][row]:g} must be {wanted}")


def _features_of(path: Path | None, id_column: str, side: Side, needed: list[str]) -> FeatureTable | None:
    """The feature file, if there is one; raises DataError when it lists none of the log's ids."""
    if path is None:
        return None
    source = read_feature_table(path, id_column, needed)
    if not side.ids.is_in(source.ids.drop_nulls().to_list()).any():
        raise DataError(
            f"{path}, column '{id_column}': lists none of the log's ids (the log has {side.ids[0]!r}, "
            f"this file {source.ids[0]!r}); is it the right file and column?"
        )
    return source


def _columns(
    source: FeatureTable | None, names: tuple[str, ...], config: TableConfig
) -> tuple[tuple[FeatureColumn, ...], list[str]]:
    return ((), []) if source is None else feature_columns(source, names, config)


def _check_named(config: TableConfig, columns: tuple[FeatureColumn, ...], tables: Sequence[Table]) -> None:
    """Raise ConfigError when an option names a feature that was not read, or a column that is not there."""
    read = [column.name for column in columns]
    there = [name for table in tables for name in table.frame.columns]
    options = (("multi", config.multi, read), ("categorical", config.categorical, read))
    for option, names, known in (*options, ("ignore", config.ignore, there)):
        for name in names:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"perhaps you meant '{close[0]}'" if close else f"features: {', '.join(known) or 'none'}"
                raise ConfigError(f"option {option}: no file has a feature '{name}'; {hint}")
    if config.category is not None and config.category not in read:
        raise DataError(f"{config.items}, column '{config.category}': the category has no values")
