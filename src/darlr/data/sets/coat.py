"""The Coat shopping data (Schnabel et al., ICML 2016) in its own raw layout.

`train.ascii` is the log. `test.ascii` and the completed matrix belong to evaluation (darlr.evaluation.truth).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from darlr.data.log import FeatureColumn, FloatArray, IntArray, InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.shared import with_files
from darlr.data.tabular.file import require_file
from darlr.errors import DataError
from darlr.options import CoatConfig

NAME = "coat"
CATEGORY = "jackettype"
RATINGS = (1.0, 5.0)


def read(folder: Path, options: CoatConfig | None = None) -> tuple[InteractionLog, PrepareReport]:
    """The ratings of `folder`/train.ascii, which users chose to give, with decoded features. No option changes them.
    Raises DataError when a file is missing or has another layout.
    """
    maps = [f"user_item_features/{side}_features_map.txt" for side in ("user", "item")]
    with_files(folder, ("train.ascii", *maps), f"{NAME}/")
    ratings = read_ratings(folder / "train.ascii")
    (users, user_notes), (items, item_notes) = (
        _decode(folder / name, size) for name, size in zip(maps, ratings.shape, strict=True)
    )
    if CATEGORY not in {column.name for column in items}:
        raise DataError(f"{folder / maps[1]}: no line starts with '{CATEGORY}:'")
    user, item = np.nonzero(ratings)
    log = InteractionLog(
        name=NAME,
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
    return log, PrepareReport(NAME, rows_read=len(log), rows_kept=len(log), notes=user_notes + item_notes)


def read_ratings(path: Path) -> IntArray:
    """A whitespace-separated matrix of integers 0 to 5, int64 [U, I]; 0 = not rated. Raises DataError, naming file, row
    and column, at any other value.
    """
    matrix = _whole_numbers(path)
    wrong = np.argwhere((matrix < 0) | (matrix > RATINGS[1]))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(f"{path}, row {row + 1}, column {column + 1}: {matrix[row, column]} is not a rating 0 to 5")
    return matrix


def read_matrix(path: Path) -> FloatArray:
    """A whitespace-separated matrix of numbers, float32. Raises DataError, naming file, row and column."""
    rows = _cells(path, lambda value: value.replace(".", "", 1).isdecimal(), "a number such as 3 or 3.25")
    return np.array(rows, dtype=np.float32)


def _whole_numbers(path: Path) -> IntArray:
    return np.array(_cells(path, str.isdecimal, "a whole number"), dtype=np.int64)


def _cells(path: Path, valid: Callable[[str], bool], wanted: str) -> list[list[str]]:
    require_file(path)
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


def _decode(names_file: Path, n: int) -> tuple[tuple[FeatureColumn, ...], tuple[str, ...]]:
    """One-hot groups, named by a file with 'group:value' in each line, as categorical columns. A row without exactly
    one bit in a group becomes a missing value, and a note counts such rows.
    """
    bits_file = names_file.with_name(names_file.name.replace("_map.txt", ".ascii"))
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
