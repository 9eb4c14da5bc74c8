"""Read one CSV, TSV or Parquet file, and say precisely what is wrong with it."""

import csv
import difflib
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import polars as pl

from darlr.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t", ".csv.gz": ",", ".tsv.gz": "\t"}
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


def read_file(path: Path, needed: Sequence[str], only_needed: bool) -> Table:
    """The file's columns (all, or only those `needed`); CSV cells as strings, null where empty.

    Raises DataError when the file is missing, empty, badly encoded or ragged, or a column is missing or doubled.
    """
    require_file(path)
    suffix = next((s for s in (*DELIMITERS, ".parquet") if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise DataError(f"{path}: unknown kind of file; known: {KNOWN}")
    if suffix == ".parquet":
        frame, first_row = _read_parquet(path, needed, only_needed), 1
    else:
        frame, first_row = _read_csv(path, DELIMITERS[suffix], needed, only_needed), 2
    if frame.is_empty():
        raise DataError(f"{path}: the file has no rows")
    return Table(path, frame, first_row)


def require_file(path: Path) -> None:
    """Raise DataError unless there is a file with something in it."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a file ({KNOWN})")
    if not path.is_file():
        raise DataError(f"{path}: file not found")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")


def read_plain_file(path: Path, names: Sequence[str]) -> Table:
    """A tab-separated file without a header line, its columns called `names`; cells as strings, null where empty.

    Raises DataError when the file is missing, empty, badly encoded or has too wide a row.
    """
    require_file(path)
    first = next(_rows(path, "\t"), [])
    if not first:
        raise DataError(f"{path}: its first line is empty")
    if len(first) != len(names):
        raise DataError(f"{path}, row 1: {len(first)} values; expected {', '.join(names)}, with tabs between them")
    try:
        schema = dict.fromkeys(names, pl.String)
        frame = pl.read_csv(path, separator="\t", has_header=False, schema=schema, quote_char=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        explain(path, "\t", len(names), error, "the layout has")
    return Table(path, frame, first_row=1)


def _read_parquet(path: Path, needed: Sequence[str], only_needed: bool) -> pl.DataFrame:
    try:
        names = list(pl.read_parquet_schema(path))
        _require_columns(path, needed, names)
        return pl.read_parquet(path, columns=list(dict.fromkeys(needed)) if only_needed else None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: is not a readable Parquet file ({_first_line(error)})") from error


def csv_header(path: Path, delimiter: str, needed: Sequence[str]) -> list[str]:
    """Names of the columns, trimmed; raises DataError when one is doubled, or one that is needed is missing."""
    names = [name.strip() for name in next(_rows(path, delimiter), [])]
    if not any(names):
        raise DataError(f"{path}: the file is empty")
    for place, name in enumerate(names):
        if name and name in names[:place]:
            raise DataError(
                f"{path}, row 1, column '{name}': occurs twice in the header "
                f"(columns {names.index(name) + 1} and {place + 1}); rename one"
            )
    _require_columns(path, needed, names)
    return names


def _read_csv(path: Path, delimiter: str, needed: Sequence[str], only_needed: bool) -> pl.DataFrame:
    names = csv_header(path, delimiter, needed)
    wanted = list(dict.fromkeys(needed)) if only_needed else [name for name in names if name]
    places = [names.index(name) for name in wanted]
    try:
        frame = pl.read_csv(path, separator=delimiter, infer_schema=False, columns=places)
    except (OSError, EOFError, pl.exceptions.PolarsError) as error:
        explain(path, delimiter, len(names), error)
    # polars returns the chosen columns in file order, under its own names
    in_order = sorted(zip(places, wanted, strict=True))
    return frame.rename(dict(zip(frame.columns, (name for _, name in in_order), strict=True))).select(wanted)


def _require_columns(path: Path, needed: Sequence[str], names: Sequence[str]) -> None:
    for name in needed:
        if name not in names:
            lower = {known.lower(): known for known in names}
            close = difflib.get_close_matches(name.lower(), lower, n=1)
            hint = f"; perhaps you meant '{lower[close[0]]}'" if close else ""
            raise DataError(f"{path}: there is no column '{name}'{hint}; columns: {', '.join(names)}")


def _rows(path: Path, delimiter: str) -> Iterator[list[str]]:
    """Rows of a CSV file by the standard library: slow, for the header and for finding errors."""
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as raw:
        lines = _decoded(path, raw)
        try:
            yield from csv.reader(lines, delimiter=delimiter, strict=True)
        except (gzip.BadGzipFile, EOFError) as error:
            raise DataError(f"{path}: is not a whole gzip file ({error})") from error
        except csv.Error as error:
            raise DataError(f"{path}: {error}; is a quotation mark left open?") from error


def _decoded(path: Path, raw: io.IOBase | gzip.GzipFile) -> Iterator[str]:
    for number, line in enumerate(raw, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            before = line[: error.start].decode("utf-8", errors="replace")[-20:]
            raise DataError(
                f"{path}, line {number}: is not UTF-8 after '{before}'; save the file as UTF-8, "
                f"for example: iconv -f latin1 -t utf-8"
            ) from error


def explain(path: Path, delimiter: str, width: int, error: Exception, source: str = "the header names") -> NoReturn:
    """Raise DataError at the first row that is not UTF-8 or too wide; where there is none, with the library's error."""
    for number, row in enumerate(_rows(path, delimiter), 1):
        if len(row) > width:
            raise DataError(f"{path}, row {number}: {len(row)} values where {source} {width} columns")
    raise DataError(f"{path}: is not a readable {delimiter!r}-separated file ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
