"""KuaiRand-Pure (Gao et al., CIKM 2022) in its own files: the standard logs, and apart from them the random one.

Both standard files are the offline log. The random log, in which every video was equally likely to be shown, is the
truth (darlr.evaluation.truth). Training never opens it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import FeatureColumn, InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.shared import ITEM, USER, Side, ids, log_without_events, number_lists, read_profiles, with_files
from darlr.data.split import select
from darlr.data.tabular.columns import occurs_before, trimmed
from darlr.data.tabular.features import read_feature_table
from darlr.data.tabular.file import read_file
from darlr.data.tabular.table import Table, stacked
from darlr.errors import DataError

NAME = "kuairand"
CATEGORY, DURATION = "tag", "video_duration"
TIME, CLICK, RANDOM = "time_ms", "is_click", "is_rand"
STANDARD = ("log_standard_4_08_to_4_21_pure.csv", "log_standard_4_22_to_5_08_pure.csv")
RANDOMISED = "log_random_4_22_to_5_08_pure.csv"
USERS, VIDEOS = "user_features_pure.csv", "video_features_basic_pure.csv"
TAGS = r"^\d+(\s*,\s*\d+)*$"


def read(folder: Path, options: None = None) -> tuple[InteractionLog, PrepareReport]:
    """The standard logs in order of time. The reward is is_click, the timestamp is in milliseconds.

    Item features: `tag` (none, one or several; the category) and `video_duration` as log(1 + seconds). User features:
    see `read_profiles`. Repeats of an event are dropped and counted. Raises DataError, naming file, row and column,
    when a file is missing or has another layout.
    """
    return _log(folder, STANDARD, 0)


def read_random(folder: Path) -> tuple[InteractionLog, PrepareReport]:
    """The events of the random log, which are no part of the offline log, with the same ids and features."""
    return _log(folder, (RANDOMISED,), 1)


def _log(folder: Path, names: Sequence[str], policy: int) -> tuple[InteractionLog, PrepareReport]:
    """The events of these files that the policy showed (is_rand), each once, in order of time."""
    with_files(folder, (USERS, VIDEOS, *names), f"{NAME}/ with the files of KuaiRand-Pure/data/")
    users, videos = read_profiles(folder / USERS), _videos(folder / VIDEOS)
    needed = [USER, ITEM, TIME, CLICK, RANDOM]
    table = stacked([read_file(folder / name, needed) for name in names])
    time = ids(table, TIME)
    log = replace(
        log_without_events(NAME, users, videos, CATEGORY),
        user=users.codes(table),
        item=videos.codes(table),
        reward=_bits(table, CLICK).astype(np.float32),
        timestamp=time,
    )
    keep, dropped = table.without(
        {
            f"events of the other policy ({RANDOM} is not {policy})": _bits(table, RANDOM) != policy,
            "exact repeats of an event (user, video, time, click)": occurs_before(
                [log.user, log.item, time, log.reward]
            ),
        }
    )
    if not keep.any():
        raise DataError(f"{folder / names[0]}: no event is left ({', '.join(one.reason for one in dropped)})")
    rows = np.flatnonzero(keep)
    log = select(log, rows[np.argsort(time[rows], kind="stable")])
    return log, PrepareReport(NAME, len(keep), len(log), tuple(dropped), users.notes + videos.notes)


def _videos(path: Path) -> Side:
    """All videos with their features, and a note on those without a tag."""
    table = read_feature_table(path, ITEM, [CATEGORY, DURATION]).table
    found = ids(table, ITEM)
    order = np.argsort(found)
    tags, durations = _tags(table), _durations(table)
    untagged = int((tags.values == -1).all(axis=1).sum())
    note = f"{VIDEOS}: {untagged:,} of {len(found):,} videos have no tag, and so no category"
    features = tuple(replace(column, values=column.values[order]) for column in (tags, durations))
    return Side(ITEM, VIDEOS, found[order], features, (note,) if untagged else ())


def _bits(table: Table, column: str) -> NDArray[np.int8]:
    """A column of 0 and 1, int8 [rows]. Raises DataError at the first cell that is neither."""
    text = trimmed(table.frame[column])
    wrong = ~text.is_in(["0", "1"]).fill_null(False)
    table.refuse(wrong, column, lambda row: "empty" if text[row] is None else f"'{text[row]}' is neither 0 nor 1")
    return text.cast(pl.Int8).to_numpy()


def _tags(table: Table) -> FeatureColumn:
    """Lists such as "12,3" as codes, in rows of the file. An empty cell has no code at all."""
    text = trimmed(table.frame[CATEGORY])
    wrong = ~text.str.contains(TAGS)
    table.refuse(wrong, CATEGORY, lambda row: f"'{text[row]}' is not a list of tags such as 12,3")
    if text.null_count() == len(text):
        raise DataError(f"{table.name}, column '{CATEGORY}': no video has a tag")
    return number_lists(CATEGORY, text)


def _durations(table: Table) -> FeatureColumn:
    """Durations as log(1 + seconds), NaN where empty, in rows of the file."""
    text = trimmed(table.frame[DURATION])
    milliseconds = text.cast(pl.Float64, strict=False)
    wrong = (milliseconds.is_null() | ~(milliseconds >= 0) | ~milliseconds.is_finite()) & text.is_not_null()
    table.refuse(wrong, DURATION, lambda row: f"'{text[row]}' is not a length in milliseconds")
    seconds = (milliseconds.fill_null(np.nan) / 1000).to_numpy().astype(np.float32)
    return FeatureColumn(DURATION, "numeric", np.log1p(seconds))
