"""The times of all events on one scale: whole numbers are kept, fractions and dates become millionths or billionths."""

from dataclasses import replace

import numpy as np

from darlr.data.log import IntArray, Mask
from darlr.data.tabular.columns import quoted
from darlr.data.tabular.events import BLOCK, Events
from darlr.data.tabular.time_cells import LIMIT, Cells, Times

# Numbers that are times since 1970, of 1973 to 2286 or so, show their unit; so do dates written as one number.
UNITS = (
    ("seconds", 1e8, 1e10),
    ("milliseconds", 1e11, 1e13),
    ("microseconds", 1e14, 1e16),
    ("nanoseconds", 1e17, 9e18),
)
CALENDARS = (("dates such as 20240301", 8), ("dates such as 20240301123000", 14))


def read_times(events: Events, column: str, keep: Mask) -> IntArray:
    """The times of all rows, int64 [rows], 0 in those not to keep; notes go to those of the events. Raises DataError on
    a missing time, one of another kind than the first (number, date), or in another unit.
    """
    parts: list[tuple[int, int, Times]] = []
    times = np.zeros(len(events), dtype=np.int64)
    for file, scan in enumerate(events.scans):
        start, chosen = int(events.starts[file]), keep[events.starts[file] : events.starts[file + 1]]
        if not chosen.any():
            continue
        part = Cells(events, scan, start, column, chosen).times()
        times[start : start + len(chosen)] = part.values
        parts.append((start, start + len(chosen), replace(part, values=part.values[:0].copy())))
        if part.kind != parts[0][2].kind:
            first = start + int(chosen.argmax())
            problem = f"{quoted(events.cell(first, column))} is not a time like those of {events.scans[0].name}"
            events.fail(first, column, problem)
    scale = max(part.scale for *_, part in parts)
    for start, stop, part in parts:
        values, finer = times[start:stop], scale // part.scale
        if float(max(values.max(), -int(values.min()))) * finer >= LIMIT:
            row = start + int(np.abs(values.astype(np.float64)).argmax())
            problem = f"is too large beside times with fractions of 1/{scale:,}; use one unit"
            events.fail(row, column, f"{quoted(events.cell(row, column))} {problem}")
        if finer > 1:
            values *= finer
    if parts[0][2].kind == "number":
        _refuse_mixed_units(events, column, times // scale if scale > 1 else times, keep)
    events.notes += dict.fromkeys(note for *_, part in parts for note in part.notes)
    if len(frozenset[bool]().union(*(part.zones for *_, part in parts))) > 1:
        bare = next(start for start, _, part in parts if False in part.zones)
        events.notes.append(
            f"column '{column}': some times have a zone and others, as in {events.at(bare).rpartition(', ')[0]}, have "
            "none; those without are taken as UTC"
        )
    return times


def _refuse_mixed_units(events: Events, column: str, times: IntArray, keep: Mask) -> None:
    """Raise DataError when numbers seem to be in two units; note numbers that fit no unit beside others that do."""
    found = [(unit, mask) for unit, low, high in UNITS if (mask := (times >= low) & (times < high) & keep).any()]
    rest = keep & ~np.any([mask for _, mask in found], axis=0) if found else keep
    dates = [(unit, mask) for unit, digits in CALENDARS if (mask := rest & _is_date(times, digits)).any()]
    if dates and (np.any([mask for _, mask in dates], axis=0) == rest).all():
        found, rest = found + dates, np.zeros_like(rest)
    firsts = sorted((int(mask.argmax()), unit) for unit, mask in found)
    if len(firsts) > 1:
        (one, unit), (other, another) = firsts[:2]
        problem = f"{times[other]} looks like {another}, the time in {events.at(one)} like {unit}; use one unit"
        events.fail(other, column, problem)
    if found and rest.any():
        row = int(rest.argmax())
        events.notes.append(
            f"column '{column}': {int(rest.sum()):,} times are no {firsts[0][1]} since 1970 as the others seem to be, "
            f"as {times[row]} in {events.at(row)}"
        )


def _is_date(times: IntArray, digits: int) -> Mask:
    """Which numbers are days of 1900 to 2100, written as year, month, day and what follows, bool [rows]."""
    if len(times) > BLOCK:
        starts = range(0, len(times), BLOCK)
        return np.concatenate([_is_date(times[start : start + BLOCK], digits) for start in starts])
    days = times // 10 ** (digits - 8)
    months, year = days // 100 % 100, days // 10_000
    clock = times % 10 ** (digits - 8)
    day = (year >= 1900) & (year <= 2100) & (months >= 1) & (months <= 12) & (days % 100 >= 1) & (days % 100 <= 31)
    return np.asarray(day & (clock // 10_000 < 24) & (clock // 100 % 100 < 60) & (clock % 100 < 60))
