"""The Coat shopping data (Schnabel et al., ICML 2016) in its own raw layout.

`train.ascii` is the log. `test.ascii` and the completed matrix are evaluation's (darlr.evaluation.truth).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from darlr.data.log import FeatureColumn, FloatArray, IntArray, InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.public import PublicSet
from darlr.errors import DataError
from darlr.options import CoatConfig

CATEGORY = "jackettype"
RATINGS = (1.0, 5.0)
NAME = "coat"
PUBLIC = PublicSet(
    name="coat",
    title="Coat Shopping (Schnabel et al., ICML 2016): 290 users, 300 items, 6,960 ratings",
    licence="for research; see its page",
    size="small",
    page="https://www.cs.cornell.edu/~schnabts/mnar/",
    sign="train.ascii",
    archive="coat.zip",
    url="https://www.cs.cornell.edu/~schnabts/mnar/coat.zip",
    by_hand="The completed matrix coat_pseudoGT_ratingM.ascii, which evaluation plays on, is not in it: it is "
    "in the repository BetsyHJ/RL4Rec on GitHub (MIT); put it beside train.ascii.",
)


def read(raw: Path, options: CoatConfig | None = None) -> tuple[InteractionLog, PrepareReport]:
    """The log in the folder of raw data, and what its reader saw; there are no options that change it."""
    return read_coat(raw / NAME)


def read_coat(folder: Path) -> tuple[InteractionLog, PrepareReport]:
    """The self-selected ratings of `folder`/train.ascii with decoded features.

    Raises DataError when a file is missing or not what the layout says.
    """
    ratings = read_ratings(folder / "train.ascii")
    features = folder / "user_item_features"
    users, user_notes = _decode(features / "user_features", ratings.shape[0])
    items, item_notes = _decode(features / "item_features", ratings.shape[1])
    if CATEGORY not in {column.name for column in items}:
        raise DataError(f"{features / 'item_features_map.txt'}: no line starts with '{CATEGORY}:'")
    user, item = np.nonzero(ratings)
    log = InteractionLog(
        name="coat",
        user=user.astype(np.int64),
        item=item.astype(np.int64),
        reward=ratings[user, item].astype(np.float32),
        user_ids=tuple(range(ratings.shape[0])),
        item_ids=tuple(range(ratings.shape[1])),
        user_features=users,
        item_features=items,
        category=CATEGORY,
        reward_range=RATINGS,
        exit="distance",
    )
    return log, PrepareReport("coat", rows_read=len(log), rows_kept=len(log), notes=user_notes + item_notes)


def read_ratings(path: Path) -> IntArray:
    """A whitespace-separated matrix of integers 0..5, int64 [U, I]; 0 = not rated.

    Raises DataError naming file, row and column.
    """
    matrix = _whole_numbers(path)
    wrong = np.argwhere((matrix < 0) | (matrix > RATINGS[1]))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(f"{path}, row {row + 1}, column {column + 1}: {matrix[row, column]} is not a rating 0 to 5")
    return matrix


def read_matrix(path: Path) -> FloatArray:
    """A whitespace-separated matrix of numbers, float32; raises DataError naming file, row and column."""
    rows = _cells(path, lambda value: value.replace(".", "", 1).isdecimal(), "a number such as 3 or 3.25")
    return np.array(rows, dtype=np.float32)


def _whole_numbers(path: Path) -> IntArray:
    return np.array(_cells(path, str.isdecimal, "a whole number"), dtype=np.int64)


def _cells(path: Path, valid: Callable[[str], bool], wanted: str) -> list[list[str]]:
    if not path.is_file():
        raise DataError(
            f"{path}: file not found; the environment variable DARLR_DATA must name the folder that holds coat/"
        )
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not rows:
        raise DataError(f"{path}: the file is empty")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise DataError(f"{path}, row {number}: {len(row)} values where row 1 has {len(rows[0])}")
        for place, value in enumerate(row, 1):
            if not valid(value):
                raise DataError(f"{path}, row {number}, column {place}: '{value}' is not {wanted}")
    return rows


def _decode(stem: Path, n: int) -> tuple[tuple[FeatureColumn, ...], tuple[str, ...]]:
    """One-hot groups named by `stem`_map.txt ('group:value' a line) as categorical columns.

    A row without exactly one bit in a group becomes a missing value, and a note.
    """
    names_file, bits_file = stem.with_name(stem.name + "_map.txt"), stem.with_name(stem.name + ".ascii")
    if not names_file.is_file():
        raise DataError(f"{names_file}: file not found; it names the columns of {bits_file.name}")
    names = [line.strip().split(":", 1) for line in names_file.read_text(encoding="utf-8").splitlines() if line.strip()]
    unnamed = [number for number, name in enumerate(names, 1) if len(name) != 2]
    if unnamed:
        raise DataError(f"{names_file}, row {unnamed[0]}: expected 'group:value'")
    bits = _whole_numbers(bits_file)
    if bits.shape != (n, len(names)):
        raise DataError(f"{bits_file}: {bits.shape[0]} x {bits.shape[1]} values, expected {n} x {len(names)}")
    columns, notes = [], []
    for group in dict.fromkeys(name[0] for name in names):
        places = [place for place, name in enumerate(names) if name[0] == group]
        hot = bits[:, places]
        one = (hot.sum(1) == 1) & (hot.max(1) == 1)
        if not one.all():
            first = int(np.flatnonzero(~one)[0]) + 1
            notes.append(
                f"{bits_file.name}: {(~one).sum()} rows without exactly one '{group}' (first: row {first}), set missing"
            )
        values = np.where(one, hot.argmax(1), -1).astype(np.int64)
        columns.append(FeatureColumn(group, "categorical", values, tuple(names[place][1] for place in places)))
    return tuple(columns), tuple(notes)
