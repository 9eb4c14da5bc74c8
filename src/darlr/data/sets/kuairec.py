"""KuaiRec 2.0 (Gao et al., CIKM 2022) in its official raw layout: the big matrix as the log.

The block (users x videos of the small matrix) is what we recommend to and from, and the big matrix holds none of its
cells. Of the small matrix only the ids are read here. Its watch ratios belong to evaluation (darlr.evaluation.truth).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import Block, FeatureColumn, FloatArray, IntArray, InteractionLog, Mask
from darlr.data.report import Dropped, PrepareReport
from darlr.data.sets.shared import ITEM, SIDES, USER, Side, log_without_events, read_sides, with_files
from darlr.data.tabular.file import scan_numbers
from darlr.options import KuaiRecConfig

NAME = "kuairec"
LOG, TRUTH, DAILY = "big_matrix.csv", "small_matrix.csv", "item_daily_features.csv"
WATCH, TIME, DURATION = "watch_ratio", "timestamp", "video_duration"
LATEST = 2.0**53 / 1000  # the largest time in seconds whose milliseconds are exact in float64
ARCHIVE = Path("KuaiRec 2.0") / "data"  # where the official archive has its files
MOST = 5.0  # larger watch ratios count as this
PERCENTILES = (0.02, 0.98)  # of the clipped watch ratios of a video: they become 0 and 1
EVENTS = 20  # a video with fewer takes the percentiles of the whole log


def located(folder: Path) -> Path:
    """Where the files are: in the folder, or in the official archive unpacked in it or beside it. Raises DataError when
    one of them is missing.
    """
    places = (folder, folder / ARCHIVE, folder.parent / ARCHIVE)
    place = next((place for place in places if (place / LOG).is_file()), folder)
    return with_files(place, (*SIDES, TRUTH, LOG), f"{NAME}/ or '{ARCHIVE.as_posix()}/'")


def read(folder: Path, options: KuaiRecConfig | None = None) -> tuple[InteractionLog, PrepareReport]:
    """Every event of the big matrix, rewarded by its watch ratio. Repeats of a cell are kept, in order of time.

    Item features: `category` (1 to 4 of 31) and `duration` (log seconds). User features: see `read_profiles`. Times are
    in milliseconds. Raises DataError, naming file, row and column, when a file is missing or has another layout.
    """
    folder = located(folder)
    users, items = read_sides(folder)
    daily = _daily_durations(folder, items)
    block, cells = _read_block(folder, users, items)
    events = _read_events(folder / LOG, users, items, block, np.isnan(daily))
    duration, duration_note = _duration(daily, events)
    reward, reward_range = _rewards(events, options or KuaiRecConfig(), len(items.ids))
    log = replace(
        log_without_events(NAME, users, replace(items, features=items.features + duration)),
        user=events.user,
        item=events.item,
        reward=reward,
        timestamp=events.time,
        reward_range=reward_range,
        block=block,
    )
    infinite = int(np.isinf(events.watched).sum())
    notes = [*users.notes, duration_note]
    notes += [f"{LOG}: {len(log) - log.count_cells():,} events repeat a cell and are kept", *events.notes]
    if infinite:
        notes.append(f"{LOG}: {infinite:,} infinite watch ratios (a video of no duration) count {MOST:g}")
    notes.append(f"{TRUTH}: {cells:,} of {len(block.users) * len(block.items):,} cells of the block were observed")
    return log, PrepareReport(NAME, events.rows_read, len(log), events.dropped, tuple(notes))


@dataclass(frozen=True)
class VideoScale:
    """The watch ratios of each video that become reward 0 and 1: float32 [I] each, low < high."""

    low: FloatArray
    high: FloatArray

    def rewards(self, item: IntArray, watched: FloatArray) -> FloatArray:
        """Normalised rewards from 0 to 1, float32 [n], of watch ratios of the items."""
        low = self.low[item]
        return np.asarray(np.clip((watched - low) / (self.high[item] - low), 0, 1))


def read_scale(folder: Path) -> VideoScale:
    """The scale of each video that `reward = normalised` uses. It is fitted on the log alone."""
    log, _ = read(folder)
    return _fit_scale(log.item, log.reward, log.n_items)


def clipped(watched: FloatArray) -> FloatArray:
    """Watch ratios of at most MOST, float32 [n]. Infinite ones, of videos of no duration, become MOST."""
    return np.minimum(watched, np.float32(MOST))


def _fit_scale(item: IntArray, watched: NDArray[np.floating], n_items: int) -> VideoScale:
    """The scale of each video by its logged watch ratios, clipped, [L].

    Short videos are watched several times over, and long ones in part, so that ratios compare between percentiles of
    their video only. A video with fewer than EVENTS events, or equal percentiles, takes those of the whole log.
    """
    events = pl.DataFrame({"item": item, "watched": watched})
    low, high = (pl.col("watched").quantile(share, "linear") for share in PERCENTILES)
    ends = [low.alias("low"), high.alias("high")]
    found = events.group_by("item").agg(*ends, pl.len().alias("events"))
    found = found.filter((pl.col("events") >= EVENTS) & (pl.col("low") < pl.col("high")))
    whole = events.select(*ends).row(0)
    lowest, highest = whole if whole[0] < whole[1] else (0.0, MOST)
    scale = VideoScale(np.full(n_items, lowest, np.float32), np.full(n_items, highest, np.float32))
    place = found["item"].to_numpy()
    scale.low[place], scale.high[place] = found["low"].to_numpy(), found["high"].to_numpy()
    return scale


@dataclass(frozen=True)
class Events:
    """Kept events, sorted by user and time, [L] each. time: milliseconds, None where no event has one. seen: the
    duration of each video by its events in milliseconds, float32 [I], NaN where it was not asked for or is unknown.
    """

    user: IntArray
    item: IntArray
    watched: FloatArray
    time: IntArray | None
    seen: FloatArray
    rows_read: int
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]


def _read_events(path: Path, users: Side, items: Side, block: Block, lacking: Mask) -> Events:
    """The events of a big_matrix.csv. lacking: bool [I], videos whose duration is to be taken from it.

    Events without a watch ratio, with a negative one, or on cells of the block are dropped and counted. Raises
    DataError, naming file, row and column, at an unknown id or a cell that is not a number.
    """
    kinds = {USER: pl.Int32, ITEM: pl.Int32, WATCH: pl.Float32, TIME: pl.Float64}
    table = scan_numbers(path, kinds | ({DURATION: pl.Float32} if lacking.any() else {}))
    user, item = users.codes(table), items.codes(table)
    seen = np.full(len(items.ids), np.nan, dtype=np.float32)
    if lacking.any():
        rows = lacking[item]
        seen = _median_by_item(item[rows], table.frame[DURATION].filter(pl.Series(rows)), len(items.ids))
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


def _median_by_item(item: IntArray, value: pl.Series, n_items: int) -> FloatArray:
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


def _read_block(folder: Path, users: Side, items: Side) -> tuple[Block, int]:
    """The users and videos of the small matrix, in ascending order, and how many cells it has."""
    table = scan_numbers(folder / TRUTH, {USER: pl.Int32, ITEM: pl.Int32})
    return Block(np.unique(users.codes(table)), np.unique(items.codes(table))), table.frame.height


def _daily_durations(folder: Path, items: Side) -> FloatArray:
    """Milliseconds of each video, median over days, float32 [I]; NaN where unknown, or without the file."""
    if not (folder / DAILY).is_file():
        return np.full(len(items.ids), np.nan, dtype=np.float32)
    table = scan_numbers(folder / DAILY, {ITEM: pl.Int32, DURATION: pl.Float64})
    return _median_by_item(items.codes(table), table.frame[DURATION], len(items.ids))


def _duration(daily: FloatArray, events: Events) -> tuple[tuple[FeatureColumn, ...], str]:
    """Log seconds of each video, from the file of days where it has them and else from the events; and a note."""
    duration = np.where(np.isnan(daily), events.seen, daily)
    known, both = (int((~np.isnan(values)).sum()) for values in (daily, duration))
    lacking = len(duration) - both
    note = f"duration of {known:,} videos from {DAILY}, of {both - known:,} from {LOG}, of {lacking:,} not known"
    return (FeatureColumn("duration", "numeric", np.log(duration / 1000)),) if both else (), note


def _rewards(events: Events, config: KuaiRecConfig, n_items: int) -> tuple[FloatArray, tuple[float, float]]:
    """Rewards of the events, float32 [L], and their range."""
    most = clipped(events.watched)
    if config.reward == "normalised":
        return _fit_scale(events.item, most, n_items).rewards(events.item, most), (0.0, 1.0)
    if config.reward == "clipped":
        return most, (0.0, MOST)
    raw = np.where(np.isinf(events.watched), most, events.watched)
    return raw, (0.0, max(float(raw.max()), 1.0))
