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

WATCH, TIME, DURATION = "watch_ratio", "timestamp", "video_duration"
LATEST = 2.0**53 / 1000  # the largest time in seconds whose milliseconds are exact in float64


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
    keep, dropped = table.without(
        {
            "no watch ratio": np.isnan(watched),
            "a negative watch ratio": watched < 0,
            "events on cells of the truth": np.isin(user, block.users) & np.isin(item, block.items),
        }
    )
    if not keep.any():
        table.fail(0, WATCH, "no row of the file can be kept: each has no watch ratio, or lies on cells of the truth")
    seconds = table.frame[TIME].to_numpy()
    table.refuse(np.abs(seconds) > LATEST, TIME, lambda row: f"{seconds[row]} is not a time in seconds")
    user, item, watched, seconds = user[keep], item[keep], watched[keep], seconds[keep]
    times = pl.Series("time", np.rint(seconds * 1000), nan_to_null=True).cast(pl.Int64)
    timeless = times.null_count()
    if timeless == len(times):
        note = f"{path.name}: no event has a time; they are kept in the order of the file"
        return Events(user, item, watched, None, seen, len(keep), tuple(dropped), (note,))
    time = (_filled(user, times) if timeless else times).to_numpy()
    if ((user[1:] < user[:-1]) | ((user[1:] == user[:-1]) & (time[1:] < time[:-1]))).any():
        order = np.lexsort((time, user))
        user, item, watched, time = user[order], item[order], watched[order], time[order]
    note = f"{path.name}: {timeless:,} events without a time take that of the user's event before"
    return Events(user, item, watched, time, seen, len(keep), tuple(dropped), (note,) if timeless else ())


def median_by_item(item: IntArray, value: pl.Series, n_items: int) -> FloatArray:
    """Median of each item's positive values, float32 [I], NaN without one."""
    rows = pl.DataFrame({"item": item, "value": value}).filter((pl.col("value") > 0) & pl.col("value").is_finite())
    found = rows.group_by("item").agg(pl.col("value").median())
    medians = np.full(n_items, np.nan, dtype=np.float32)
    medians[found["item"].to_numpy()] = found["value"].to_numpy()
    return medians


def _filled(user: IntArray, times: pl.Series) -> pl.Series:
    """The times, with that of the user's previous event in the file for null, else the next, else the earliest of all.

    So an event keeps its place among those of its user.
    """
    time = pl.col("time")
    nearest = (time.forward_fill().over("user"), time.backward_fill().over("user"), time.min())
    return pl.DataFrame({"user": user, "time": times}).select(time.fill_null(pl.coalesce(nearest))).to_series()
