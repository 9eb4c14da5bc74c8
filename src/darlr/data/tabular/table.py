"""Columns of a file or frame, read or still to be read, that can say where each of their rows stands."""

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import polars as pl

from darlr.data.tabular.text import count_lines, explain, first_line
from darlr.errors import DataError

EVERY = pl.QueryOptFlags(projection_pushdown=False)  # otherwise polars does not see faults in columns nobody asked for


class NoColumnError(DataError):
    """A file or frame lacks a column that is needed."""

    def __init__(self, problem: str, column: str) -> None:
        super().__init__(problem)
        self.column = column


@dataclass(frozen=True)
class Table:
    """The columns of a file, of several files, or of a frame.

    name: the path of the file, or what errors call the frame. first_row: the number that errors give the first row. It
    is 2 below the header line of a text file, 1 in a Parquet file, and 0 in a frame. parts: the single files, if the
    rows of several stand below each other.
    """

    name: str
    frame: pl.DataFrame
    first_row: int
    parts: "tuple[Table, ...]" = ()

    def fail(self, row: int, column: str, problem: str) -> NoReturn:
        """Raise DataError about a cell; `row` counts from 0."""
        raise DataError(f"{self.at(row)}, column '{column}': {problem}")

    @property
    def short(self) -> str:
        """The name of the file without its folder, or of the frame."""
        return Path(self.name).name

    def at(self, row: int) -> str:
        """The file and row as errors and reports give them; `row` counts from 0."""
        for part in self.parts:
            if row < part.frame.height:
                return part.at(row)
            row -= part.frame.height
        return f"{self.name}, row {row + self.first_row}"


@dataclass(frozen=True)
class Text:
    """A text file of separated columns. width: the number of columns in its header."""

    path: Path
    delimiter: str
    width: int


@dataclass(frozen=True)
class Scan:
    """Columns that are not read yet. name, first_row: as in `Table`. text: None for Parquet files and for frames."""

    name: str
    frame: pl.LazyFrame
    schema: pl.Schema
    first_row: int
    text: Text | None = None

    @property
    def kind(self) -> str:
        """Whether it is a "file" or a "frame"."""
        return "file" if self.first_row else "frame"

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Stream the answer to a query of `frame`; raises DataError, with the line where it is known, if it fails."""
        try:
            return query.collect(engine="streaming", optimizations=EVERY if self.text else pl.QueryOptFlags())
        except (OSError, pl.exceptions.PolarsError) as error:
            if self.text is None:
                raise unreadable(self.name, error) from error
            explain(self.text.path, self.text.delimiter, self.text.width, error)

    def quoting(self, rows: int) -> list[str]:
        """Notes on odd quotation marks in a text file of so many rows."""
        if self.text is None:
            return []
        lines, escaped = count_lines(self.text.path)
        found = (
            (lines - rows - 1, "line breaks inside quoted cells; a stray quotation mark does that too"),
            (escaped, 'lines with a backslash before a quotation mark; it escapes nothing: write "" inside quotes'),
        )
        return [f"{self.name}: {count:,} {what}" for count, what in found if count > 0]


def unreadable(name: str, error: Exception) -> DataError:
    """The error about a Parquet file or frame that polars cannot read."""
    if name.lower().endswith(".parquet"):
        return DataError(f"{name}: is not a readable Parquet file ({first_line(error)}); is it whole?")
    return DataError(f"{name}: cannot be read ({first_line(error)})")
