"""The part of KuaiRec (Gao et al., CIKM 2022) that is one bit a cell: logged positives, and a block without any.

The block (users of the truth x its videos) is where we recommend: the log holds none of its cells. Of the truth only
the ids are read here; its cells are evaluation's (darlr.evaluation.truth).
"""

from pathlib import Path

import numpy as np

from darlr.data.log import Block, IntArray, InteractionLog
from darlr.data.report import Dropped, PrepareReport
from darlr.data.sets.kuairec_tables import CATEGORIES, CATEGORY, USERS, read_categories
from darlr.data.sets.kuaishou import ITEM, USER, coded, existing, read_profiles
from darlr.data.sets.public import PublicSet
from darlr.data.tabular.file import read_file

NAME = "kuairec_binary"
LOG, TRUTH, VIDEOS = "log_positives.csv.gz", "truth_positives.csv.gz", "truth_videos.csv"
PUBLIC = PublicSet(
    name="kuairec_binary",
    title="KuaiRec cut to one bit a cell: 915,673 logged positives and the observed block",
    licence="CC BY-SA 4.0, derived from KuaiRec",
    size="about 5 MB",
    page="https://kuairec.com",
    sign="log_positives.csv.gz",
    by_hand="It is not published on its own; use kuairec.",
)


def read(raw: Path, options: None = None) -> tuple[InteractionLog, PrepareReport]:
    """The log in the folder of raw data, and what its reader saw; there are no options that change it."""
    return read_kuairec_binary(raw / NAME)


def read_kuairec_binary(folder: Path) -> tuple[InteractionLog, PrepareReport]:
    """Every logged positive as an event of reward 1, repeats kept; no times are known. Events on the block are dropped.

    Item feature `category`: 1 to 4 of 31. User features: the profile; counts as log(1 + count), the rest categorical.
    Raises DataError, naming file, row and column, when a file is missing or not what its header says.
    """
    users, items = read_profiles(_existing(folder / USERS)), read_categories(_existing(folder / CATEGORIES))
    events = read_file(_existing(folder / LOG), [USER, ITEM], only_needed=True)
    user, item = coded(events, USER, users.ids, USERS), coded(events, ITEM, items.ids, CATEGORIES)
    block = read_block(folder, users.ids, items.ids)
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
        user_ids=tuple(users.ids.tolist()),
        item_ids=tuple(items.ids.tolist()),
        user_features=users.features,
        item_features=items.features,
        category=CATEGORY,
        reward_range=(0.0, 1.0),
        block=block,
        exit="category",
    )
    repeats = len(log) - log.count_cells()
    notes = (*users.notes, f"{LOG}: positives only; {repeats:,} of them repeat a cell and are kept")
    return log, PrepareReport(NAME, rows_read, rows_kept=len(log), dropped=(dropped,), notes=notes)


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


def _existing(path: Path) -> Path:
    return existing(path, f"{NAME}/")
