"""Raw files in exactly the layout of KuaiRec 2.0 (Gao et al., CIKM 2022), made up, of any size.

`python -m benchmarks.raw_kuairec FOLDER` writes all five files that the reader knows at full size (1.6 GB); tests write
tiny ones. Header, order of columns, types, missing values and sizes are those of the published files: events sorted by
user and time, users of the block with a fifth of the others' events and none of its cells. `odd` adds what those files
might hold and a reader must survive.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
DATA = Path("KuaiRec 2.0") / "data"  # the official archive's folder
CATEGORIES = 31
FIRST_DAY = 1_593_878_400_000  # 2020-07-05 in China, in milliseconds
DAY = 86_400_000
CHUNK = 1_000_000  # events in memory at once
DAILY_TEXT = {
    "video_type": "NORMAL",
    "upload_dt": "2020-03-30",
    "upload_type": "ShortImport",
    "visible_status": "public",
}
DAILY_COUNTS = """show_cnt show_user_num play_cnt play_user_num play_duration complete_play_cnt complete_play_user_num
valid_play_cnt valid_play_user_num long_time_play_cnt long_time_play_user_num short_time_play_cnt
short_time_play_user_num play_progress comment_stay_duration like_cnt like_user_num click_like_cnt double_click_cnt
cancel_like_cnt cancel_like_user_num comment_cnt comment_user_num direct_comment_cnt reply_comment_cnt
delete_comment_cnt delete_comment_user_num comment_like_cnt comment_like_user_num follow_cnt follow_user_num
cancel_follow_cnt cancel_follow_user_num share_cnt share_user_num download_cnt download_user_num report_cnt
report_user_num reduce_similar_cnt reduce_similar_user_num collect_cnt collect_user_num cancel_collect_cnt
cancel_collect_user_num"""
RANGES = {  # profile column: edges and names of its ranges
    "follow_user_num": (
        [1, 11, 51, 101, 151, 251, 501],
        "0 (0,10] (10,50] (50,100] (100,150] (150,250] (250,500] 500+",
    ),
    "fans_user_num": ([1, 10, 100, 1000, 5000], "0 [1,10) [10,100) [100,1k) [1k,5k) [5k,1w)"),
    "friend_user_num": ([1, 5, 30, 60, 120, 250], "0 [1,5) [5,30) [30,60) [60,120) [120,250) 250+"),
    "register_days": ([15, 31, 61, 91, 181, 366, 731], "8-14 15-30 31-60 61-90 91-180 181-365 366-730 730+"),
}
ONEHOT = (2, 8, 30, 1076, 15, 34, 3, 118, 454, 7, 5, 5, 2, 2, 2, 2, 2, 2)  # values of onehot_feat0 to 17
ONEHOT_MISSING = (4, 12, 13, 14, 15, 16, 17)


@dataclass(frozen=True)
class Size:
    """How much to write; the defaults are KuaiRec's own.

    odd: share of the events with each odd value (no watch ratio, an infinite or negative one, no time, a cell of the
    block); 0 in the published big matrix. repeats: share that repeats the row before.
    """

    events: int = 12_530_806
    users: int = 7176
    videos: int = 10_728
    block_users: int = 1411
    block_videos: int = 3327
    cells: int = 4_676_570
    days: int = 32
    odd: float = 1e-5
    repeats: float = 0.077


@dataclass(frozen=True)
class World:
    """What the files share. duration: milliseconds, int64 [videos]; block_users, block_videos: ids, rising."""

    size: Size
    duration: IntArray
    appeal: NDArray[np.float64]
    block_users: IntArray
    block_videos: IntArray


def write(folder: Path, size: Size, seed: int = 0) -> World:
    """The five files, into `folder`; the same seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    world = World(
        size=size,
        duration=np.maximum(3000, generator.lognormal(9.3, 0.6, size.videos)).astype(np.int64),
        appeal=generator.lognormal(0, 1.5, size.videos),
        block_users=np.sort(generator.choice(size.users, size.block_users, replace=False)),
        block_videos=np.sort(generator.choice(size.videos, size.block_videos, replace=False)),
    )
    _write_big(folder / "big_matrix.csv", world, generator)
    _write_small(folder / "small_matrix.csv", world, generator)
    _categories(world, generator).write_csv(folder / "item_categories.csv")
    _profiles(world, generator).write_csv(folder / "user_features.csv")
    _daily(world, generator).write_csv(folder / "item_daily_features.csv")
    return world


def _write_big(path: Path, world: World, generator: np.random.Generator) -> None:
    size = world.size
    inside = np.isin(np.arange(size.users), world.block_users)
    weight = generator.gamma(6.0, 1.0, size.users) * np.where(inside, 0.2, 1.0)
    count = generator.multinomial(size.events, weight / weight.sum())
    outer = np.setdiff1d(np.arange(size.videos), world.block_videos)
    with path.open("wb") as file:
        for users in np.split(np.arange(size.users), _cuts(count)):
            user = np.repeat(users, count[users])
            video = _draw(np.arange(size.videos), world.appeal, len(user), generator)
            hidden = inside[user] & (generator.random(len(user)) >= size.odd)
            video[hidden] = _draw(outer, world.appeal, int(hidden.sum()), generator)
            time = FIRST_DAY + generator.integers(0, 63 * DAY, len(user))
            order = np.lexsort((time, user))
            first = np.flatnonzero(np.diff(user, prepend=-1))
            source = np.where(generator.random(len(user)) < size.repeats, -1, np.arange(len(user)))
            source[first] = first
            kept = np.maximum.accumulate(source)
            frame = _events(user[kept], video[kept], time[order][kept], world, generator, kept)
            frame.write_csv(file, include_header=file.tell() == 0)


def _cuts(count: IntArray) -> IntArray:
    """Where to split the users, so that each part has about CHUNK events."""
    part = np.cumsum(count) // CHUNK
    return np.flatnonzero(np.diff(part)) + 1


def _draw(videos: IntArray, appeal: NDArray[np.float64], n: int, generator: np.random.Generator) -> IntArray:
    edges = np.cumsum(appeal[videos])
    return videos[np.searchsorted(edges, generator.random(n) * edges[-1], side="right").clip(max=len(videos) - 1)]


def _write_small(path: Path, world: World, generator: np.random.Generator) -> None:
    cell = np.arange(world.size.block_users * world.size.block_videos)
    lost = generator.choice(len(cell), len(cell) - world.size.cells, replace=False)
    user, video = np.divmod(np.delete(cell, lost), world.size.block_videos)
    time = FIRST_DAY + generator.integers(0, 63 * DAY, len(user))
    time = time[np.lexsort((time, user))]
    frame = _events(world.block_users[user], world.block_videos[video], time, world, generator, None)
    frame.write_csv(path)


def _events(
    user: IntArray,
    video: IntArray,
    time: IntArray,
    world: World,
    generator: np.random.Generator,
    repeated: IntArray | None,
) -> pl.DataFrame:
    """Rows of a matrix. repeated: row n of the big matrix shows the values drawn for row repeated[n]; None: the small
    one, where 3.9% have no time and all watch ratios are sound."""
    n = len(user)
    copied = np.arange(n) if repeated is None else repeated
    odd = 0.0 if repeated is None else world.size.odd
    duration = world.duration[video]
    play = (duration * generator.lognormal(-0.35, 0.8, n)).astype(np.int64)[copied]
    fate = generator.random(n)[copied]
    duration = np.where(fate < 2 * odd, 0, duration)
    play = np.where(fate < odd, 0, np.where((fate >= 2 * odd) & (fate < 3 * odd), -1 - play, play))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = play / duration
    timeless = (generator.random(n) < (0.0389 if repeated is None else odd))[copied]
    local = pl.Series(time + 8 * 3_600_000).cast(pl.Datetime("ms"))
    date = _date(local)
    frame = pl.DataFrame(
        {
            "user_id": user,
            "video_id": video,
            "play_duration": play,
            "video_duration": duration,
            "time": local.dt.strftime("%Y-%m-%d %H:%M:%S%.3f"),
            "date": date.cast(pl.Float64) if repeated is None or odd else date,  # as pandas writes gaps
            "timestamp": time / 1000,
            "watch_ratio": ratio,
        }
    )
    gaps = pl.Series(timeless)
    return frame.with_columns(
        *(pl.when(~gaps).then(pl.col(name)).alias(name) for name in ("time", "date", "timestamp")),
        pl.col("watch_ratio").fill_nan(None),
    )


def _categories(world: World, generator: np.random.Generator) -> pl.DataFrame:
    videos = world.size.videos
    drawn = np.argsort(generator.random((videos, CATEGORIES)) ** np.arange(1, CATEGORIES + 1), axis=1)[:, :4]
    count = generator.choice([1, 2, 3, 4], videos, p=[0.6, 0.3, 0.08, 0.02])
    lists = [str(row[:n]) for row, n in zip(drawn.tolist(), count.tolist(), strict=True)]
    return pl.DataFrame({"video_id": np.arange(videos), "feat": lists})


def _profiles(world: World, generator: np.random.Generator) -> pl.DataFrame:
    users = world.size.users
    degree = generator.choice(
        ["full_active", "high_active", "middle_active", "UNKNOWN"], users, p=[0.6, 0.3, 0.08, 0.02]
    )
    columns: dict[str, object] = {"user_id": np.arange(users), "user_active_degree": degree}
    for name in ("is_lowactive_period", "is_live_streamer", "is_video_author"):
        columns[name] = (generator.random(users) < 0.1).astype(np.int64)
    for name, (edges, names) in RANGES.items():
        number = generator.lognormal(np.log(edges[-1]) / 2, 1.5, users).astype(np.int64)
        columns[name] = number
        columns[f"{name}_range"] = np.array(names.split())[np.searchsorted(edges, number, side="right")]
    for place, values in enumerate(ONEHOT):
        code = pl.Series(generator.integers(0, values, users))
        gaps = pl.Series(generator.random(users) < 0.01)
        column = pl.Series(code)
        columns[f"onehot_feat{place}"] = column.cast(pl.Float64).set(gaps, None) if place in ONEHOT_MISSING else column
    return pl.DataFrame(columns)


def _daily(world: World, generator: np.random.Generator) -> pl.DataFrame:
    """Rows by video and day; 3% of the videos never have a duration, a fifth of the days no collected counts."""
    videos, days = world.size.videos, world.size.days
    video, day = np.divmod(np.arange(videos * days), days)
    local = pl.Series(FIRST_DAY + 8 * 3_600_000 + day * DAY).cast(pl.Datetime("ms"))
    unknown, early = pl.Series((generator.random(videos) < 0.03)[video]), pl.Series(day < 0.2 * days)
    columns: dict[str, object] = {"video_id": video, "date": _date(local), "author_id": video % 8369}
    columns |= {name: pl.repeat(text, len(video), eager=True) for name, text in DAILY_TEXT.items()}
    columns["video_duration"] = pl.Series(world.duration[video]).cast(pl.Float64).set(unknown, None)
    columns |= {"video_width": np.full(len(video), 720), "video_height": np.full(len(video), 1280)}
    columns |= {"music_id": 3_350_323_409 + video, "video_tag_id": video % 1000}
    columns["video_tag_name"] = pl.repeat("建筑", len(video), eager=True)
    for name in DAILY_COUNTS.split():
        numbers = pl.Series(generator.integers(0, 10_000, len(video)))
        columns[name] = numbers.cast(pl.Float64).set(early, None) if "collect" in name else numbers
    columns["play_progress"] = generator.random(len(video))
    return pl.DataFrame(columns)


def _date(local: pl.Series) -> pl.Series:
    """Dates as whole numbers, such as 20200705."""
    return local.dt.strftime("%Y%m%d").cast(pl.Int64)


def main() -> None:
    """Write the files at full size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="what --raw or DARLR_DATA will name")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write(options.folder / DATA, Size(), options.seed)


if __name__ == "__main__":
    main()
