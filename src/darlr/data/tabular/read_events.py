"""Read a log from files or frames: what a program calls, with the checks and messages of `darlr data prepare table`."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from darlr.data.log import InteractionLog
from darlr.data.tabular.read_table import read_log
from darlr.errors import DarlrWarning
from darlr.options import ColumnsConfig


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
        pattern such as "logs/2024-*.csv"; a polars frame, eager or lazy; a pandas frame; an Arrow table, or any object
        with `__arrow_c_stream__`; or a list of paths or of frames, whose rows then follow each other.
    users, items: features, one user or item a row; every column but the id is a feature. Items without events stay in
        the catalogue.
    user, item: the columns of ids, in the log and in the features.
    reward: the column of rewards. implicit: the log has no rewards; each event, such as a click, is a positive of
        reward 1.
    timestamp: the column of times (numbers or ISO 8601); only their order counts. propensity: the column of logging
        probabilities, above 0 and at most 1.
    category: the item feature that drives the exit rule: users leave when it repeats.
    separator: what separates the values of a multi-valued feature. multi, categorical: features to read as such.
        ignore: columns of the features to leave out.
    reward_range: the lowest and highest possible reward; by default those that occur.
    name: the name of the data set; by default that of the first file, or "events".

    Returns the log. `log.report` says what was dropped and noticed; a DarlrWarning says it too when rows were dropped
    or a person should check something. Raises DataError, naming the file or frame, the row and the column, and
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


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    """The names of columns; one may be given without a list."""
    return (given,) if isinstance(given, str) else tuple(given)
