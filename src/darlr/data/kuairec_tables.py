"""What every cut of KuaiRec has: profiles of users, categories of videos, and files that speak of both by their ids."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from darlr.config import TableConfig
from darlr.data.log import FeatureColumn, IntArray
from darlr.data.table_columns import read_ids
from darlr.data.table_features import feature_columns, read_feature_table
from darlr.data.table_file import Table, read_file
from darlr.errors import DataError

USER, ITEM, FEAT = "user_id", "video_id", "feat"
USERS, CATEGORIES = "user_features.csv", "item_categories.csv"
CATEGORY = "category"
COUNTS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")


@dataclass(frozen=True)
class Side:
    """All users, or all videos. ids: int64 [n], rising, in code order."""

    ids: IntArray
    features: tuple[FeatureColumn, ...]
    notes: tuple[str, ...] = ()


def read_profiles(path: Path) -> Side:
    """The users: counts of `COUNTS` as log(1 + count), every other column categorical."""
    source = read_feature_table(path, USER)
    found = ids(source.table, USER)
    order = np.argsort(found)
    names = read_ids(source.table, USER)[order].to_list()
    categorical = tuple(name for name in source.table.frame.columns if name not in (USER, *COUNTS))
    columns, notes = feature_columns(source, names, TableConfig(log=path, categorical=categorical))
    return Side(found[order], tuple(_compressed(column) for column in columns), tuple(notes))


def read_categories(path: Path) -> Side:
    """The videos, and the feature `category`: 1 to 4 of 31 each."""
    table = read_file(path, [ITEM, FEAT], only_needed=True)
    found = ids(table, ITEM)
    again = ~pl.Series(found).is_first_distinct().to_numpy()
    if again.any():
        row = int(again.argmax())
        table.fail(row, ITEM, f"video {found[row]} occurs before")
    order, category = np.argsort(found), _categories(table)
    return Side(found[order], (replace(category, values=category.values[order]),))


def existing(path: Path, folders: str) -> Path:
    """The path of a file; raises DataError, with the folders to look for, when it is not there."""
    if not path.is_file():
        raise DataError(
            f"{path}: file not found; the environment variable DARLR_DATA must name the folder that holds {folders}"
        )
    return path


def ids(table: Table, column: str) -> IntArray:
    """A column of whole numbers, int64; raises DataError at the first cell that is none."""
    numbers = raw = table.frame[column]
    if not raw.dtype.is_integer():
        raw = read_ids(table, column)
        numbers = raw.cast(pl.Int64, strict=False)
    if numbers.null_count():
        row = int(numbers.is_null().arg_max() or 0)
        table.fail(row, column, "empty" if raw[row] is None else f"'{raw[row]}' is not a whole number")
    return numbers.to_numpy().astype(np.int64)


def coded(table: Table, column: str, known: IntArray, source: str) -> IntArray:
    """Codes of a column of ids, int64; `known`: the ids in code order, rising, as file `source` lists them."""
    found = ids(table, column)
    if known[-1] - known[0] == len(known) - 1:  # no gaps: millions of rows need no search
        place = found - known[0]
        strange = (place < 0) | (place >= len(known))
    else:
        place = np.searchsorted(known, found).clip(max=len(known) - 1)
        strange = known[place] != found
    if strange.any():
        row = int(strange.argmax())
        table.fail(row, column, f"{found[row]} is not in {source}")
    codes: IntArray = place.astype(np.int64, copy=False)
    return codes


def _categories(table: Table) -> FeatureColumn:
    """The lists of `feat`, such as "[27, 9]", as codes in rows of the file."""
    text = table.frame[FEAT].str.strip_chars()
    wrong = ~text.str.contains(r"^\[\d+(\s*,\s*\d+)*\]$").fill_null(False)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        shown = "empty" if text[row] is None else f"'{text[row]}' is not a list of categories such as [27, 9]"
        table.fail(row, FEAT, shown)
    lists = text.str.extract_all(r"\d+").cast(pl.List(pl.Int64)).list.unique(maintain_order=True)
    long = pl.DataFrame({"value": lists}).with_row_index("row").explode("value")
    rows, value = long["row"].cast(pl.Int64).to_numpy(), long["value"].to_numpy()
    vocabulary, code = np.unique(value, return_inverse=True)
    count = np.bincount(rows, minlength=len(lists))
    values = np.full((len(lists), int(count.max())), -1, dtype=np.int64)
    values[rows, np.arange(len(rows)) - (np.cumsum(count) - count)[rows]] = code
    return FeatureColumn(CATEGORY, "multi", values, tuple(str(v) for v in vocabulary.tolist()))


def _compressed(column: FeatureColumn) -> FeatureColumn:
    """Counts of very different sizes on a log scale."""
    if column.kind != "numeric":
        return column
    return replace(column, values=np.log1p(column.values.astype(np.float32)))
