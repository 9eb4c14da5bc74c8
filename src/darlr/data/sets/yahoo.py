"""Yahoo! R3 (Marlin and Zemel, RecSys 2009) in its own files: ratings of songs, self-selected and of random songs.

The licence lets nobody pass the files on: each user asks Yahoo for them. The train file is the log. Of the test file
only ids are read into it: its ratings of random songs are evaluation's (darlr.evaluation.truth).
"""

from pathlib import Path

import numpy as np

from darlr.data.log import FloatArray, InteractionLog
from darlr.data.report import Dropped, PrepareReport
from darlr.data.sets.coat import RATINGS
from darlr.data.sets.kuaishou import coded, existing, ids, occurs_before
from darlr.data.sets.public import PublicSet
from darlr.data.tabular.file import read_plain_file
from darlr.data.tabular.table import Table
from darlr.options import YahooConfig

NAME = "yahoo"
TRAIN, TEST = "ydata-ymusic-rating-study-v1_0-train.txt", "ydata-ymusic-rating-study-v1_0-test.txt"
USER, SONG, RATING = "user", "song", "rating"
PUBLIC = PublicSet(
    name="yahoo",
    title="Yahoo! R3 (Marlin and Zemel, RecSys 2009): 15,400 users, 1,000 songs, 311,704 ratings",
    licence="Yahoo! Webscope: on request, not to be passed on",
    size="small",
    page="https://webscope.sandbox.yahoo.com/catalog.php?datatype=r",
    sign="ydata-ymusic-rating-study-v1_0-train.txt",
    by_hand="Ask for data set R3 on its page with an account of a university or institute, accept the terms, and "
    "unpack what you are sent.",
)


def read(raw: Path, options: YahooConfig | None = None) -> tuple[InteractionLog, PrepareReport]:
    """The log in the folder of raw data, and what its reader saw; there are no options that change it."""
    return read_yahoo(raw / NAME)


def read_yahoo(folder: Path) -> tuple[InteractionLog, PrepareReport]:
    """The self-selected ratings 1 to 5. There are no features, no times, and nothing that makes a user leave.

    A second rating of a song by the same user is dropped and counted. Raises DataError, naming file, row and column,
    when a file is missing or not what the layout says.
    """
    return _log(folder, TRAIN)


def read_random(folder: Path) -> tuple[InteractionLog, PrepareReport]:
    """The ratings of random songs, which are no part of the log, with the same ids."""
    return _log(folder, TEST)


def _log(folder: Path, chosen: str) -> tuple[InteractionLog, PrepareReport]:
    tables = {
        name: read_plain_file(existing(folder / name, f"{NAME}/"), (USER, SONG, RATING)) for name in (TRAIN, TEST)
    }
    users, songs = (np.unique(np.concatenate([ids(table, side) for table in tables.values()])) for side in (USER, SONG))
    table = tables[chosen]
    user, item = coded(table, USER, users, TRAIN), coded(table, SONG, songs, TRAIN)
    reward = _ratings(table)
    again = occurs_before([user, item])
    dropped = Dropped(
        "another rating of a song that the user rated before",
        int(again.sum()),
        table.at(int(again.argmax())) if again.any() else "",
    )
    log = InteractionLog(
        name=NAME,
        user=user[~again],
        item=item[~again],
        reward=reward[~again],
        user_ids=tuple(users.tolist()),
        item_ids=tuple(songs.tolist()),
        reward_range=RATINGS,
        exit="none",
    )
    return log, PrepareReport(NAME, len(user), rows_kept=len(log), dropped=(dropped,))


def _ratings(table: Table) -> FloatArray:
    """float32 [rows]; raises DataError at the first that is not a whole number 1 to 5."""
    ratings = ids(table, RATING)
    wrong = (ratings < RATINGS[0]) | (ratings > RATINGS[1])
    if wrong.any():
        row = int(wrong.argmax())
        table.fail(row, RATING, f"{ratings[row]} is not a rating 1 to 5")
    return ratings.astype(np.float32)
