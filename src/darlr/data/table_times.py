"""Times of events as int64: whole numbers as they are, fractions and dates in millionths of a second."""

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import IntArray
from darlr.data.table_columns import quoted
from darlr.data.table_events import Events
from darlr.data.table_file import Scan

MICRO = 1_000_000
Kind = Literal["whole", "fraction", "date"]
# Numbers that are times since 1970, of 1973 to 2286 or so, show their unit.
UNITS = (
    ("seconds", 1e8, 1e10),
    ("milliseconds", 1e11, 1e13),
    ("microseconds", 1e14, 1e16),
    ("nanoseconds", 1e17, 9e18),
)


def read_times(events: Events, column: str, keep: NDArray[np.bool_]) -> IntArray:
    """The times of all rows, int64 [rows], 0 in those not to keep.

    Raises DataError on a missing time, one of another kind than the first (number, date), or in another unit.
    """
    parts: list[tuple[Kind, IntArray]] = []
    for file, scan in enumerate(events.scans):
        start, stop = events.starts[file], events.starts[file + 1]
        chosen = keep[start:stop]
        if chosen.any():
            parts.append(_times_of(events, scan, int(start), column, chosen))
            first = int(start + chosen.argmax())
            if (parts[-1][0] == "date") != (parts[0][0] == "date"):
                problem = f"{quoted(events.cell(first, column))} is not a time like those of {events.scans[0].path}"
                events.fail(first, column, problem)
        else:
            parts.append((parts[-1][0] if parts else "whole", np.zeros(stop - start, dtype=np.int64)))
    kinds = {kind for kind, _ in parts}
    times = np.concatenate([_alike(part, kinds) for part in parts])
    if "date" not in kinds:
        _refuse_mixed_units(events, column, times // MICRO if "fraction" in kinds else times)
    return times


def _times_of(events: Events, scan: Scan, start: int, column: str, chosen: NDArray[np.bool_]) -> tuple[Kind, IntArray]:
    """One file's times and how they were read: text by its first cell, and as fractions if it is not all whole."""
    first = start + int(chosen.argmax())
    dtype = scan.schema[column]
    if not (dtype.is_numeric() or dtype in (pl.String, pl.Null, pl.Date) or isinstance(dtype, pl.Datetime)):
        events.fail(first, column, f"times must be numbers or dates, not {dtype}")
    kind = _kind(events.cell(first, column), dtype)
    for attempt in (kind, "fraction") if kind == "whole" and dtype == pl.String else (kind,):
        series = scan.collect(scan.frame.select(_time(column, dtype, attempt))).to_series()
        lost = series.is_null().to_numpy() & chosen
        if not lost.any():
            return attempt, np.where(chosen, series.fill_null(0).to_numpy(), 0)
    row = start + int(lost.argmax())
    cell = events.cell(row, column)
    missing = cell is None or not str(cell).strip()
    events.fail(row, column, "the timestamp is missing" if missing else f"{quoted(cell)} is not a time like the others")


def _kind(cell: object, dtype: pl.DataType) -> Kind:
    if dtype.is_temporal():
        return "date"
    if dtype != pl.String:
        return "whole" if dtype.is_integer() or dtype == pl.Null else "fraction"
    text = pl.Series([str(cell).strip()])
    if text.cast(pl.Int64, strict=False)[0] is not None:
        return "whole"
    return "date" if text.cast(pl.Float64, strict=False)[0] is None else "fraction"


def _time(column: str, dtype: pl.DataType, kind: Kind) -> pl.Expr:
    """The column as int64, null where it is no time of this kind."""
    raw = pl.col(column).str.strip_chars() if dtype == pl.String else pl.col(column)
    if kind == "whole":
        return raw.cast(pl.Int64, strict=False)
    if kind == "fraction":
        return (raw.cast(pl.Float64, strict=False) * MICRO).cast(pl.Int64, strict=False)
    if dtype == pl.String:
        return raw.str.to_datetime(time_unit="us", time_zone="UTC", strict=False).to_physical()
    return raw.cast(pl.Datetime("us", getattr(dtype, "time_zone", None))).to_physical()


def _alike(part: tuple[Kind, IntArray], kinds: set[Kind]) -> IntArray:
    """Whole seconds in millionths where another file has fractions of a second."""
    kind, times = part
    return times * MICRO if kind == "whole" and "fraction" in kinds else times


def _refuse_mixed_units(events: Events, column: str, times: IntArray) -> None:
    masks = ((unit, (times >= low) & (times < high)) for unit, low, high in UNITS)
    firsts = sorted((int(mask.argmax()), unit) for unit, mask in masks if mask.any())
    if len(firsts) > 1:
        (one, unit), (other, another) = firsts[:2]
        problem = f"{times[other]} looks like {another}, the time in {events.at(one)} like {unit}; use one unit"
        events.fail(other, column, problem)
