"""Read one CSV, TSV or Parquet file, whole or as a stream, and say precisely what is wrong with it."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import polars as pl

from darlr.data.spelling import plain
from darlr.data.tabular.text import count_lines, explain, first_line, header
from darlr.errors import DataError
from darlr.io.files import refuse_address

DELIMITERS = {
    f"{kind}{packed}": mark for packed in ("", ".gz", ".zst") for kind, mark in ((".csv", ","), (".tsv", "\t"))
}
EVERY = pl.QueryOptFlags(projection_pushdown=False)  # else polars skips, with columns nobody asked for, their faults
KNOWN = ", ".join((*DELIMITERS, ".parquet"))


@dataclass(frozen=True)
class Table:
    """A file's columns. first_row: the number, as errors give it, of the first row (2 below a header line)."""

    path: Path
    frame: pl.DataFrame
    first_row: int

    def fail(self, row: int, column: str, problem: str) -> NoReturn:
        """Raise DataError about a cell; `row` counts from 0 in the frame."""
        raise DataError(f"{self.at(row)}, column '{column}': {problem}")

    def at(self, row: int) -> str:
        """File and row, as errors and reports give them."""
        return f"{self.path}, row {row + self.first_row}"


@dataclass(frozen=True)
class Scan:
    """A file not read yet. frame: its columns, lazy; delimiter: None for Parquet; width: columns of its header."""

    path: Path
    frame: pl.LazyFrame
    schema: pl.Schema
    first_row: int
    delimiter: str | None
    width: int

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """The answer to a query of `frame`, streamed; raises DataError, with the line where known, when it fails."""
        try:
            return query.collect(engine="streaming", optimizations=EVERY if self.delimiter else pl.QueryOptFlags())
        except (OSError, pl.exceptions.PolarsError) as error:
            if self.delimiter is None:
                raise _bad_parquet(self.path, error) from error
            explain(self.path, self.delimiter, self.width, error)

    def quoting(self, rows: int) -> list[str]:
        """What is odd about the quotation marks of a text file of so many rows."""
        if self.delimiter is None:
            return []
        lines, escaped = count_lines(self.path)
        found = (
            (lines - rows - 1, "line breaks inside quoted cells; a stray quotation mark does that too"),
            (escaped, 'lines with a backslash before a quotation mark; it escapes nothing: write "" inside quotes'),
        )
        return [f"{self.path}: {count:,} {what}" for count, what in found if count > 0]


class NoColumnError(DataError):
    """A file lacks a column that is needed."""

    def __init__(self, problem: str, column: str) -> None:
        super().__init__(problem)
        self.column = column


def suffix_of(path: Path) -> str | None:
    """The ending that says what kind of file it is, or None for an unknown one."""
    return next((s for s in (*DELIMITERS, ".parquet") if path.name.lower().endswith(s)), None)


def scan_file(path: Path, needed: Sequence[str], only_needed: bool) -> Scan:
    """The file's columns (all, or only those `needed`), lazy; CSV cells as strings, null where empty.

    Raises DataError when the file is missing, empty or no readable text, or a column is missing or doubled.
    """
    require_file(path)
    suffix = suffix_of(path)
    if suffix is None:
        raise DataError(f"{path}: unknown kind of file; known: {KNOWN}")
    if suffix == ".parquet":
        return _scan_parquet(path, needed, only_needed)
    return _scan_csv(path, DELIMITERS[suffix], needed, only_needed)


def require_file(path: Path) -> None:
    """Raise DataError unless there is a file with something in it that may be read."""
    refuse_address(path)
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a file ({KNOWN})")
    if not path.is_file():
        raise DataError(f"{path}: file not found")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if empty:
        raise DataError(f"{path}: the file is empty")


def read_file(path: Path, needed: Sequence[str], only_needed: bool) -> Table:
    """`scan_file`, read whole; raises DataError also when it has no rows, or is ragged or badly encoded."""
    scan = scan_file(path, needed, only_needed)
    frame = scan.collect(scan.frame)
    if frame.is_empty():
        raise DataError(f"{path}: the file has no rows")
    return Table(path, frame, scan.first_row)


def read_plain_file(path: Path, names: Sequence[str]) -> Table:
    """A tab-separated file without a header line, its columns called `names`; cells as strings, null where empty.

    Raises DataError when the file is missing, empty, badly encoded or has too wide a row.
    """
    require_file(path)
    first = header(path, "\t")
    if not first:
        raise DataError(f"{path}: its first line is empty")
    if len(first) != len(names):
        raise DataError(f"{path}, row 1: {len(first)} values; expected {', '.join(names)}, with tabs between them")
    try:
        schema = dict.fromkeys(names, pl.String)
        frame = pl.read_csv(
            path.absolute(), glob=False, separator="\t", has_header=False, schema=schema, quote_char=None
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        explain(path, "\t", len(names), error, "the layout has")
    return Table(path, frame, first_row=1)


def _scan_parquet(path: Path, needed: Sequence[str], only_needed: bool) -> Scan:
    try:
        frame = pl.scan_parquet(path.absolute(), glob=False)
        written = frame.collect_schema().names()
        names = _plain_names(path, written)
        _require_columns(path, needed, names)
        if names != written:
            frame = frame.rename(dict(zip(written, names, strict=True)))
        frame = frame.select(list(dict.fromkeys(needed))) if only_needed else frame
        return Scan(path, frame, frame.collect_schema(), 1, None, len(names))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _bad_parquet(path, error) from error


def _bad_parquet(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: is not a readable Parquet file ({first_line(error)}); is it whole?")


def csv_header(path: Path, delimiter: str, needed: Sequence[str]) -> list[str]:
    """Names of the columns, spelled `plain`; raises DataError when one is doubled, or a needed one is missing."""
    written = header(path, delimiter)
    if not any(map(plain, written)):
        raise DataError(f"{path}: the file is empty, or its first line is; it must name the columns")
    names = _plain_names(path, written)
    _require_columns(path, needed, names)
    return names


def _plain_names(path: Path, written: Sequence[str]) -> list[str]:
    names = [plain(name) for name in written]
    for place, name in enumerate(names):
        if name and name in names[:place]:
            raise DataError(
                f"{path}, row 1, column '{name}': occurs twice in the header "
                f"(columns {names.index(name) + 1} and {place + 1}); rename one"
            )
    return names


def _scan_csv(path: Path, delimiter: str, needed: Sequence[str], only_needed: bool) -> Scan:
    names = csv_header(path, delimiter, needed)
    wanted = list(dict.fromkeys(needed)) if only_needed else [name for name in names if name]
    places = [str(place) for place in range(len(names))]  # names of ours: those of the file may be empty
    raw = pl.scan_csv(path.absolute(), glob=False, separator=delimiter, infer_schema=False, new_columns=places)
    frame = raw.select(pl.col(str(names.index(name))).alias(name) for name in wanted)
    return Scan(path, frame, pl.Schema(dict.fromkeys(wanted, pl.String)), 2, delimiter, len(names))


def _require_columns(path: Path, needed: Sequence[str], names: Sequence[str]) -> None:
    for name in needed:
        if name not in names:
            lower = {known.lower(): known for known in names}
            close = difflib.get_close_matches(name.lower(), lower, n=1)
            hint = f"; perhaps you meant '{lower[close[0]]}'" if close else ""
            other = next((mark for mark in (";", "\t", "|", ",") if len(names) == 1 and mark in names[0]), None)
            if other is not None:
                hint = f"; its header is separated by {other!r}: write .csv files with ',' and .tsv files with tabs"
            raise NoColumnError(f"{path}: there is no column '{name}'{hint}; columns: {', '.join(names)}", name)
