"""Read a log from the files or frames of a user. The options say what their columns mean."""

import warnings
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from darlr.data.log import EVENTS, FeatureColumn, InteractionLog, Mask, check
from darlr.data.report import Dropped, PrepareReport
from darlr.data.spelling import plain
from darlr.data.tabular.columns import numbered
from darlr.data.tabular.events import (
    Events,
    kept,
    range_of,
    refuse_bad_numbers,
    refuse_no_flags,
    refuse_outside,
    repeated,
    stream_events,
)
from darlr.data.tabular.features import FeatureTable, feature_columns, listed_features, read_feature_table
from darlr.data.tabular.ids import Side, alike, odd_ids, without_ids
from darlr.data.tabular.table import Table
from darlr.data.tabular.times import read_times
from darlr.errors import ConfigError, DarlrWarning, DataError
from darlr.io.hints import perhaps
from darlr.options import LARGEST_REWARD, ColumnsConfig, TableConfig
from darlr.options.json import to_json

OWN = ("reward_range", "name")  # options of one log, not of its columns
COLUMNS = tuple(option.name for option in fields(ColumnsConfig) if option.name not in OWN)


def read_events(
    source: Any,
    *,
    users: Any = None,
    items: Any = None,
    user: str = ColumnsConfig.user,
    item: str = ColumnsConfig.item,
    reward: str = ColumnsConfig.reward,
    implicit: bool = ColumnsConfig.implicit,
    timestamp: str | None = ColumnsConfig.timestamp,
    propensity: str | None = ColumnsConfig.propensity,
    random: str | None = ColumnsConfig.random,
    category: str | None = ColumnsConfig.category,
    separator: str = ColumnsConfig.separator,
    multi: str | Sequence[str] = ColumnsConfig.multi,
    categorical: str | Sequence[str] = ColumnsConfig.categorical,
    ignore: str | Sequence[str] = ColumnsConfig.ignore,
    reward_range: tuple[float, float] | None = ColumnsConfig.reward_range,
    name: str | None = ColumnsConfig.name,
) -> InteractionLog:
    """Read logged events, one a row, and the features of users and items.

    log = darlr.read_events("events.csv", user="uid", item="sku", reward="stars", timestamp="ts", items="items.parquet")

    source, users, items: a path to a CSV, TSV (plain, .gz or .zst) or Parquet file, to a folder of such files, or a
        pattern such as "logs/2024-*.csv"; an address that polars reads, such as "s3://bucket/log/*.parquet"; a polars
        frame, eager or lazy; a pandas frame; an Arrow table, or any object with `__arrow_c_stream__`; or a list of
        paths and addresses or of frames, whose rows then follow each other.
    users, items: features, one user or item a row; every column but the id is a feature. Items without events stay in
        the catalogue.
    user, item: the columns of ids, in the log and in the features.
    reward: the column of rewards. implicit: the log has no rewards; each event, such as a click, is a positive of
        reward 1.
    timestamp: the column of times (numbers or ISO 8601); only their order counts. propensity: the column of logging
        probabilities, above 0 and at most 1. random: the column that marks, with 1 or true, the events whose item was
        shown at random.
    category: the item feature that drives the exit rule: users leave when it repeats.
    separator: what separates the values of a multi-valued feature. multi, categorical: features to read as such.
        ignore: columns of the features to leave out.
    reward_range: the lowest and highest possible reward; by default those that occur.
    name: the name of the data set; by default that of the first file, or "events".

    Returns the log. `log.report` holds what was dropped and noticed. A DarlrWarning shows it when rows were dropped or
    a person should check something. Raises DataError, naming the file or frame, the row and the column, and
    ConfigError, naming an option. Rows of a file are counted as a spreadsheet shows them, so that
    the header is row 1. Rows of a frame are counted from 0: row 17 is `frame[17]`, in pandas `frame.iloc[17]`.
    """
    columns = ColumnsConfig(
        user=user,
        item=item,
        reward=reward,
        implicit=implicit,
        timestamp=timestamp,
        propensity=propensity,
        random=random,
        category=category,
        separator=separator,
        multi=_names(multi),
        categorical=_names(categorical),
        ignore=_names(ignore),
        reward_range=reward_range,
        name=name,
    )
    log, report = read_log(source, columns, users, items)
    if report.dropped or report.notes:
        warnings.warn(str(replace(report, remarks=())), DarlrWarning, stacklevel=2)
    return replace(log, report=report)


def read_table(config: TableConfig) -> tuple[InteractionLog, PrepareReport]:
    """`read_log` of the files that the options of `darlr data prepare table` name."""
    return read_log(config.log, config, config.users, config.items)


def read_log(
    source: Any, config: ColumnsConfig, users: Any = None, items: Any = None
) -> tuple[InteractionLog, PrepareReport]:
    """The log that files or frames and their columns hold, and a report of what was dropped and why.

    source, users, items: paths or frames (darlr.data.tabular.inputs). Rows without a user or item id are dropped, and,
    if there are timestamps, exact repeats of a row. Users without events are dropped; items without events stay. Files
    are streamed (darlr.data.tabular.events): the codes and numbers of all rows must fit in memory, the files need not.
    Raises DataError naming file, row and column, and ConfigError naming an option.
    """
    config = _plain_columns(config)
    reward_column = None if config.implicit else config.reward
    columns = (config.user, config.item, reward_column, config.timestamp, config.propensity, config.random)
    for column in columns:
        if column and columns.count(column) > 1:
            raise ConfigError(f"options {', '.join(EVENTS)}: column '{column}' is named twice")
    if config.category is not None and items is None:
        raise ConfigError("option category: needs the features of items (option items)")
    events = stream_events(source, config)
    user, item = (Side(events, side) for side in ("user", "item"))
    keep, dropped = without_ids(events, user, item)
    if not keep.any():
        raise DataError(f"{events.source}: no row has both a user and an item id{_reasons(dropped)}")
    refuse_bad_numbers(events, "reward", config.reward, keep)
    times = None if config.timestamp is None else read_times(events, config.timestamp, keep)
    _check_shown(events, config, keep)
    if times is not None:
        again = repeated(events, times, keep)
        keep &= ~again
        dropped.append(events.dropped("exact repeat of an earlier row", again))
    reward_range, range_notes = range_of(kept(events.numbers["reward"], keep), config.reward_range)
    refuse_outside(events, config.reward, "reward", keep, (-LARGEST_REWARD, LARGEST_REWARD))
    refuse_outside(events, config.reward, "reward", keep, reward_range)
    for side in (user, item):
        side.restrict(keep)
    if len(user.ids) < 2:
        raise DataError(
            f"{events.source}, column '{config.user}': all rows belong to one user ({user.ids[0]!r}); "
            f"learning from other users needs at least 2{_reasons(dropped)}"
        )
    user_table, lacking_users = _features_of(users, config.user, user, [])
    item_table, lacking_items = _features_of(items, config.item, item, [config.category] if config.category else [])
    user_names, user_ids = numbered([user.ids])
    item_names, item_ids = numbered([item.ids] if item_table is None else [item.ids, item_table.ids])
    user_features, user_notes = feature_columns(user_table, user_names, config)
    item_features, item_notes = feature_columns(item_table, item_names, config)
    tables = [listed for listed in (user_table, item_table) if listed is not None]
    _check_named(config, (*user_features, *item_features), [listed.table for listed in tables])
    for listed in tables:
        absent = listed.ids.is_null().to_numpy()
        dropped.append(listed.table.dropped(f"rows of {Path(listed.table.name).name} without an id", absent))
    if user_table is not None:
        silent = user_table.ids.drop_nulls().is_in(user.ids.to_list())
        name = Path(user_table.table.name).name
        dropped.append(Dropped(f"rows of {name}: users without events", int((~silent).sum())))
    notes = [
        *range_notes,
        *events.notes,
        *odd_ids(config.user, user),
        *odd_ids(config.item, item),
        *alike(config.user, user, user_table),
        *alike(config.item, item, item_table),
        *lacking_users,
        *lacking_items,
        *user_notes,
        *item_notes,
    ]
    extra = len(item_ids) - len(item.ids)
    unlogged = f"{extra:,} items without events stay: they can be recommended"
    remarks = [
        *(["no rewards were read: every event is a positive of reward 1 (option implicit)"] if config.implicit else []),
        *([f"{item_table.table.name}: {unlogged}"] if item_table is not None and extra else []),
        *listed_features(user_table, user_features),
        *listed_features(item_table, item_features),
    ]
    log = InteractionLog(
        name=config.name or events.name,
        user=user.take_codes(user_names, keep),
        item=item.take_codes(item_names, keep),
        reward=kept(events.numbers.pop("reward"), keep),
        user_ids=user_ids,
        item_ids=item_ids,
        timestamp=None if times is None else kept(times, keep),
        propensity=kept(events.numbers["propensity"], keep) if config.propensity is not None else None,
        random=kept(events.numbers["random"], keep) == 1 if config.random is not None else None,
        user_features=user_features,
        item_features=item_features,
        category=config.category,
        reward_range=reward_range,
        exit="category" if config.category else "none",
    )
    check(log)
    used = tuple(one for one in dropped if one.count)
    read = {name: value for name, value in to_json(config).items() if name in COLUMNS}
    return log, PrepareReport(events.source, len(events), len(log), used, tuple(notes), tuple(remarks), read)


def _check_shown(events: Events, config: ColumnsConfig, keep: Mask) -> None:
    """Raise DataError at a row to keep that does not say how its item was shown, where there is a column for it."""
    if config.propensity is not None:
        refuse_bad_numbers(events, "propensity", config.propensity, keep)
        refuse_outside(events, config.propensity, "propensity", keep, (0.0, 1.0), above=True)
    if config.random is not None:
        refuse_no_flags(events, config.random, keep)


def _plain_columns(config: ColumnsConfig) -> ColumnsConfig:
    """The same options, with names of columns spelled as those that are read."""
    one, many = (*EVENTS, "category"), ("multi", "ignore", "categorical")
    columns: dict[str, Any] = {name: (column := getattr(config, name)) and plain(column) for name in one}
    columns |= {name: tuple(map(plain, getattr(config, name))) for name in many}
    return replace(config, **columns)


def _reasons(dropped: Sequence[Dropped]) -> str:
    return "".join(f"; dropped {d.count:,}: {d.reason}" for d in dropped if d.count)


def _features_of(given: Any, id_column: str, side: Side, needed: list[str]) -> tuple[FeatureTable | None, list[str]]:
    """The table of features, if there is one, and a note on ids of the log that it lacks. Raises DataError when it
    lists none of the log's ids.
    """
    if given is None:
        return None, []
    source = read_feature_table(given, id_column, needed, f"{side.side}s")
    lacking = ~side.ids.is_in(source.ids.drop_nulls().to_list())
    if lacking.all():
        raise DataError(
            f"{source.table.name}, column '{id_column}': lists none of the log's ids (the log has {side.ids[0]!r}, "
            f"this table {source.ids[0]!r}); is it the right table and column?"
        )
    text = f"lacks {lacking.sum():,} of the log's {len(lacking):,} ids; their features count as missing"
    return source, [f"{source.table.name}: {text}"] if lacking.any() else []


def _check_named(config: ColumnsConfig, columns: tuple[FeatureColumn, ...], tables: Sequence[Table]) -> None:
    """Raise ConfigError when an option names a feature that was not read, or a column that is not there."""
    read = [column.name for column in columns]
    there = [name for table in tables for name in table.frame.columns]
    options = (("multi", config.multi, read), ("categorical", config.categorical, read))
    for option, names, known in (*options, ("ignore", config.ignore, there)):
        for name in names:
            if name not in known:
                hint = perhaps(name, known, f"features: {', '.join(known) or 'none'}")
                raise ConfigError(f"option {option}: no file has a feature '{name}'; {hint}")
    if config.category is not None and config.category not in read:
        raise DataError(f"{tables[-1].name}, column '{config.category}': the category has no values")


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    """The names of columns; one may be given without a list."""
    return (given,) if isinstance(given, str) else tuple(given)
