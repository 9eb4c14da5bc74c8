"""Raw files in exactly Yahoo! R3's layout, of any size, from a world whose expected ratings are known.

    python tests/raw/yahoo.py FOLDER            the published size

The train file holds what users chose to rate: what they like. The test file holds the same number of random songs for
each of the first users. Both are sorted by user; some lines of the train file rate a song for the second time.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

SIZES = {"users": 15_400, "songs": 1_000, "ratings": 311_704, "tested": 5_400, "each": 10}
TRAIN, TEST = "ydata-ymusic-rating-study-v1_0-train.txt", "ydata-ymusic-rating-study-v1_0-test.txt"
PREFERENCES = 3


@dataclass(frozen=True)
class Raw:
    """What the files were made from. expected: mean rating of user id u + 1 and song id s + 1, [U, S].

    repeats: how many lines of the train file rate a song that the user rated before.
    """

    expected: np.ndarray
    repeats: int


def write(folder, users=60, songs=40, ratings=900, tested=40, each=10, seed=0):
    """Both files in `folder`; returns the world behind them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 0.8, (users, PREFERENCES)) @ rng.normal(0, 0.8, (songs, PREFERENCES)).T
    logit += rng.normal(-0.7, 0.6, songs) + rng.normal(0, 0.6, (users, 1))
    expected = 1 + 4 / (1 + np.exp(-logit))

    fame = rng.normal(0, 1, songs)
    key = rng.gumbel(size=(users, songs)) + fame + 0.5 * logit
    cell = np.sort(np.argpartition(-key.ravel(), ratings - 1)[:ratings])
    twice = np.append(np.arange(ratings), rng.choice(ratings, -(-ratings // 200), replace=False))
    cell = np.sort(cell[twice])
    _write(rng, folder / TRAIN, cell // songs, cell % songs, expected)
    song = np.argsort(rng.random((tested, songs)), axis=1)[:, :each]
    _write(rng, folder / TEST, np.repeat(np.arange(tested), each), song.ravel(), expected)
    return Raw(expected, len(twice) - ratings)


def _write(rng, path, user, song, expected):
    """Ratings 1 + binomial(4, .), so that their mean is the expected one."""
    rating = 1 + rng.binomial(4, (expected[user, song] - 1) / 4)
    frame = pl.DataFrame({"user": user + 1, "song": song + 1, "rating": rating})
    frame.write_csv(path, separator="\t", include_header=False)


if __name__ == "__main__":
    write(Path(sys.argv[1]), **SIZES)
