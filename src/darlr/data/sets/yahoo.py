"""Yahoo! R3 (Marlin and Zemel, RecSys 2009) in its own files: ratings of songs that users chose, and of random songs.

The licence forbids passing the files on, so that each user asks Yahoo for them. The train file is the log. Only ids of
the test file are read into it, because its ratings of random songs are the truth (darlr.evaluation.truth).
"""

from pathlib import Path

import numpy as np

from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.coat import RATINGS
from darlr.data.sets.shared import coded, ids, with_files
from darlr.data.tabular.columns import occurs_before
from darlr.data.tabular.file import read_plain_file
from darlr.options import YahooConfig

NAME = "yahoo"
TRAIN, TEST = "ydata-ymusic-rating-study-v1_0-train.txt", "ydata-ymusic-rating-study-v1_0-test.txt"
USER, SONG, RATING = "user", "song", "rating"


def read(folder: Path, options: YahooConfig | None = None) -> tuple[InteractionLog, PrepareReport]:
    """The ratings 1 to 5 that users chose to give. There are no features, no times, and no exit rule.

    A second rating of a song by the same user is dropped and counted. No option changes the log. Raises DataError,
    naming file, row and column, when a file is missing or has another layout.
    """
    return _log(folder, TRAIN)


def read_random(folder: Path) -> tuple[InteractionLog, PrepareReport]:
    """The ratings of random songs, which are no part of the log, with the same ids."""
    return _log(folder, TEST)


def _log(folder: Path, chosen: str) -> tuple[InteractionLog, PrepareReport]:
    with_files(folder, (TRAIN, TEST), f"{NAME}/")
    tables = {name: read_plain_file(folder / name, (USER, SONG, RATING)) for name in (TRAIN, TEST)}
    users, songs = (np.unique(np.concatenate([ids(table, side) for table in tables.values()])) for side in (USER, SONG))
    table = tables[chosen]
    user, item, reward = coded(table, USER, users, TRAIN), coded(table, SONG, songs, TRAIN), ids(table, RATING)
    wrong = (reward < RATINGS[0]) | (reward > RATINGS[1])
    table.refuse(wrong, RATING, lambda row: f"{reward[row]} is not a rating 1 to 5")
    again = occurs_before([user, item])
    log = InteractionLog(
        name=NAME,
        user=user[~again],
        item=item[~again],
        reward=reward[~again].astype(np.float32),
        user_ids=tuple(users.tolist()),
        item_ids=tuple(songs.tolist()),
        reward_range=RATINGS,
    )
    dropped = table.dropped("another rating of a song that the user rated before", again)
    return log, PrepareReport(NAME, len(user), rows_kept=len(log), dropped=(dropped,))
