"""A column of times of one file as int64, exactly as written: numbers, texts or dates; anything else is an error."""

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
import polars as pl

from darlr.data.log import IntArray, Mask
from darlr.data.spelling import NO_ID, plain
from darlr.data.tabular.columns import is_float, quoted
from darlr.data.tabular.events import Events
from darlr.data.tabular.table import Scan

MICRO, NANO = 10**6, 10**9
LIMIT = 2.0**63
EXACT = 2.0**53
DECIMAL = r"^[+-]?(\d+\.?\d*|\.\d+)$"
ZONE = r"(Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)"
# Year first; the clock may lack seconds, or all; zones as ISO 8601, Postgres and BigQuery write them.
DATE = re.compile(rf"\d{{4}}([-/])\d{{2}}\1\d{{2}}(?:([T ])\d{{2}}:\d{{2}}(:\d{{2}}(?:[.,]\d+)?)?(?:(\s?){ZONE})?)?")
FINE = r"[.,]\d{6}0*[1-9]"  # more than a date in millionths of a second can hold
FULL = "%Y-%m-%dT%H:%M:%S%.f%#z"
FORMS = "numbers, and dates as in ISO 8601, such as 2024-03-01T12:30:00+01:00"
HINTS = (
    (r"^\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}", "which number is the day and which the month cannot be told: year first"),
    (r"(?i)[ap]\.?m\.?\b", "write hours from 00 to 23, without AM and PM"),
    (r"[A-Za-z]{3,}|\[", "write months as numbers and the zone as an offset, such as +01:00"),
)
Kind = Literal["number", "date"]


@dataclass(frozen=True)
class Times:
    """values: int64 [rows], 0 where not chosen, `scale` of them a unit of the file's numbers (of dates: a second).
    zones: whether dates with a zone, and without one, occur. notes: what was lost.
    """

    kind: Kind
    values: IntArray
    scale: int
    zones: frozenset[bool] = frozenset()
    notes: tuple[str, ...] = ()


class Cells:
    """The column of one file, whose first row is row `start` of all files. chosen: bool [rows], the rows that count."""

    def __init__(self, events: Events, scan: Scan, start: int, column: str, chosen: Mask) -> None:
        self.events, self.scan, self.start, self.column, self.chosen = events, scan, start, column, chosen
        self.kind = scan.schema[column]
        self.raw = pl.col(column)
        if isinstance(self.kind, pl.String | pl.Categorical | pl.Enum | pl.Decimal):
            self.raw = self.raw.cast(pl.String).str.strip_chars()

    def times(self) -> Times:
        """The times. Raises DataError at the first cell that is no time, or no time of the kind of the first one."""
        kind = self.kind
        if kind.is_integer() or kind == pl.Null:
            return Times("number", self.all_of(self.raw.cast(pl.Int64, strict=False), "number"), 1)
        if kind.is_float():
            return self.floats()
        if kind == pl.Date or isinstance(kind, pl.Datetime):
            return self.dates()
        if not isinstance(kind, pl.String | pl.Categorical | pl.Enum | pl.Decimal):
            self.fail(0, f"times must be numbers or dates, not {kind}")
        first = plain(str(self.events.cell(self.start + int(self.chosen.argmax()), self.column)))
        form = DATE.fullmatch(first)
        if form is not None:
            return self.texts(form)
        if is_float(first):
            return self.decimals()
        self.refuse(int(self.chosen.argmax()), None)

    def column_of(self, *expressions: pl.Expr) -> list[pl.Series]:
        """The results of the expressions, a column each."""
        named = {str(place): expression for place, expression in enumerate(expressions)}
        return self.scan.collect(self.scan.frame.select(**named)).get_columns()

    def lost(self, series: pl.Series) -> Mask:
        """Which of the chosen rows are null, bool [rows]."""
        return np.asarray(series.is_null().to_numpy() & self.chosen)

    def kept(self, series: pl.Series) -> IntArray:
        """The numbers, with 0 in rows that are not chosen."""
        numbers = series.fill_null(0).to_numpy()
        return numbers if self.chosen.all() else np.where(self.chosen, numbers, 0)

    def all_of(self, expression: pl.Expr, kind: Kind) -> IntArray:
        """The expression's int64 values; raises DataError where one is null."""
        (series,) = self.column_of(expression)
        if self.lost(series).any():
            self.refuse(int(self.lost(series).argmax()), kind)
        return self.kept(series)

    def decimals(self) -> Times:
        """Numbers in text. Whole numbers are kept; others become millionths or billionths, digit by digit."""
        (series,) = self.column_of(self.raw.cast(pl.Int64, strict=False))
        if not self.lost(series).any():
            return Times("number", self.kept(series), 1)
        written = pl.when(self.raw.str.contains(DECIMAL)).then(self.raw)
        (length,) = self.column_of(self.raw.str.extract(r"\.(\d*?)0*$").str.len_chars().cast(pl.UInt32))
        digits = int(self.kept(length).max())
        for places in (0,) if not digits else (6,) if digits <= 6 else (9, 6):
            whole, rest = written.str.extract(r"^([+-]?\d*)"), written.str.extract(r"\.(\d*)$").fill_null("")
            number = pl.concat_str(whole, rest.str.pad_end(places, "0").str.slice(0, places))
            (series,) = self.column_of(number.cast(pl.Int64, strict=False))
            if not self.lost(series).any():
                cut = f"column '{self.column}': decimals of times are cut off after {places}"
                return Times("number", self.kept(series), 10**places, notes=(cut,) if digits > places else ())
        return self.floats()

    def floats(self) -> Times:
        """Numbers of a fractional type, in the coarsest scale that represents all of them exactly."""
        (series,) = self.column_of(self.raw.cast(pl.Float64, strict=False))
        numbers = np.where(self.chosen, series.fill_null(np.nan).to_numpy(), 0.0)
        if not np.isfinite(numbers).all():
            self.refuse(int((~np.isfinite(numbers)).argmax()), "number")
        size = np.abs(numbers)
        if size.max() >= LIMIT:
            self.fail(int(size.argmax()), f"{self.quoted(int(size.argmax()))} is too large for a time")
        values, scale = np.rint(numbers), 1
        for finer in (MICRO, NANO):
            exact = values / scale == numbers
            if exact.all() or size.max() * finer >= LIMIT:
                break
            values, scale = np.rint(numbers * finer), finer
        if scale == 1 and (values != numbers).any():
            row = int((values != numbers).argmax())
            self.fail(row, f"{self.quoted(row)} is too large for a time with a fraction; give whole numbers")
        inexact = f"column '{self.column}': times beyond 2^53 of a fractional type are not exact; some may be equal"
        notes = (inexact,) if size.max() >= EXACT else ()
        return Times("number", values.astype(np.int64), scale, notes=notes)

    def dates(self) -> Times:
        """A date type, in millionths of a second, or in billionths if they are needed."""
        unit = getattr(self.kind, "time_unit", "days")
        zones = frozenset([getattr(self.kind, "time_zone", None) is not None])
        values = self.all_of(self.raw.to_physical().cast(pl.Int64), "date")
        if unit == "ns" and (values % 1000).any():
            return Times("date", values, NANO, zones)
        if unit == "ns":
            return Times("date", values // 1000, MICRO, zones)
        micros = {"us": 1, "ms": 1000, "days": 86_400 * MICRO}[unit]
        row = int(np.abs(values).argmax())
        if abs(float(values[row])) * micros >= LIMIT:
            self.fail(row, f"the time, {values[row]} {unit} from 1970, is beyond any calendar")
        return Times("date", values * micros, MICRO, zones)

    def texts(self, form: re.Match[str]) -> Times:
        """Dates in text. All are parsed in the form of the first one; if that fails, in any known form, slowly."""
        parsed, zoned = _in_form(self.raw, form), pl.lit(form[5] is not None)
        series, fine = self.column_of(_parsed(parsed, "us"), self.raw.str.contains(FINE))
        zones = {form[5] is not None}
        if self.lost(series).any():
            parsed, zoned = _in_any_form(self.raw)
            series, fine, zone = self.column_of(_parsed(parsed, "us"), self.raw.str.contains(FINE), zoned)
            if self.lost(series).any():
                self.refuse(int(self.lost(series).argmax()), "date")
            zones = set(zone.to_numpy()[self.chosen].tolist())
        values = self.kept(series)
        if not (fine.to_numpy() & self.chosen).any():
            return Times("date", values, MICRO, frozenset(zones))
        if np.abs(values).max() * 1000.0 >= LIMIT:
            row = int(np.abs(values).argmax())
            self.fail(row, f"{self.quoted(row)} is too far from 1970 to be kept in nanoseconds, which other times have")
        return Times("date", self.all_of(_parsed(parsed, "ns"), "date"), NANO, frozenset(zones))

    def quoted(self, row: int) -> str:
        """The cell in this row of the file."""
        return quoted(self.events.cell(self.start + row, self.column))

    def fail(self, row: int, problem: str) -> NoReturn:
        """Raise DataError about the cell in this row of the file."""
        self.events.fail(self.start + row, self.column, problem)

    def refuse(self, row: int, kind: Kind | None) -> NoReturn:
        """Raise DataError about a cell that is no time of this kind; kind None: the first cell is no time at all."""
        cell = self.events.cell(self.start + row, self.column)
        text = "" if cell is None else plain(str(cell))
        if not text or text in NO_ID:
            self.fail(row, "the timestamp is missing")
        if kind == "number" and is_float(text):
            self.fail(row, f"{quoted(cell)} is too large for a time")
        if kind == "number" or (kind == "date" and is_float(text)):
            self.fail(row, f"{quoted(cell)} is not a time like the others, which are {kind}s")
        if DATE.fullmatch(text):
            self.fail(row, f"{quoted(cell)} is not a day of the calendar, or not a time of the clock")
        hint = next((f"; {hint}" for pattern, hint in HINTS if re.search(pattern, text)), "")
        self.fail(row, f"{quoted(cell)} is not a time; read are {FORMS}{hint}")


def _parsed(parsed: tuple[pl.Expr, str], unit: Literal["us", "ns"]) -> pl.Expr:
    text, form = parsed
    return text.str.to_datetime(form, time_unit=unit, strict=False).to_physical()


def _in_form(raw: pl.Expr, form: re.Match[str]) -> tuple[pl.Expr, str]:
    """The text and its format, from the first text."""
    mark, between, seconds, gap, zone = form.groups()
    if between is None:
        return raw + "T00:00", f"%Y{mark}%m{mark}%dT%H:%M"
    offset = "" if zone is None else zone if zone.isalpha() else "%#z"
    return raw, f"%Y{mark}%m{mark}%d{between}%H:%M{':%S%.f' if seconds else ''}{gap or ''}{offset}"


def _in_any_form(raw: pl.Expr) -> tuple[tuple[pl.Expr, str], pl.Expr]:
    """The texts in one common form, that form, and whether each has a zone. A text of no known form is null."""
    known = pl.when(raw.str.contains(r"^\d{4}[-/]\d{2}[-/]\d{2}")).then(raw)
    timed = known.str.replace(r"^(.{10})$", "${1}T00:00").str.replace(
        rf"^(.{{10}}[T ]\d{{2}}:\d{{2}})(\s?{ZONE}?)$", "${1}:00${2}"
    )
    parts = rf"^(\d{{4}})[-/](\d{{2}})[-/](\d{{2}})[T ](\d{{2}}:\d{{2}}:\d{{2}})(?:[.,](\d{{1,9}})\d*)?\s?{ZONE}?$"
    zoned = timed.str.contains(r":\d{2}(?:[.,]\d+)?\s?" + ZONE + "$")
    even = timed.str.replace(parts, "${1}-${2}-${3}T${4}.${5}0${6}").str.replace(r"(z|UTC|GMT)$", "Z")
    return (pl.when(zoned).then(even).otherwise(even + "Z"), FULL), zoned.fill_null(False)
