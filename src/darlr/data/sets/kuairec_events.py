"""The big matrix of KuaiRec as arrays. Each of millions of rows is kept, in order of time, or counted as dropped."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import Block, FloatArray, IntArray
from darlr.data.report import Dropped
from darlr.data.sets.shared import ITEM, USER, USERS, VIDEOS, coded
from darlr.data.tabular.file import scan_numbers
from darlr.data.tabular.table import Table

WATCH, TIME, DURATION = "watch_ratio", "timestamp", "video_duration"
UNKNOWN = np.iinfo(np.int64).min  # the time of an event without one
LATEST = 2.0**53 / 1000  # seconds whose milliseconds a float still counts one by one


@dataclass(frozen=True)
class Events:
    """Kept events, sorted by user and time, [L] each.

    time: milliseconds, None where no event has one. seen: the duration of each video by its events in milliseconds,
    float32 [I], NaN where it was not asked for or is unknown.
    """

    user: IntArray
    item: IntArray
    watched: FloatArray
    time: IntArray | None
    seen: FloatArray
    rows_read: int
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]


def read_events(path: Path, user_ids: IntArray, item_ids: IntArray, block: Block, lacking: NDArray[np.bool_]) -> Events:
    """The events of a big_matrix.csv. lacking: bool [I], videos whose duration is to be taken from it.

    Events without a watch ratio, with a negative one, or on cells of the block are dropped and counted. Raises
    DataError, naming file, row and column, at an unknown id or a cell that is not a number.
    """
    kinds = {USER: pl.Int32, ITEM: pl.Int32, WATCH: pl.Float32, TIME: pl.Float64}
    table = scan_numbers(path, kinds | ({DURATION: pl.Float32} if lacking.any() else {}))
    user, item = coded(table, USER, user_ids, USERS), coded(table, ITEM, item_ids, VIDEOS)
    seen = np.full(len(item_ids), np.nan, dtype=np.float32)
    if lacking.any():
        rows = lacking[item]
        seen = median_by_item(item[rows], table.frame[DURATION].filter(pl.Series(rows)), len(item_ids))
    watched = table.frame[WATCH].to_numpy()
    in_block = _mask(block.users, len(user_ids))[user] & _mask(block.items, len(item_ids))[item]
    keep, dropped = table.without(
        {
            "no watch ratio": np.isnan(watched),
            "a negative watch ratio": watched < 0,
            "events on cells of the truth": in_block,
        }
    )
    if not keep.any():
        table.fail(0, WATCH, "no row of the file can be kept: each has no watch ratio, or lies on cells of the truth")
    time = _milliseconds(table)
    if not keep.all():
        user, item, watched, time = user[keep], item[keep], watched[keep], time[keep]
    timeless = int((time == UNKNOWN).sum())
    notes = []
    if timeless == len(time):
        notes.append(f"{path.name}: no event has a time; they are kept as they come")
    elif timeless:
        time = _filled(user, time)
        notes.append(f"{path.name}: {timeless:,} events without a time take that of the user's event before")
    if timeless < len(time) and not _in_order(user, time):
        order = np.lexsort((time, user))
        user, item, watched, time = user[order], item[order], watched[order], time[order]
    times = time if timeless < len(time) else None
    return Events(user, item, watched, times, seen, len(keep), tuple(dropped), tuple(notes))


def median_by_item(item: IntArray, value: pl.Series, n_items: int) -> FloatArray:
    """Median of each item's positive values, float32 [I], NaN without one."""
    rows = pl.DataFrame({"item": item, "value": value}).filter((pl.col("value") > 0) & pl.col("value").is_finite())
    found = rows.group_by("item").agg(pl.col("value").median())
    medians = np.full(n_items, np.nan, dtype=np.float32)
    medians[found["item"].to_numpy()] = found["value"].to_numpy()
    return medians


def _mask(codes: IntArray, size: int) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=bool)
    mask[codes] = True
    return mask


def _milliseconds(table: Table) -> IntArray:
    """Times, int64 [rows], UNKNOWN where there is none."""
    seconds = table.frame[TIME].to_numpy()
    table.refuse(np.abs(seconds) > LATEST, TIME, lambda row: f"{seconds[row]} is not a time in seconds")
    time = np.full(len(seconds), UNKNOWN, dtype=np.int64)
    np.copyto(time, np.rint(seconds * 1000), where=~np.isnan(seconds), casting="unsafe")
    return time


def _in_order(user: IntArray, time: IntArray) -> bool:
    return bool(((user[1:] > user[:-1]) | ((user[1:] == user[:-1]) & (time[1:] >= time[:-1]))).all())


def _filled(user: IntArray, time: IntArray) -> IntArray:
    """The times, with UNKNOWN ones replaced by that of the user's previous event in the file, else the next, else the
    earliest of all. So an event keeps its place among those of its user.
    """
    order = np.argsort(user, kind="stable")
    known = np.flatnonzero(time[order] != UNKNOWN)
    lost = np.flatnonzero(time[order] == UNKNOWN)
    after = np.searchsorted(known, lost)
    sources = [order[known[np.clip(place, 0, len(known) - 1)]] for place in (after - 1, after)]
    filled = time.copy()
    rows = order[lost]
    filled[rows] = time[order[known]].min()
    for source in reversed(sources):
        same = user[source] == user[rows]
        filled[rows[same]] = time[source[same]]
    return filled
