"""Read a text file line by line, which is slow: its header, and the line where it is broken."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import polars as pl

from darlr.errors import DataError

ZSTD = b"\x28\xb5\x2f\xfd"  # how a zstd file starts
NEVER = "\x1f"  # a delimiter that no table has: every line is one cell


def header(path: Path, delimiter: str) -> list[str]:
    """Cells of the first line; raises DataError when it is not UTF-8 or cannot be unpacked."""
    return next(_rows(path, delimiter), [])


def count_lines(path: Path) -> tuple[int, int]:
    """Lines of the file, with its header, and those with a quotation mark after a backslash; streamed."""
    escaped = pl.col("line").str.contains('\\"', literal=True).sum()
    lines, marks = _lines(path).select(pl.len(), escaped).collect(engine="streaming").row(0)
    return lines, marks


def explain(path: Path, delimiter: str, width: int, error: Exception, source: str = "the header names") -> NoReturn:
    """Raise DataError at the first row that is not UTF-8, too wide, or leaves a quotation mark open. If there is no
    such row, the error of the library is passed on. source: what names the `width` columns.
    """
    for number, row in enumerate(_rows(path, delimiter), 1):
        if len(row) > width:
            raise DataError(f"{path}, row {number}: {len(row)} values where {source} {width} columns")
    for number, line in enumerate(_decoded(path), 1):
        if line.count('"') % 2:
            raise DataError(f"{path}, line {number}: an odd number of quotation marks; close or double the stray one")
    kind = f"a readable {delimiter!r}-separated file"
    raise DataError(f"{path}: is not {kind} ({first_line(error)}); is it whole?") from error


def first_line(error: Exception) -> str:
    """The first line of an error."""
    return str(error).strip().split("\n", 1)[0]


def _rows(path: Path, delimiter: str) -> Iterator[list[str]]:
    rows, line = csv.reader(_decoded(path), delimiter=delimiter, strict=True), 1
    try:
        for row in rows:
            yield row
            line = rows.line_num + 1
    except csv.Error as error:
        advice = "is a quotation mark left open, or escaped by a backslash? Inside quotes write two of them"
        raise DataError(f"{path}, line {line}: {error}; {advice}") from error


def _decoded(path: Path) -> Iterator[str]:
    try:
        for number, line in enumerate(_unpacked(path), 1):
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            if number == 1 and "\r" in text.rstrip("\r\n"):
                raise DataError(f"{path}: its lines end in a bare carriage return; convert it: tr '\\r' '\\n'")
            yield text
    except UnicodeDecodeError as error:
        before = line[: error.start].decode("utf-8", errors="replace")[-20:]
        raise DataError(
            f"{path}, line {number}: is not UTF-8 after '{before}'; save the file as UTF-8, "
            f"for example: iconv -f latin1 -t utf-8"
        ) from error
    except (OSError, EOFError, zlib.error, pl.exceptions.PolarsError) as error:
        kind = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower(), "readable")
        raise DataError(f"{path}: is not a whole {kind} file ({first_line(error)}); fetch or pack it again") from error


def _unpacked(path: Path) -> Iterator[bytes]:
    """Lines as bytes. Python has no zstd before 3.14, so polars unpacks that."""
    if path.suffix.lower() == ".zst":
        with path.open("rb") as raw:
            if raw.read(len(ZSTD)) != ZSTD:
                raise OSError("it does not start like one")
        for batch in _lines(path).collect_batches(maintain_order=True):
            for line in batch.to_series():
                yield ((line or "") + "\n").encode()
        return
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as raw:
        yield from raw


def _lines(path: Path) -> pl.LazyFrame:
    return pl.scan_csv(
        path.absolute(), glob=False, separator=NEVER, quote_char=None, has_header=False, schema={"line": pl.String}
    )
