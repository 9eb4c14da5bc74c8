"""Raw files in exactly KuaiRand-Pure's layout, of any size, from a world whose click probabilities are known.

    python tests/raw/kuairand.py FOLDER            the published size

The standard logs show what is popular and liked, the random log any video with the same chance. Odd values are there:
videos without a tag or with several, events that occur twice, ids with gaps, empty and -124 profile cells.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

SIZES = {"users": 27_285, "videos": 7_583, "standard": 1_436_609, "random": 1_186_059}
FIRST, SECOND = "log_standard_4_08_to_4_21_pure.csv", "log_standard_4_22_to_5_08_pure.csv"
RANDOM = "log_random_4_22_to_5_08_pure.csv"
USERS, VIDEOS = "user_features_pure.csv", "video_features_basic_pure.csv"
DAY, BEIJING = 86_400_000, 8 * 3_600_000
START = 1_649_347_200_000  # 8 April 2022 in Beijing, milliseconds
SECOND_START, END = START + 14 * DAY, START + 31 * DAY
BASE, PREFERENCES = -1.0, 4  # logit of an ordinary click, and size of the latent preferences
BINARY = ("is_like", "is_follow", "is_comment", "is_forward", "is_hate")
RARE = (0.02, 0.002, 0.003, 0.001, 0.0005)


@dataclass(frozen=True)
class Raw:
    """What the files were made from. user_ids [U], video_ids [V], rising; tags: of each video, maybe none.

    user, video: factors [U, d] and [V, d], whose product is the logit of a click.
    repeats: how many lines of both standard logs, and of the random log, occur before.
    """

    user_ids: np.ndarray
    video_ids: np.ndarray
    tags: list[list[int]]
    user: np.ndarray
    video: np.ndarray
    repeats: tuple[int, int]

    def probability(self):
        """Chance of a click, float64 [U, V]."""
        return 1 / (1 + np.exp(-self.user @ self.video.T))


def write(folder, users=60, videos=40, standard=900, random=1500, seed=0):
    """The five files that the reader needs, in `folder`; returns the world behind them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    user_ids = np.sort(rng.choice(users + users // 4, users, replace=False))
    video_ids = np.sort(rng.choice(videos + videos // 4, videos, replace=False))
    tag = rng.integers(0, 20, (videos, 3))
    count = rng.choice([0, 1, 2, 3], videos, p=[0.05, 0.75, 0.15, 0.05])
    shift = np.sort(rng.normal(0, 0.7, 20))[tag[:, 0]] * (count > 0)  # the first tag says what a video is worth
    preference, trait = rng.normal(0, 0.7, (users, PREFERENCES)), rng.normal(0, 0.7, (videos, PREFERENCES))
    worth, mood = BASE + shift + rng.normal(0, 0.5, videos), rng.normal(0, 0.7, users)
    user = np.column_stack([preference, np.ones(users), mood])
    video = np.column_stack([trait, worth, np.ones(videos)])
    length = np.where(rng.random(videos) < 0.03, -1, rng.integers(3_000, 200_000, videos))

    fame = np.exp(rng.normal(0, 1, videos) + 0.5 * shift)
    late = round(standard * 0.21)  # the second file is the smaller one, as published
    shown = _draw(rng, standard, users, rng.choice(videos, standard, p=fame / fame.sum()))
    events = _events(rng, *shown, user, video, length, 0)
    time = np.append(rng.integers(START, SECOND_START, standard - late), rng.integers(SECOND_START, END, late))
    doubled = _write_log(rng, folder / FIRST, events, time, slice(standard - late), user_ids, video_ids)
    doubled += _write_log(rng, folder / SECOND, events, time, slice(standard - late, None), user_ids, video_ids)
    shown = _draw(rng, random, users, rng.integers(0, videos, random))
    events, time = _events(rng, *shown, user, video, length, 1), rng.integers(SECOND_START, END, random)
    again = _write_log(rng, folder / RANDOM, events, time, slice(None), user_ids, video_ids)
    tags = [sorted(set(row[:n].tolist())) for row, n in zip(tag, count, strict=True)]
    _write_videos(rng, folder / VIDEOS, video_ids, tags, length)
    _write_users(rng, folder / USERS, user_ids, mood)
    return Raw(user_ids, video_ids, tags, user, video, (doubled, again))


def _draw(rng, n, users, video):
    """Users of very different activity, each with at least one event where n allows."""
    weight = rng.gamma(0.7, size=users)
    some = np.append(np.arange(users), rng.choice(users, max(n - users, 0), p=weight / weight.sum()))[:n]
    return rng.permutation(some), video


def _events(rng, u, v, user, video, length, shown_at_random):
    """The feedback columns of events (u, v): dictionary of arrays [n]."""
    chance = 1 / (1 + np.exp(-np.einsum("nd,nd->n", user[u], video[v])))
    click = rng.random(len(u)) < chance
    duration = np.where(length[v] < 0, 0, length[v])
    play = (duration * rng.random(len(u)) * np.where(click, 1.5, 0.2)).astype(np.int64)
    enters = click & (rng.random(len(u)) < 0.03)
    return {
        "user": u,
        "video": v,
        "is_click": click,
        **{name: click & (rng.random(len(u)) < share) for name, share in zip(BINARY, RARE, strict=True)},
        "long_view": play >= np.minimum(duration, 18_000),
        "play_time_ms": play,
        "duration_ms": duration,
        "profile_stay_time": enters * rng.integers(0, 20_000, len(u)),
        "comment_stay_time": click * (rng.random(len(u)) < 0.1) * rng.integers(0, 60_000, len(u)),
        "is_profile_enter": enters,
        "is_rand": np.full(len(u), shown_at_random),
        "tab": rng.integers(0, 15, len(u)),
    }


def _write_log(rng, path, events, time, part, user_ids, video_ids):
    """One log, about 1 line in 200 twice; returns how many lines occur before."""
    chosen = {name: values[part].astype(np.int64) for name, values in events.items()}
    time = time[part]
    clock = pl.Series("t", time + BEIJING).cast(pl.Datetime("ms")).dt
    frame = pl.DataFrame(
        {
            "user_id": user_ids[chosen.pop("user")],
            "video_id": video_ids[chosen.pop("video")],
            "date": clock.strftime("%Y%m%d"),
            "hourmin": clock.hour().cast(pl.Int64) * 100,
            "time_ms": time,
            **chosen,
        }
    )
    twice = rng.choice(len(frame), -(-len(frame) // 200), replace=False)
    frame = frame[rng.permutation(np.append(np.arange(len(frame)), twice))]
    frame.write_csv(path)
    return len(frame) - frame.select("user_id", "video_id", "time_ms").n_unique()


def _write_videos(rng, path, ids, tags, length):
    n = len(ids)
    pl.DataFrame(
        {
            "video_id": ids,
            "author_id": rng.integers(0, n, n),
            "video_type": rng.choice(["NORMAL", "AD", "UNKNOWN"], n, p=[0.95, 0.04, 0.01]),
            "upload_dt": pl.Series(rng.integers(-30, 1, n) + START // DAY + 1).cast(pl.Int32).cast(pl.Date),
            "upload_type": rng.choice(["LongImport", "ShortImport", "Web", "LongPicture"], n),
            "visible_status": _text(np.full(n, "1"), rng.random(n) < 0.02),
            "video_duration": _text(length.astype(str), length < 0),
            "server_width": rng.choice([720, 1080], n),
            "server_height": rng.choice([1280, 1920], n),
            "music_id": rng.integers(10**9, 10**10, n),
            "music_type": _text(rng.choice(["4", "9", "11"], n), rng.random(n) < 0.1),
            "tag": pl.Series([",".join(map(str, row)) or None for row in tags], dtype=pl.String),
        }
    ).write_csv(path)


def _write_users(rng, path, ids, mood):
    n = len(ids)
    counts = {name: np.floor(np.exp(rng.normal(3, 1.5, n))).astype(np.int64) for name in ("follow", "fans", "friend")}
    ranges = pl.Series(["0", "(0,10]", "(10,50]", "500+"])
    encrypted = {f"onehot_feat{k}": rng.integers(0, size, n).astype(str) for k, size in enumerate((2, 7, 50))}
    encrypted |= {f"onehot_feat{k}": rng.integers(0, 15, n).astype(str) for k in range(3, 18)}
    for k in (4, 12, 13, 14, 15, 16, 17):  # these have empty cells, so that the others look like fractions
        encrypted[f"onehot_feat{k}"] = _text(np.char.add(encrypted[f"onehot_feat{k}"], ".0"), rng.random(n) < 0.05)
    columns = {
        "user_id": ids,
        "user_active_degree": np.array(["full_active", "high_active", "middle_active"])[np.digitize(mood, [-0.3, 0.5])],
        "is_lowactive_period": rng.integers(0, 2, n),
        "is_live_streamer": rng.choice([0, 1, -124], n, p=[0.9, 0.05, 0.05]),
        "is_video_author": rng.integers(0, 2, n),
    }
    for name, values in counts.items():
        columns[f"{name}_user_num"] = values
        columns[f"{name}_user_num_range"] = ranges[np.digitize(values, [1, 11, 51])]
    days = rng.integers(15, 4000, n)
    columns |= {"register_days": days, "register_days_range": np.where(days > 730, "730+", "15-730")}
    pl.DataFrame(columns | encrypted).write_csv(path)


def _text(values, empty):
    """Strings, no cell at all where `empty`."""
    return pl.Series(values.tolist(), dtype=pl.String).set(pl.Series(empty), None)


if __name__ == "__main__":
    write(Path(sys.argv[1]), **SIZES)
