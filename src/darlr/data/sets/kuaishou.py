"""What the data sets of Kuaishou (KuaiRec, KuaiRand) share: integer ids, and the same profile of every user."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import FeatureColumn, IntArray
from darlr.data.tabular.columns import read_ids
from darlr.data.tabular.features import feature_columns, read_feature_table
from darlr.data.tabular.table import Table
from darlr.errors import DataError
from darlr.options import ColumnsConfig

USER, ITEM = "user_id", "video_id"
COUNTS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
UNKNOWN = "-124"  # what an exported profile says where nothing is known


@dataclass(frozen=True)
class Side:
    """All users, or all videos. ids: int64 [n], rising, in code order."""

    ids: IntArray
    features: tuple[FeatureColumn, ...]
    notes: tuple[str, ...] = ()


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


def read_profiles(path: Path) -> Side:
    """Every user of a profile file: `COUNTS` as log(1 + count), every other column categorical; -124 is missing."""
    source = read_feature_table(path, USER)
    found = ids(source.table, USER)
    order = np.argsort(found)
    others = pl.exclude(USER)
    before = source.table.frame
    frame = before.with_columns(others.str.strip_chars().replace(UNKNOWN, None))
    unknown = frame.select(others.is_null().sum()) - before.select(others.is_null().sum())
    source = replace(source, table=replace(source.table, frame=frame))
    categorical = tuple(name for name in frame.columns if name not in (USER, *COUNTS))
    names = source.ids[order].to_list()
    columns, notes = feature_columns(source, names, ColumnsConfig(categorical=categorical))
    notes += [
        f"{path}: {UNKNOWN} read as missing in {count[0]:,} rows of '{count.name}'" for count in unknown if count[0]
    ]
    return Side(found[order], tuple(on_log_scale(column) for column in columns), tuple(notes))


def on_log_scale(column: FeatureColumn) -> FeatureColumn:
    """Numbers of very different sizes as log(1 + number); other columns as they are."""
    if column.kind != "numeric":
        return column
    return replace(column, values=np.log1p(column.values.astype(np.float32)))


def number_lists(name: str, text: pl.Series) -> FeatureColumn:
    """The distinct numbers in each text, such as "[27, 9]" or "12,3", as a multi-valued feature; none where null."""
    lists = text.str.extract_all(r"\d+").cast(pl.List(pl.Int64)).list.unique(maintain_order=True)
    long = pl.DataFrame({"value": lists}).with_row_index("row").explode("value", empty_as_null=False).drop_nulls()
    rows, value = long["row"].cast(pl.Int64).to_numpy(), long["value"].to_numpy()
    vocabulary, code = np.unique(value, return_inverse=True)
    count = np.bincount(rows, minlength=len(text))
    values = np.full((len(text), int(count.max())), -1, dtype=np.int64)
    values[rows, np.arange(len(rows)) - (np.cumsum(count) - count)[rows]] = code
    return FeatureColumn(name, "multi", values, tuple(str(number) for number in vocabulary.tolist()))


def occurs_before(columns: Sequence[NDArray[np.generic]]) -> NDArray[np.bool_]:
    """Which rows of these columns, each [n], repeat an earlier one; bool [n]."""
    rows = pl.DataFrame({str(place): column for place, column in enumerate(columns)})
    return ~rows.select(pl.struct(pl.all()).is_first_distinct()).to_series().to_numpy()
