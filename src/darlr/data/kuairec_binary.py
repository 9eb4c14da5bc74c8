"""The part of KuaiRec (Gao et al., CIKM 2022) that is one bit a cell: logged positives, and a block without any.

The block (users of the truth x its videos) is where we recommend: the log holds none of its cells. Of the truth only
the ids are read here; its cells are evaluation's (darlr.evaluation.truth).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from darlr.config import TableConfig
from darlr.data.log import Block, FeatureColumn, IntArray, InteractionLog
from darlr.data.report import Dropped, PrepareReport
from darlr.data.table_columns import read_ids
from darlr.data.table_features import feature_columns, read_feature_table
from darlr.data.table_file import Table, read_file
from darlr.errors import DataError

NAME = "kuairec_binary"
CATEGORY = "category"
USER, ITEM, FEAT = "user_id", "video_id", "feat"
COUNTS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
LOG, TRUTH, VIDEOS = "log_positives.csv.gz", "truth_positives.csv.gz", "truth_videos.csv"
USERS, CATEGORIES = "user_features.csv", "item_categories.csv"


def read_kuairec_binary(folder: Path) -> tuple[InteractionLog, PrepareReport]:
    """Every logged positive as an event of reward 1, repeats kept; no times are known. Events on the block are dropped.

    Item feature `category`: 1 to 4 of 31. User features: the profile; counts as log(1 + count), the rest categorical.
    Raises DataError, naming file, row and column, when a file is missing or not what its header says.
    """
    users_table = read_feature_table(_existing(folder / USERS), USER)
    user_ids = ids(users_table.table, USER)
    items_table = read_file(_existing(folder / CATEGORIES), [ITEM, FEAT], only_needed=True)
    item_ids = ids(items_table, ITEM)
    _refuse_repeats(items_table, item_ids)
    user_order, item_order = np.argsort(user_ids), np.argsort(item_ids)
    user_ids, category = user_ids[user_order], _categories(items_table)
    item_ids = item_ids[item_order]
    names = read_ids(users_table.table, USER)[user_order].to_list()
    categorical = tuple(name for name in users_table.table.frame.columns if name not in (USER, *COUNTS))
    columns, notes = feature_columns(users_table, names, TableConfig(log=folder / LOG, categorical=categorical))
    events = read_file(_existing(folder / LOG), [USER, ITEM], only_needed=True)
    user, item = coded(events, USER, user_ids, USERS), coded(events, ITEM, item_ids, CATEGORIES)
    block = read_block(folder, user_ids, item_ids)
    leaks = np.isin(user, block.users) & np.isin(item, block.items)
    dropped = Dropped(
        "events on cells of the truth", int(leaks.sum()), events.at(int(leaks.argmax())) if leaks.any() else ""
    )
    rows_read, user, item = len(user), user[~leaks], item[~leaks]
    log = InteractionLog(
        name=NAME,
        user=user,
        item=item,
        reward=np.ones(len(user), dtype=np.float32),
        user_ids=tuple(user_ids.tolist()),
        item_ids=tuple(item_ids.tolist()),
        user_features=tuple(_compressed(column) for column in columns),
        item_features=(replace(category, values=category.values[item_order]),),
        category=CATEGORY,
        reward_range=(0.0, 1.0),
        block=block,
        exit="category",
    )
    repeats = len(user) - len(np.unique(user * len(item_ids) + item))
    notes.append(f"{LOG}: positives only; {repeats:,} of them repeat a cell and are kept")
    return log, PrepareReport(NAME, rows_read, rows_kept=len(log), dropped=(dropped,), notes=tuple(notes))


def read_block(folder: Path, user_ids: IntArray, item_ids: IntArray) -> Block:
    """The truth's users and videos, codes rising: fully observed, and not in the log."""
    users = read_file(_existing(folder / TRUTH), [USER], only_needed=True)
    videos = read_file(_existing(folder / VIDEOS), [ITEM], only_needed=True)
    return Block(np.unique(coded(users, USER, user_ids, USERS)), np.unique(coded(videos, ITEM, item_ids, CATEGORIES)))


def read_truth_cells(folder: Path, log: InteractionLog) -> tuple[IntArray, IntArray]:
    """Log codes of the users and videos of every positive cell of the block; raises DataError outside of it."""
    table = read_file(_existing(folder / TRUTH), [USER, ITEM], only_needed=True)
    user = coded(table, USER, np.array(log.user_ids, dtype=np.int64), USERS)
    item = coded(table, ITEM, np.array(log.item_ids, dtype=np.int64), CATEGORIES)
    assert log.block is not None
    outside = ~np.isin(item, log.block.items)
    if outside.any():
        row = int(outside.argmax())
        table.fail(row, ITEM, f"video {log.item_ids[item[row]]} is not in {VIDEOS}")
    return user, item


def ids(table: Table, column: str) -> IntArray:
    """A column of whole numbers, int64; raises DataError at the first cell that is none."""
    text = read_ids(table, column)
    numbers = text.cast(pl.Int64, strict=False)
    if numbers.null_count():
        row = int(numbers.is_null().arg_max() or 0)
        table.fail(row, column, "empty" if text[row] is None else f"'{text[row]}' is not a whole number")
    return numbers.to_numpy().astype(np.int64)


def coded(table: Table, column: str, known: IntArray, source: str) -> IntArray:
    """Codes of a column of ids, int64; `known`: the ids in code order, rising, as file `source` lists them."""
    found = ids(table, column)
    place = np.searchsorted(known, found).clip(max=len(known) - 1)
    strange = known[place] != found
    if strange.any():
        row = int(strange.argmax())
        table.fail(row, column, f"{found[row]} is not in {source}")
    return place.astype(np.int64)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(
            f"{path}: file not found; the environment variable DARLR_DATA must name the folder that holds {NAME}/"
        )
    return path


def _refuse_repeats(table: Table, found: IntArray) -> None:
    again = ~pl.Series(found).is_first_distinct().to_numpy()
    if again.any():
        row = int(again.argmax())
        table.fail(row, ITEM, f"video {found[row]} occurs before")


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
