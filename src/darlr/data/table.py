"""Read a user's own files into an InteractionLog: CSV, TSV or Parquet and a column mapping."""

import difflib
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.config import TableConfig
from darlr.data.log import FeatureColumn, FloatArray, InteractionLog, check
from darlr.data.report import Dropped, PrepareReport
from darlr.data.table_columns import codes, numbered, read_ids, read_numbers, read_times
from darlr.data.table_features import FeatureTable, feature_columns, missing_ids, read_feature_table
from darlr.data.table_file import Table, read_file
from darlr.errors import ConfigError, DataError


def read_table(config: TableConfig) -> tuple[InteractionLog, PrepareReport]:
    """The log that the files and columns of `config` hold, and what was dropped and why.

    Rows without a user or item id are dropped, and with a timestamp exact repeats too; users without events are
    dropped, items without events stay. Raises DataError naming file, row and column, ConfigError naming an option.
    """
    columns = [c for c in (config.user, config.item, config.reward, config.timestamp, config.propensity) if c]
    doubled = [c for c in columns if columns.count(c) > 1]
    if doubled:
        raise ConfigError(f"options user, item, reward, timestamp, propensity: column '{doubled[0]}' is named twice")
    table = read_file(config.log, columns, only_needed=True)
    user, item = read_ids(table, config.user), read_ids(table, config.item)
    keep, dropped = _kept(table, user, item, config)
    if not keep.any():
        raise DataError(f"{config.log}: no row has both a user and an item id")
    reward = read_numbers(table, config.reward, keep, "reward")
    timestamp = None if config.timestamp is None else read_times(table, config.timestamp, keep)
    propensity = None
    if config.propensity is not None:
        propensity = read_numbers(table, config.propensity, keep, "propensity")
        _check_range(table, config.propensity, propensity, keep, (0.0, 1.0), "propensity", above=True)
    low, high = config.reward_range or _observed(reward)
    _check_range(table, config.reward, reward, keep, (low, high), "reward")

    user, item = user.filter(pl.Series(keep)), item.filter(pl.Series(keep))
    if user.n_unique() < 2:
        raise DataError(
            f"{config.log}, column '{config.user}': all rows belong to one user ({user[0]!r}); "
            "learning from other users needs at least 2"
        )
    users = _features_of(config.users, config.user, user, [])
    items = _features_of(config.items, config.item, item, [config.category] if config.category else [])
    user_names, user_ids = numbered([user])
    item_names, item_ids = numbered([item] if items is None else [item, items.ids])
    user_features, user_notes = _columns(users, user_names, config)
    item_features, item_notes = _columns(items, item_names, config)
    _check_named(config, (*user_features, *item_features))
    for source in (users, items):
        dropped += [] if source is None else [missing_ids(source)]
    if users is not None:
        silent = users.ids.drop_nulls().is_in(user.unique().to_list())
        dropped.append(Dropped(f"rows of {users.table.path.name}: users without events", int((~silent).sum())))
    log = InteractionLog(
        name=config.name or config.log.name.split(".")[0],
        user=codes(user, user_names),
        item=codes(item, item_names),
        reward=reward,
        user_ids=user_ids,
        item_ids=item_ids,
        timestamp=timestamp,
        propensity=propensity,
        user_features=user_features,
        item_features=item_features,
        category=config.category,
        reward_range=(low, high),
        exit="category" if config.category else "none",
    )
    check(log)
    return log, PrepareReport(
        source=str(config.log),
        rows_read=table.frame.height,
        rows_kept=len(log),
        dropped=tuple(d for d in dropped if d.count),
        notes=tuple(user_notes + item_notes),
    )


def _kept(
    table: Table, user: pl.Series, item: pl.Series, config: TableConfig
) -> tuple[NDArray[np.bool_], list[Dropped]]:
    """Which rows stay, bool [rows], and why the others go."""
    no_user, no_item = user.is_null(), item.is_null() & user.is_not_null()
    reasons = [("no user id", no_user), ("no item id", no_item)]
    if config.timestamp is not None:
        same = table.frame.with_columns(user.alias(config.user), item.alias(config.item))
        again = ~same.with_row_index("_row").select(pl.struct(pl.exclude("_row")).is_first_distinct()).to_series()
        reasons.append(("exact repeat of an earlier row", again & ~no_user & ~no_item))
    keep = np.ones(table.frame.height, dtype=bool)
    dropped = []
    for reason, mask in reasons:
        gone = mask.to_numpy()
        keep &= ~gone
        if gone.any():
            dropped.append(Dropped(reason, int(gone.sum()), table.at(int(gone.argmax()))))
    return keep, dropped


def _observed(reward: FloatArray) -> tuple[float, float]:
    """Lowest and highest reward; a single value v gives (0, v), (v, 0), or (0, 1) when v is 0."""
    low, high = float(reward.min()), float(reward.max())
    if low < high:
        return low, high
    return (min(low, 0.0), max(high, 0.0)) if low else (0.0, 1.0)


def _check_range(
    table: Table,
    column: str,
    values: FloatArray,
    rows: NDArray[np.bool_],
    limits: tuple[float, float],
    what: str,
    above: bool = False,
) -> None:
    """Raise DataError at the first of the chosen rows outside the limits (`above`: the low limit is out too)."""
    low, high = (np.float32(limit) for limit in limits)
    outside = (values < low) | (values > high) | (above & (values == low))
    if outside.any():
        first = int(outside.argmax())
        wanted = f"above {limits[0]:g} and at most {limits[1]:g}" if above else f"from {limits[0]:g} to {limits[1]:g}"
        table.fail(int(np.flatnonzero(rows)[first]), column, f"{what} {values[first]:g} must be {wanted}")


def _features_of(path: Path | None, id_column: str, ids: pl.Series, needed: list[str]) -> FeatureTable | None:
    """The feature file, if there is one; raises DataError when it lists none of the log's ids."""
    if path is None:
        return None
    source = read_feature_table(path, id_column, needed)
    if not ids.is_in(source.ids.drop_nulls().to_list()).any():
        raise DataError(
            f"{path}, column '{id_column}': lists none of the log's ids (the log has {ids[0]!r}, "
            f"this file {source.ids[0]!r}); is it the right file and column?"
        )
    return source


def _columns(
    source: FeatureTable | None, names: tuple[str, ...], config: TableConfig
) -> tuple[tuple[FeatureColumn, ...], list[str]]:
    return ((), []) if source is None else feature_columns(source, names, config)


def _check_named(config: TableConfig, columns: tuple[FeatureColumn, ...]) -> None:
    """Raise ConfigError when an option names a feature that was not read."""
    known = [column.name for column in columns]
    for option, names in (("multi", config.multi), ("categorical", config.categorical)):
        for name in names:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"perhaps you meant '{close[0]}'" if close else f"features: {', '.join(known) or 'none'}"
                raise ConfigError(f"option {option}: no file has a feature '{name}'; {hint}")
    if config.category is not None and config.category not in known:
        raise DataError(f"{config.items}, column '{config.category}': the category has no values")
