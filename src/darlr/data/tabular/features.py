"""A file of user or item features: the kind of each column, and its values in code order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from darlr.data.log import FeatureColumn, FloatArray, IntArray
from darlr.data.spelling import NO_ID, NO_VALUE
from darlr.data.tabular.columns import codes, quoted, read_ids, trimmed, without_words
from darlr.data.tabular.inputs import open_features
from darlr.data.tabular.lists import joined, looks_like_list, unfit, with_lists
from darlr.data.tabular.table import Table
from darlr.errors import DataError
from darlr.options import ColumnsConfig

NAMES = 20  # a text column of more rows than this, with a value of its own in each, is a name and no feature


@dataclass(frozen=True)
class FeatureTable:
    """A feature file and its ids, trimmed strings row by row, null where missing."""

    table: Table
    id_column: str
    ids: pl.Series


def read_feature_table(source: Any, id_column: str, needed: Sequence[str] = (), side: str = "users") -> FeatureTable:
    """Read and check the features of users or items (`side`); raises DataError, among others when an id occurs twice.
    source: paths or frames, see `darlr.data.tabular.inputs`.
    """
    table = open_features(source, side, [id_column, *needed])
    ids = read_ids(table, id_column)

    def problem(row: int) -> str:
        first = table.at(ids.index_of(ids[row]) or 0)
        return f"id {ids[row]!r} occurs before, in {first.rpartition(', ')[2]}"

    table.refuse(ids.is_not_null() & ~ids.is_first_distinct(), id_column, problem)
    return FeatureTable(table, id_column, ids)


def feature_columns(
    source: FeatureTable | None, names: Sequence[str], config: ColumnsConfig
) -> tuple[tuple[FeatureColumn, ...], list[str]]:
    """Every column but the id as a feature of the ids `names`, in their order, and notes on what was seen."""
    if source is None:
        return (), []
    table = source.table
    row_of = {name: row for row, name in enumerate(source.ids.to_list()) if name is not None}
    rows = np.array([row_of.get(name, -1) for name in names], dtype=np.int64)
    wanted = (config.category, *config.categorical, *config.multi)
    columns, notes = [], []
    for name in table.frame.columns:
        if name == source.id_column or name in config.ignore:
            continue
        series = table.frame[name] if name in config.categorical else with_lists(table.frame[name])
        problem = unfit(series, config.separator, name in (*config.multi, *config.categorical))
        column = None if problem else _column(table, series, rows, config)
        if problem and name in wanted:
            raise DataError(f"{table.name}, column '{name}': cannot be a feature: {problem}")
        if problem:
            notes.append(f"{table.name}: column '{name}' left out: {problem}")
        elif column is None:
            notes.append(f"{table.name}: column '{name}' left out: it has no values")
        elif len(column.vocabulary) == table.frame.height > NAMES and name not in wanted:
            notes.append(f"{table.name}: column '{name}' left out: it names the row (a value of its own in each)")
        else:
            columns.append(column)
            notes += _words(table, series)
            if column.kind == "categorical" and name not in config.categorical:
                notes += [f"{table.name}: column '{name}': {note}" for note in _several(column.vocabulary)]
    return tuple(columns), notes


def listed_features(source: FeatureTable | None, columns: Sequence[FeatureColumn]) -> list[str]:
    """A remark that names the features that were read."""
    if source is None or not columns:
        return []
    listed = ", ".join(f"{column.name} ({column.kind})" for column in columns)
    return [f"{source.table.name}: every other column is a feature: {listed}; the option ignore leaves columns out"]


def _column(table: Table, series: pl.Series, rows: IntArray, config: ColumnsConfig) -> FeatureColumn | None:
    """The feature of the ids whose rows in the file are `rows` (-1 = not listed); None without any value."""
    name = series.name
    if series.dtype in (pl.List, pl.Array):
        return _multi(name, series.cast(pl.List(pl.String)), rows)
    chosen = name in config.categorical or name == config.category
    if series.dtype.is_temporal():
        series = series.to_physical()
    if series.dtype.is_numeric() and not (chosen or name in config.multi):
        return _numeric(table, name, series.cast(pl.Float64), rows)
    text = without_words(trimmed(series))
    if text.null_count() == len(text):
        return None
    words = text.is_in(NO_ID)  # "None" among numbers
    numbers = text.cast(pl.Float64, strict=False)
    if not (chosen or name in config.multi or words.all()) and (numbers.is_not_null() | words | text.is_null()).all():
        return _numeric(table, name, numbers, rows)
    if name in config.multi or text.str.contains(config.separator, literal=True).any():
        return _multi(name, text.str.split(config.separator), rows)
    vocabulary = tuple(text.drop_nulls().unique().sort().to_list())
    return FeatureColumn(name, "categorical", np.append(codes(text, vocabulary), -1)[rows], vocabulary)


def _several(texts: Sequence[str]) -> list[str]:
    """Notes on texts that may name several categories, and count as one each."""
    odd, mark = sum(map(looks_like_list, texts)), joined(texts)
    if odd:
        return [f"{odd:,} values look like lists, but not all can be read so; write each as ['a', 'b'], or as a|b"]
    if mark:
        return [
            f"its values seem to be categories with {mark!r} between them; set the option separator to take them apart"
        ]
    return []


def _words(table: Table, series: pl.Series) -> list[str]:
    """A note on cells with a word that means that there is no value, such as NULL."""
    text = trimmed(series) if series.dtype == pl.String else pl.Series([], dtype=pl.String)
    words = text.filter(text.is_in(NO_VALUE))
    shown = ", ".join(map(quoted, words.unique().sort()))
    return [f"{table.name}: column '{series.name}': {len(words):,} cells say {shown}: missing"] if len(words) else []


def _numeric(table: Table, name: str, values: pl.Series, rows: IntArray) -> FeatureColumn | None:
    """Missing and NaN become NaN; raises DataError on an infinite value."""
    numbers = values.fill_null(np.nan).to_numpy()
    with np.errstate(over="ignore"):
        single: FloatArray = numbers.astype(np.float32)
    table.refuse(np.isinf(single), name, lambda row: f"{numbers[row]} is not a finite number")
    if np.isnan(single).all():
        return None
    return FeatureColumn(name, "numeric", np.append(single, np.float32(np.nan))[rows])


def _multi(name: str, lists: pl.Series, rows: IntArray) -> FeatureColumn | None:
    """Distinct values of each row in their order, padded with -1."""
    long = pl.DataFrame({"value": lists}).with_row_index("row").explode("value", empty_as_null=False)
    long = long.with_columns(without_words(trimmed(long["value"]))).drop_nulls().unique(maintain_order=True)
    if long.is_empty():
        return None
    vocabulary = tuple(long["value"].unique().sort().to_list())
    values = padded(long["row"].cast(pl.Int64).to_numpy(), codes(long["value"], vocabulary), len(lists) + 1)
    return FeatureColumn(name, "multi", values[rows], vocabulary)


def padded(row: IntArray, code: IntArray, n: int) -> IntArray:
    """The codes of each row side by side, int64 [n, most], padded with -1. row: the row of each code, ascending."""
    count = np.bincount(row, minlength=n)
    values = np.full((n, int(count.max())), -1, dtype=np.int64)
    values[row, np.arange(len(row)) - (np.cumsum(count) - count)[row]] = code
    return values
