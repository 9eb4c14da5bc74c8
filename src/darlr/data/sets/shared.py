"""What the readers of public data sets share: files that must be there, whole-number ids, and Kuaishou's tables.

KuaiRec and KuaiRand, both of Kuaishou, describe every user by the same profile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from darlr.data.log import FeatureColumn, IntArray, InteractionLog
from darlr.data.tabular.columns import occurs_before, read_ids
from darlr.data.tabular.features import feature_columns, padded, read_feature_table
from darlr.data.tabular.file import read_file
from darlr.data.tabular.table import Table
from darlr.errors import DataError
from darlr.options import ColumnsConfig

USER, ITEM = "user_id", "video_id"
SIDES = ("user_features.csv", "item_categories.csv")  # the files of users and videos in KuaiRec
COUNTS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
UNKNOWN = "-124"  # the value of an exported profile where nothing is known


@dataclass(frozen=True)
class Side:
    """All users, or all videos, as the file `source` lists them. column: that of their ids in every file. ids: int64
    [n] in ascending order, which is the order of codes.
    """

    column: str
    source: str
    ids: IntArray
    features: tuple[FeatureColumn, ...] = ()
    notes: tuple[str, ...] = ()

    def codes(self, table: Table) -> IntArray:
        """Their codes in the rows of a table, int64 [rows]. Raises DataError at an id that is not listed."""
        return coded(table, self.column, self.ids, self.source)


def with_files(folder: Path, names: Sequence[str], wanted: str) -> Path:
    """The folder. Raises DataError when one of these files is not in it. wanted: what DARLR_DATA must hold."""
    for path in (folder / name for name in names):
        if not path.is_file():
            raise DataError(
                f"{path}: file not found; the environment variable DARLR_DATA must name the folder that holds {wanted}"
            )
    return folder


def log_without_events(name: str, users: Side, items: Side, category: str = "category") -> InteractionLog:
    """A log of these users and items that has no events yet. Rewards range from 0 to 1."""
    none = np.zeros(0, dtype=np.int64)
    return InteractionLog(
        name=name,
        user=none,
        item=none,
        reward=none.astype(np.float32),
        user_ids=tuple(users.ids.tolist()),
        item_ids=tuple(items.ids.tolist()),
        user_features=users.features,
        item_features=items.features,
        category=category,
        exit="category",
    )


def ids(table: Table, column: str) -> IntArray:
    """A column of whole numbers, int64. Raises DataError at the first cell that is not a whole number."""
    numbers = raw = table.frame[column]
    if not raw.dtype.is_integer():
        raw = read_ids(table, column)
        numbers = raw.cast(pl.Int64, strict=False)
    wanted = "is not a whole number"
    table.refuse(numbers.is_null(), column, lambda row: "empty" if raw[row] is None else f"'{raw[row]}' {wanted}")
    return numbers.to_numpy().astype(np.int64)


def coded(table: Table, column: str, known: IntArray, source: str) -> IntArray:
    """Codes of a column of ids, int64. known: the ids in ascending order. source: the file that lists them. Raises
    DataError at an id that is not known.
    """
    found = ids(table, column)
    if known[-1] - known[0] == len(known) - 1:  # no gaps: millions of rows need no search
        place = found - known[0]
        unknown = (place < 0) | (place >= len(known))
    else:
        place = np.searchsorted(known, found).clip(max=len(known) - 1)
        unknown = known[place] != found
    table.refuse(unknown, column, lambda row: f"{found[row]} is not in {source}")
    return np.asarray(place, dtype=np.int64)


def read_sides(folder: Path) -> tuple[Side, Side]:
    """All users and all videos of KuaiRec."""
    return read_profiles(folder / SIDES[0]), _read_categories(folder / SIDES[1])


def read_profiles(path: Path) -> Side:
    """The users of a profile file. `COUNTS` become log(1 + count), other columns are categorical, -124 is missing."""
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
    columns = tuple(
        replace(column, values=np.log1p(column.values.astype(np.float32))) if column.kind == "numeric" else column
        for column in columns
    )
    return Side(USER, path.name, found[order], columns, tuple(notes))


def _read_categories(path: Path) -> Side:
    """The videos of KuaiRec with their feature `category`: each has 1 to 4 of 31, written as "[27, 9]"."""
    table = read_file(path, [ITEM, "feat"])
    found, text = ids(table, ITEM), table.frame["feat"].str.strip_chars()
    table.refuse(occurs_before([found]), ITEM, lambda row: f"video {found[row]} occurs before")
    wrong, wanted = ~text.str.contains(r"^\[\d+(\s*,\s*\d+)*\]$"), "is not a list of categories such as [27, 9]"
    table.refuse(wrong.fill_null(True), "feat", lambda row: "empty" if text[row] is None else f"'{text[row]}' {wanted}")
    order = np.argsort(found)
    return Side(ITEM, path.name, found[order], (number_lists("category", text[order]),))


def number_lists(name: str, text: pl.Series) -> FeatureColumn:
    """The distinct numbers in each text, such as "[27, 9]" or "12,3", as a multi-valued feature. Null has none."""
    lists = text.str.extract_all(r"\d+").cast(pl.List(pl.Int64)).list.unique(maintain_order=True)
    long = pl.DataFrame({"value": lists}).with_row_index("row").explode("value", empty_as_null=False).drop_nulls()
    vocabulary, code = np.unique(long["value"].to_numpy(), return_inverse=True)
    values = padded(long["row"].cast(pl.Int64).to_numpy(), code, len(text))
    return FeatureColumn(name, "multi", values, tuple(str(number) for number in vocabulary.tolist()))
