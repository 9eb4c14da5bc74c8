"""The events of a log's files, streamed into codes and numbers: nothing else of the files is ever in memory whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import FloatArray, IntArray, Mask
from darlr.data.tabular.columns import (
    flag,
    fractional,
    id_text,
    number,
    number_problem,
    occurs_before,
    quoted,
    refuse_id_type,
    refuse_number_type,
    refuse_odd_ids,
)
from darlr.data.tabular.inputs import open_log
from darlr.data.tabular.table import NoColumnError, Rows, Scan, several
from darlr.errors import DataError
from darlr.io.memory import require_free
from darlr.options import ColumnsConfig

KINDS = {"reward": pl.Float64, "propensity": pl.Float32, "random": pl.Float32}  # rewards of any unit keep their digits
SHARE = 0.01  # of the reward range: where the rewards fill less, the range is noted
SHOWN = 3  # texts of a column that an error shows
IMPLICIT = "name the column of rewards (option reward), or set the option implicit if each event is a click or the like"
EVENT_BYTES = 48  # memory at the peak, by measurement (docs/scale.md)
BLOCK = 2**20  # rows that are worked on at once where that saves memory; it changes no number
MISSING = 2**32 - 1  # the code of a row without an id


@dataclass
class Events(Rows):
    """All rows of all files or frames, in order.

    name: the name of the log if no option names it. starts: int64 [files + 1], the first row of each file, then the
    number of rows.
    coded: uint32 [rows] for user and item, places in `names` (untrimmed, distinct), MISSING where null.
    numbers: [rows], float64 for reward, float32 for propensity and random (0 or 1), NaN where there is none.
    """

    scans: tuple[Scan, ...]
    starts: IntArray
    coded: dict[str, NDArray[np.uint32]]
    names: dict[str, pl.Series]
    numbers: dict[str, NDArray[np.floating]]
    notes: list[str] = field(default_factory=list)
    name: str = ""

    @property
    def source(self) -> str:
        """The name of all files or frames in errors."""
        return several([scan.name for scan in self.scans])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def at(self, row: int) -> str:
        """The file and row as errors and reports give them."""
        scan, place = self._place(row)
        return scan.at(place)

    def cell(self, row: int, column: str) -> Any:
        """One cell as the file has it: read again, so only for errors."""
        scan, place = self._place(row)
        return scan.collect(scan.frame.select(column).slice(place, 1)).item()

    def texts(self, row: int, column: str) -> str:
        """The commonest texts of a column in the file of a row, each with its count; "" where one is a number."""
        scan, _ = self._place(row)
        if scan.schema[column] != pl.String:
            return ""
        text = pl.col(column).str.strip_chars()
        found = scan.collect(scan.frame.group_by(text).len()).filter(pl.col(column) != "")
        if found[column].cast(pl.Float64, strict=False).is_not_null().any():
            return ""
        top = found.sort(["len", column], descending=[True, False]).head(SHOWN)
        return ", ".join(f"{quoted(name)} ({count:,})" for name, count in top.iter_rows())

    def _place(self, row: int) -> tuple[Scan, int]:
        file = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.scans[file], row - int(self.starts[file])


def stream_events(source: Any, config: ColumnsConfig) -> Events:
    """Ids and numbers of all rows, streamed file by file; rows that will be dropped are not checked yet.

    source: paths or frames, see `darlr.data.tabular.inputs`. Raises DataError, naming the file or frame, when it lacks
    a column, cannot be read, or has cells that cannot be ids.
    """
    numeric = {} if config.implicit else {"reward": config.reward}
    rest = {"propensity": config.propensity, "random": config.random}
    numeric |= {what: column for what, column in rest.items() if column is not None}
    sides = {"user": config.user, "item": config.item}
    needed = [column for column in (*sides.values(), *numeric.values(), config.timestamp) if column is not None]
    try:
        scans, left_out, name = open_log(source, needed)
    except NoColumnError as error:
        if error.column != numeric.get("reward"):
            raise
        raise DataError(f"{error}; {IMPLICIT}") from error
    rows = sum(scan.rows() for scan in scans)
    require_free(
        EVENT_BYTES * rows,
        f"{several([scan.name for scan in scans])}: a log of about {rows:,} events",
        "read fewer events (a part of the files, or of the users), or use a machine with more memory",
    )
    known = {side: pl.Categories.random() for side in sides}
    parts, notes = [], left_out
    wanted: dict[str, pl.Expr] = {}  # never emptied: polars forgets categories that no expression or column refers to
    for scan in scans:
        for side, column in sides.items():
            refuse_id_type(scan, column, scan.schema[column])
            text = id_text(column, scan.schema[column])
            wanted[side] = text.cast(pl.Categorical(known[side])).to_physical().fill_null(MISSING)
        for what, column in numeric.items():
            refuse_number_type(scan, column, scan.schema[column], what)
            read = flag if what == "random" else number
            wanted[what] = read(column, scan.schema[column]).cast(KINDS[what])
        part = scan.collect(scan.frame.select(**wanted))
        if part.is_empty() and len(scans) > 1:
            notes.append(f"{scan.name}: has no rows")
        notes += scan.quoting(part.height)
        parts.append(part)
    starts = np.cumsum([0, *(part.height for part in parts)])
    events = Events(
        scans,
        starts,
        {side: _moved(parts, side) for side in sides},
        {side: categories.to_series() for side, categories in known.items()},
        {what: _moved(parts, what) for what in numeric},
        notes=notes,
        name=name,
    )
    if config.implicit:
        events.numbers["reward"] = np.ones(len(events), dtype=np.float32)
    if not len(events):
        raise DataError(f"{scans[0].name}: the {scans[0].kind} has no rows" + ", and no other has" * (len(scans) > 1))
    for side, column in sides.items():
        floats = all(fractional(scan.schema[column]) for scan in scans)
        refuse_odd_ids(events, column, events.coded[side], events.names[side], floats)
    return events


def _moved(parts: Sequence[pl.DataFrame], name: str) -> NDArray[Any]:
    """A column of frames below each other as one array, taken out of the frames chunk by chunk, so that nothing is in
    memory twice.
    """
    columns = [part.drop_in_place(name) for part in parts]
    array, start = np.empty(sum(map(len, columns)), dtype=columns[0].head(0).to_numpy().dtype), 0
    while columns:
        for chunk in columns.pop(0).get_chunks():
            array[start : start + len(chunk)] = chunk.to_numpy()
            start += len(chunk)
    return array


def kept(values: NDArray[Any], keep: Mask) -> NDArray[Any]:
    """The rows to keep of [rows]; without a copy where that is all of them."""
    return values if keep.all() else values[keep]


def repeated(events: Events, times: IntArray, keep: Mask) -> Mask:
    """Rows to keep that equal an earlier one (user, item, numbers, time), bool [rows]. Rows are hashed first, so that
    only those with an equal hash are compared.
    """
    columns: dict[str, Any] = {**events.coded, **events.numbers, "time": times}
    blocks = [slice(start, start + BLOCK) for start in range(0, len(keep), BLOCK)]
    hashes = np.empty(len(keep), dtype=np.uint64)
    for block in blocks:
        hashes[block] = pl.DataFrame({name: values[block] for name, values in columns.items()}).hash_rows(seed=0)
    ordered = hashes[keep]
    ordered.sort()
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    again = np.zeros(len(keep), dtype=bool)
    if len(twice):
        for block in blocks:
            place = np.searchsorted(twice, hashes[block]).clip(max=len(twice) - 1)
            again[block] = (twice[place] == hashes[block]) & keep[block]
        suspects = np.flatnonzero(again)
        again[suspects] = occurs_before([values[suspects] for values in columns.values()])
    return again


def refuse_bad_numbers(events: Events, what: str, column: str, keep: Mask) -> None:
    """Raise DataError at the first row to keep without a finite number."""

    def problem(row: int) -> str:
        texts = events.texts(row, column)
        advice = f"; the column holds texts, {texts}: write a number for each, or keep the rows of one of them"
        advice += " and set the option implicit" if what == "reward" else ""
        return number_problem(events.cell(row, column), what) + (advice if texts else "")

    events.refuse(~np.isfinite(events.numbers[what]) & keep, column, problem)


def refuse_no_flags(events: Events, column: str, keep: Mask) -> None:
    """Raise DataError at the first row to keep that does not say whether its item was shown at random."""

    def problem(row: int) -> str:
        cell = events.cell(row, column)
        return f"{'an empty cell' if cell is None else quoted(cell)} is neither 1 nor 0, true nor false (option random)"

    events.refuse(~np.isfinite(events.numbers["random"]) & keep, column, problem)


def refuse_outside(
    events: Events, column: str, what: str, keep: Mask, limits: tuple[float, float], above: bool = False
) -> None:
    """Raise DataError at the first row to keep outside the limits. above: the low limit itself is outside, too."""
    with np.errstate(over="ignore"):
        values = events.numbers[what].astype(np.float32, copy=False)  # a limit of 0.1 holds a float32 of 0.1
        low, high = (np.float32(limit) for limit in limits)
    outside = ((values < low) | (values > high) | (above & (values == low))) & keep
    wanted = f"above {limits[0]:g} and at most {limits[1]:g}" if above else f"from {limits[0]:g} to {limits[1]:g}"
    events.refuse(outside, column, lambda row: f"{what} {events.numbers[what][row]:g} must be {wanted}")


def range_of(reward: FloatArray, given: tuple[float, float] | None) -> tuple[tuple[float, float], list[str]]:
    """The reward range, and a note where the given one is far wider than the rewards are. If none is given, it is that
    of the rewards; a single value v gives (0, v), (v, 0), or (0, 1) when v is 0.
    """
    least, most = float(reward.min()), float(reward.max())
    if given is None:
        return ((least, most) if least < most else (min(least, 0.0), max(most, 0.0)) if least else (0.0, 1.0)), []
    if least == most or most - least >= SHARE * (given[1] - given[0]):
        return given, []
    found = f"{given[0]:g} to {given[1]:g} is far wider than the rewards, which are {least:g} to {most:g}"
    return given, [f"option reward-range: {found}; is it right?"]
