"""KuaiRec 2.0 (Gao et al., CIKM 2022) in its official raw layout: the big matrix as the log.

The block (users x videos of the small matrix) is where we recommend: the big matrix holds none of its cells. Of the
small matrix only the ids are read here; its watch ratios are evaluation's (darlr.evaluation.truth).
"""

from pathlib import Path

import numpy as np
import polars as pl

from darlr.data.log import Block, FeatureColumn, FloatArray, InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.kuairec_events import DURATION, Events, median_by_item, read_events
from darlr.data.sets.kuairec_reward import MOST, VideoScale, clipped, fit_scale
from darlr.data.sets.kuairec_tables import CATEGORIES, CATEGORY, USERS, read_categories
from darlr.data.sets.kuaishou import ITEM, USER, Side, coded, existing, read_profiles
from darlr.data.sets.public import PublicSet
from darlr.data.tabular.number_columns import scan_numbers
from darlr.options import KuaiRecConfig

NAME = "kuairec"
LOG, TRUTH, DAILY = "big_matrix.csv", "small_matrix.csv", "item_daily_features.csv"
ARCHIVE = Path("KuaiRec 2.0") / "data"  # where the official archive has its files
PUBLIC = PublicSet(
    name="kuairec",
    title="KuaiRec 2.0 (Gao et al., CIKM 2022): 7,176 users, 10,728 videos, 12.5 million events",
    licence="CC BY-SA 4.0",
    size="432 MB packed",
    page="https://kuairec.com",
    sign="big_matrix.csv",
    archive="KuaiRec.zip",
    url="https://zenodo.org/records/18164998/files/KuaiRec.zip",
    known_hash="md5:261550d472c48eff4990fb13c0e5bcf7",
)


def read(raw: Path, options: KuaiRecConfig | None = None) -> tuple[InteractionLog, PrepareReport]:
    """The log in the folder of raw data, and what its reader saw."""
    return read_kuairec(kuairec_folder(raw), options)


def kuairec_folder(raw: Path) -> Path:
    """Where the files are: raw/kuairec, or the official archive unpacked in it or in `raw`."""
    places = (raw / NAME, raw / NAME / ARCHIVE, raw / ARCHIVE)
    return next((place for place in places if (place / LOG).is_file()), places[0])


def read_kuairec(folder: Path, config: KuaiRecConfig | None = None) -> tuple[InteractionLog, PrepareReport]:
    """Every event of the big matrix, rewarded by its watch ratio; repeats of a cell are kept, in time order.

    Item features: `category` (1 to 4 of 31) and `duration` (log seconds). User features: the profile. Times are
    milliseconds. Raises DataError, naming file, row and column, when a file is missing or not what its header says.
    """
    config = config or KuaiRecConfig()
    users, items = read_sides(folder)
    daily = _daily_durations(folder, items)
    block, cells = _read_block(folder, users, items)
    events = read_events(kuairec_file(folder, LOG), users.ids, items.ids, block, np.isnan(daily))
    duration, duration_notes = _duration(daily, events)
    reward, reward_range = _rewards(events, config, len(items.ids))
    log = InteractionLog(
        name=NAME,
        user=events.user,
        item=events.item,
        reward=reward,
        user_ids=tuple(users.ids.tolist()),
        item_ids=tuple(items.ids.tolist()),
        timestamp=events.time,
        user_features=users.features,
        item_features=(*items.features, *duration),
        category=CATEGORY,
        reward_range=reward_range,
        block=block,
        exit="category",
    )
    infinite = int(np.isinf(events.watched).sum())
    notes = [f"{LOG}: {len(log) - log.count_cells():,} events repeat a cell and are kept", *events.notes]
    if infinite:
        notes.append(f"{LOG}: {infinite:,} infinite watch ratios (a video of no duration) count {MOST:g}")
    notes.append(f"{TRUTH}: {cells:,} of {len(block.users) * len(block.items):,} cells of the block were observed")
    return log, PrepareReport(NAME, events.rows_read, len(log), events.dropped, (*users.notes, *duration_notes, *notes))


def read_scale(folder: Path) -> VideoScale:
    """The scale of each video that `reward = normalised` takes: of the log alone."""
    log, _ = read_kuairec(folder)
    return fit_scale(log.item, log.reward, log.n_items)


def read_sides(folder: Path) -> tuple[Side, Side]:
    """All users and all videos."""
    return read_profiles(kuairec_file(folder, USERS)), read_categories(kuairec_file(folder, CATEGORIES))


def kuairec_file(folder: Path, name: str) -> Path:
    """The path of a file of the data set; raises DataError when it is not there."""
    return existing(folder / name, f"{NAME}/ or '{ARCHIVE.as_posix()}/'")


def _read_block(folder: Path, users: Side, items: Side) -> tuple[Block, int]:
    """The small matrix's users and videos, codes rising, and how many cells it has."""
    table = scan_numbers(kuairec_file(folder, TRUTH), {USER: pl.Int32, ITEM: pl.Int32})
    codes = (coded(table, USER, users.ids, USERS), coded(table, ITEM, items.ids, CATEGORIES))
    return Block(*(np.unique(side) for side in codes)), table.frame.height


def _daily_durations(folder: Path, items: Side) -> FloatArray:
    """Milliseconds of each video, median over days, float32 [I]; NaN where not known, or without the file."""
    if not (folder / DAILY).is_file():
        return np.full(len(items.ids), np.nan, dtype=np.float32)
    table = scan_numbers(folder / DAILY, {ITEM: pl.Int32, DURATION: pl.Float64})
    return median_by_item(coded(table, ITEM, items.ids, CATEGORIES), table.frame[DURATION], len(items.ids))


def _duration(daily: FloatArray, events: Events) -> tuple[tuple[FeatureColumn, ...], list[str]]:
    """Log seconds of each video; the days' file goes before the events."""
    duration = np.where(np.isnan(daily), events.seen, daily)
    known = [int((~np.isnan(values)).sum()) for values in (daily, duration)]
    notes = [
        f"duration of {known[0]:,} videos from {DAILY}, of {known[1] - known[0]:,} from {LOG}, "
        f"of {len(duration) - known[1]:,} not known"
    ]
    if not known[1]:
        return (), notes
    return (FeatureColumn("duration", "numeric", np.log(duration / 1000)),), notes


def _rewards(events: Events, config: KuaiRecConfig, n_items: int) -> tuple[FloatArray, tuple[float, float]]:
    """Rewards of the events, float32 [L], and their range."""
    most = clipped(events.watched)
    if config.reward == "normalised":
        return fit_scale(events.item, most, n_items).rewards(events.item, most), (0.0, 1.0)
    if config.reward == "clipped":
        return most, (0.0, MOST)
    raw = np.where(np.isinf(events.watched), most, events.watched)
    return raw, (0.0, max(float(raw.max()), 1.0))
