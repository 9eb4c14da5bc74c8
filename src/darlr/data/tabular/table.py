"""Columns of a file or frame, read or still to be read. They know the place of each of their rows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl

from darlr.data.log import Mask
from darlr.data.report import Dropped
from darlr.data.tabular.text import count_lines, explain, first_line
from darlr.errors import DataError
from darlr.io.places import address_of

EVERY = pl.QueryOptFlags(projection_pushdown=False)  # otherwise polars skips faults in columns that are not selected


HEAD = 2**16  # bytes of a text file by which its rows are estimated


class NoColumnError(DataError):
    """A file or frame lacks a column that is needed."""

    def __init__(self, problem: str, column: str) -> None:
        super().__init__(problem)
        self.column = column


class Rows(ABC):
    """Rows that know where they stand: those of a `Table`, or the events of several files. They count from 0."""

    @abstractmethod
    def at(self, row: int) -> str:
        """The file and row as errors and reports give them."""

    def fail(self, row: int, column: str, problem: str) -> NoReturn:
        """Raise DataError about a cell."""
        raise DataError(f"{self.at(row)}, column '{column}': {problem}")

    def refuse(self, wrong: Mask | pl.Series, column: str, problem: Callable[[int], str]) -> None:
        """Raise DataError about the first cell that is wrong, bool [rows]; null is not wrong."""
        rows = pl.Series(wrong).arg_true()
        if len(rows):
            self.fail(rows[0], column, problem(rows[0]))

    def dropped(self, reason: str, gone: Mask) -> Dropped:
        """The rows that are dropped for this reason, bool [rows], as reports give them."""
        return Dropped(reason, int(gone.sum()), self.at(int(gone.argmax())) if gone.any() else "")

    def without(self, reasons: Mapping[str, Mask]) -> tuple[Mask, list[Dropped]]:
        """Rows that stay, bool [rows], and those dropped for each reason. A row with several counts for the first."""
        gone, dropped = np.zeros_like(next(iter(reasons.values()))), []
        for reason, mask in reasons.items():
            dropped.append(self.dropped(reason, mask & ~gone))
            gone |= mask
        return ~gone, [one for one in dropped if one.count]


@dataclass(frozen=True)
class Table(Rows):
    """The columns of a file, of several files, or of a frame.

    name: the path of the file, or what errors call the frame. first_row: the number that errors give the first row. It
    is 2 below the header line of a text file, 1 in a Parquet file, and 0 in a frame. parts: the single files, if the
    rows of several stand below each other.
    """

    name: str
    frame: pl.DataFrame
    first_row: int
    parts: "tuple[Table, ...]" = ()

    def at(self, row: int) -> str:
        """The file and row as errors and reports give them."""
        for part in self.parts:
            if row < part.frame.height:
                return part.at(row)
            row -= part.frame.height
        return f"{self.name}, row {row + self.first_row}"


def stacked(tables: Sequence[Table]) -> Table:
    """One table with the rows of all of them below each other. Raises DataError when types of a column disagree."""
    if len(tables) == 1:
        return tables[0]
    name = several([table.name for table in tables])
    try:
        return Table(name, pl.concat([table.frame for table in tables], how="diagonal_relaxed"), 0, tuple(tables))
    except pl.exceptions.PolarsError as error:
        raise unreadable(name, error) from error


def several(names: Sequence[str]) -> str:
    """The name of a log of these files or frames in errors."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


@dataclass(frozen=True)
class Text:
    """The layout of a text file of `width` columns. source: what determines their number, for errors."""

    delimiter: str
    width: int
    source: str = "the header names"


@dataclass(frozen=True)
class Scan(Rows):
    """Columns that are not read yet. name, first_row: as in `Table`. text: None for Parquet files and for frames."""

    name: str
    frame: pl.LazyFrame
    schema: pl.Schema
    first_row: int
    text: Text | None = None

    def at(self, row: int) -> str:
        """The file and row as errors and reports give them."""
        return f"{self.name}, row {row + self.first_row}"

    @property
    def kind(self) -> str:
        """Whether it is a "file" or a "frame"."""
        return "file" if self.first_row else "frame"

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Stream the answer to a query of `frame`; raises DataError, with the line where it is known, if it fails."""
        try:
            return query.collect(engine="streaming", optimizations=EVERY if self.text else pl.QueryOptFlags())
        except (OSError, pl.exceptions.PolarsError) as error:
            if address_of(self.name):
                raise far(self.name, error) from error
            if self.text is None:
                raise unreadable(self.name, error) from error
            explain(Path(self.name), self.text.delimiter, self.text.width, error, self.text.source)

    def rows(self) -> int:
        """The number of rows, of a text file estimated by its first lines; 0 where it is not known at once."""
        if self.text is None:
            return int(self.collect(self.frame.select(pl.len())).item())
        if address_of(self.name) or not self.name.lower().endswith((".csv", ".tsv")):
            return 0
        with Path(self.name).open("rb") as file:
            first = file.read(HEAD)
        return Path(self.name).stat().st_size * first.count(b"\n") // len(first)

    def quoting(self, rows: int) -> list[str]:
        """Notes on odd quotation marks in a text file of so many rows."""
        if self.text is None or address_of(self.name):
            return []
        lines, escaped = count_lines(Path(self.name))
        found = (
            (lines - rows - 1, "line breaks inside quoted cells; a stray quotation mark does that too"),
            (escaped, 'lines with a backslash before a quotation mark; it escapes nothing: write "" inside quotes'),
        )
        return [f"{self.name}: {count:,} {what}" for count, what in found if count > 0]


def far(address: str, error: Exception) -> DataError:
    """The error about an address that polars cannot read."""
    return DataError(
        f"{address}: cannot be read ({first_line(error)}); check the address and the network, and that the access "
        "is set as the tools of the cloud expect it, for example in AWS_ACCESS_KEY_ID; or copy the files here"
    )


def unreadable(name: str, error: Exception) -> DataError:
    """The error about a Parquet file or frame that polars cannot read."""
    if name.lower().endswith(".parquet"):
        return DataError(f"{name}: is not a readable Parquet file ({first_line(error)}); is it whole?")
    return DataError(f"{name}: cannot be read ({first_line(error)})")
