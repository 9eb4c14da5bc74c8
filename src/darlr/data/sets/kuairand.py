"""KuaiRand-Pure (Gao et al., CIKM 2022) in its own files: the standard logs, and apart from them the random one.

Both standard files are the offline log. The random log, where any video was shown with the same chance, is evaluation's
(darlr.evaluation.truth); training never opens it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import FeatureColumn, InteractionLog
from darlr.data.report import Dropped, PrepareReport
from darlr.data.sets.kuaishou import (
    ITEM,
    USER,
    coded,
    existing,
    ids,
    number_lists,
    occurs_before,
    on_log_scale,
    read_profiles,
)
from darlr.data.sets.public import PublicSet
from darlr.data.split import select
from darlr.data.tabular.columns import trimmed
from darlr.data.tabular.features import read_feature_table
from darlr.data.tabular.file import read_file
from darlr.data.tabular.table import Table
from darlr.errors import DataError

NAME = "kuairand"
FOLDER = f"{NAME}/ with the files of KuaiRand-Pure/data/"
CATEGORY, DURATION = "tag", "video_duration"
TIME, CLICK, RANDOM = "time_ms", "is_click", "is_rand"
STANDARD = ("log_standard_4_08_to_4_21_pure.csv", "log_standard_4_22_to_5_08_pure.csv")
RANDOMISED = "log_random_4_22_to_5_08_pure.csv"
USERS, VIDEOS = "user_features_pure.csv", "video_features_basic_pure.csv"
TAGS = r"^\d+(\s*,\s*\d+)*$"
PUBLIC = PublicSet(
    name="kuairand",
    title="KuaiRand-Pure (Gao et al., CIKM 2022): 27,285 users, 7,583 videos, 1.4 million events",
    licence="CC BY-SA 4.0",
    size="47 MB packed, 194 MB unpacked",
    page="https://kuairand.com",
    sign="log_standard_4_08_to_4_21_pure.csv",
    archive="KuaiRand-Pure.tar.gz",
    url="https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz",
    known_hash="md5:0820331067a3784d9691136f772b35a7",
)


def read(raw: Path, options: None = None) -> tuple[InteractionLog, PrepareReport]:
    """The log in the folder of raw data, and what its reader saw; there are no options that change it."""
    return read_kuairand(raw / NAME)


def read_kuairand(folder: Path) -> tuple[InteractionLog, PrepareReport]:
    """The standard logs in order of time: reward is_click, timestamp in milliseconds.

    Item features: `tag` (none, one or several; the category) and `video_duration` as log(1 + seconds). User features:
    the profile, counts as log(1 + count), the rest categorical. Repeats of an event are dropped and counted.
    Raises DataError, naming file, row and column, when a file is missing or not what its header says.
    """
    empty, notes = _catalogue(folder)
    return _with_events(empty, [folder / name for name in STANDARD], "0", notes)


def read_random(folder: Path) -> tuple[InteractionLog, PrepareReport]:
    """The events of the random log, which are no part of the offline log, with the same ids and features."""
    empty, _ = _catalogue(folder)
    return _with_events(empty, [folder / RANDOMISED], "1", [])


def _catalogue(folder: Path) -> tuple[InteractionLog, list[str]]:
    """All users and videos with their features, without events; and notes on what was seen."""
    users = read_profiles(existing(folder / USERS, FOLDER))
    notes = list(users.notes)
    videos = read_feature_table(existing(folder / VIDEOS, FOLDER), ITEM, [CATEGORY, DURATION]).table
    found = ids(videos, ITEM)
    order = np.argsort(found)
    tags = _tags(videos)
    untagged = int((tags.values == -1).all(axis=1).sum())
    if untagged:
        notes.append(f"{VIDEOS}: {untagged:,} of {len(found):,} videos have no tag, and so no category")
    none = np.zeros(0, dtype=np.int64)
    features = (tags, _durations(videos))
    log = InteractionLog(
        name=NAME,
        user=none,
        item=none,
        reward=none.astype(np.float32),
        timestamp=none,
        user_ids=tuple(users.ids.tolist()),
        item_ids=tuple(found[order].tolist()),
        user_features=users.features,
        item_features=tuple(replace(column, values=column.values[order]) for column in features),
        category=CATEGORY,
        reward_range=(0.0, 1.0),
        exit="category",
    )
    return log, notes


def _with_events(
    empty: InteractionLog, paths: list[Path], policy: str, notes: list[str]
) -> tuple[InteractionLog, PrepareReport]:
    """The events of the files that the `policy` showed (is_rand), each once, in order of time."""
    tables = [read_file(existing(path, FOLDER), [USER, ITEM, TIME, CLICK, RANDOM], only_needed=True) for path in paths]
    user_ids, item_ids = (np.array(known, dtype=np.int64) for known in (empty.user_ids, empty.item_ids))
    log = replace(
        empty,
        user=np.concatenate([coded(table, USER, user_ids, USERS) for table in tables]),
        item=np.concatenate([coded(table, ITEM, item_ids, VIDEOS) for table in tables]),
        reward=np.concatenate([_bits(table, CLICK) for table in tables]).astype(np.float32),
        timestamp=np.concatenate([ids(table, TIME) for table in tables]),
    )
    places = np.cumsum([0] + [table.frame.height for table in tables])
    assert log.timestamp is not None
    again = occurs_before([log.user, log.item, log.timestamp, log.reward])
    other = np.concatenate([_bits(table, RANDOM) for table in tables]) != int(policy)
    dropped = []
    for reason, rows in (
        (f"events of the other policy ({RANDOM} is not {policy})", other),
        ("exact repeats of an event (user, video, time, click)", again & ~other),
    ):
        if rows.any():
            row = int(rows.argmax())
            place = int(np.searchsorted(places, row, side="right")) - 1
            dropped.append(Dropped(reason, int(rows.sum()), tables[place].at(row - int(places[place]))))
    kept = ~(again | other)
    if not kept.any():
        raise DataError(f"{paths[0]}: no event is left ({', '.join(one.reason for one in dropped)})")
    log = select(log, kept)
    return _in_time(log), PrepareReport(NAME, len(kept), rows_kept=len(log), dropped=tuple(dropped), notes=tuple(notes))


def _in_time(log: InteractionLog) -> InteractionLog:
    """The events in order of time; those of one millisecond in the files' order."""
    assert log.timestamp is not None
    order = np.argsort(log.timestamp, kind="stable")
    return replace(
        log,
        user=log.user[order],
        item=log.item[order],
        reward=log.reward[order],
        timestamp=log.timestamp[order],
    )


def _bits(table: Table, column: str) -> NDArray[np.int8]:
    """A column of 0 and 1; raises DataError at the first cell that is neither."""
    text = trimmed(table.frame[column])
    wrong = ~text.is_in(["0", "1"]).fill_null(False)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        table.fail(row, column, "empty" if text[row] is None else f"'{text[row]}' is neither 0 nor 1")
    return text.cast(pl.Int8).to_numpy()


def _tags(table: Table) -> FeatureColumn:
    """Lists such as "12,3" as codes in rows of the file; an empty cell has no code at all."""
    text = trimmed(table.frame[CATEGORY])
    wrong = ~text.str.contains(TAGS).fill_null(True)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        table.fail(row, CATEGORY, f"'{text[row]}' is not a list of tags such as 12,3")
    if text.null_count() == len(text):
        raise DataError(f"{table.name}, column '{CATEGORY}': no video has a tag")
    return number_lists(CATEGORY, text)


def _durations(table: Table) -> FeatureColumn:
    """Lengths as log(1 + seconds), NaN where empty, in rows of the file."""
    text = trimmed(table.frame[DURATION])
    milliseconds = text.cast(pl.Float64, strict=False)
    wrong = (milliseconds.is_null() | ~(milliseconds >= 0) | ~milliseconds.is_finite()) & text.is_not_null()
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        table.fail(row, DURATION, f"'{text[row]}' is not a length in milliseconds")
    seconds = (milliseconds.fill_null(np.nan) / 1000).to_numpy().astype(np.float32)
    return on_log_scale(FeatureColumn(DURATION, "numeric", seconds))
