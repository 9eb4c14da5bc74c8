"""The part of KuaiRec (Gao et al., CIKM 2022) that is one bit a cell: logged positives, and a block without any.

The block (users of the truth x its videos) is what we recommend to and from, and the log holds none of its cells. Of
the truth only the ids are read here. Its cells belong to evaluation (darlr.evaluation.truth).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from darlr.data.log import Block, IntArray, InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.shared import ITEM, SIDES, USER, Side, log_without_events, read_sides, with_files
from darlr.data.split import select
from darlr.data.tabular.file import read_file

NAME = "kuairec_binary"
LOG, TRUTH, TRUTH_VIDEOS = "log_positives.csv.gz", "truth_positives.csv.gz", "truth_videos.csv"


def read(folder: Path, options: None = None) -> tuple[InteractionLog, PrepareReport]:
    """Every logged positive as an event of reward 1. Repeats are kept, and there are no times.

    Events on cells of the block are dropped and counted. Item feature: `category`, 1 to 4 of 31. User features: see
    `read_profiles`. Raises DataError, naming file, row and column, when a file is missing or has another layout.
    """
    with_files(folder, (*SIDES, LOG, TRUTH, TRUTH_VIDEOS), f"{NAME}/")
    users, items = read_sides(folder)
    events = read_file(folder / LOG, [USER, ITEM])
    user, item = users.codes(events), items.codes(events)
    seen_users, seen_items = read_file(folder / TRUTH, [USER]), read_file(folder / TRUTH_VIDEOS, [ITEM])
    block = Block(np.unique(users.codes(seen_users)), np.unique(items.codes(seen_items)))
    leaks = np.isin(user, block.users) & np.isin(item, block.items)
    ones = np.ones(len(user), dtype=np.float32)
    log = replace(log_without_events(NAME, users, items), user=user, item=item, reward=ones, block=block)
    log = select(log, ~leaks)
    repeats = len(log) - log.count_cells()
    notes = (*users.notes, f"{LOG}: positives only; {repeats:,} of them repeat a cell and are kept")
    dropped = (events.dropped("events on cells of the truth", leaks),)
    return log, PrepareReport(NAME, len(user), rows_kept=len(log), dropped=dropped, notes=notes)


def read_truth_cells(folder: Path, log: InteractionLog) -> tuple[IntArray, IntArray]:
    """Codes of the user and video of every positive cell of the block. Raises DataError at a cell outside of it."""
    table = read_file(folder / TRUTH, [USER, ITEM])
    known = ((USER, SIDES[0], log.user_ids), (ITEM, SIDES[1], log.item_ids))
    user, item = (Side(column, source, np.array(ids)).codes(table) for column, source, ids in known)
    assert log.block is not None
    outside = ~np.isin(item, log.block.items)
    table.refuse(outside, ITEM, lambda row: f"video {log.item_ids[item[row]]} is not in {TRUTH_VIDEOS}")
    return user, item
