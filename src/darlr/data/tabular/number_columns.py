"""Number columns of a CSV file that is too large for strings, read in one pass; faults are looked for afterwards."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import polars as pl

from darlr.data.tabular.file import csv_header, require_file
from darlr.data.tabular.table import EVERY, Table
from darlr.data.tabular.text import explain
from darlr.errors import DataError

ROW = "row of the file"  # no column is called so


def scan_numbers(path: Path, kinds: Mapping[str, type[pl.DataType]]) -> Table:
    """The columns named in `kinds`, each as its kind of number, in the order of the file; null where a cell is empty.

    Nothing else of the file is held in memory. Numbers beyond a float are infinite. Raises DataError when the file is
    missing, empty, ragged or badly encoded, a column is missing, or, with row and column, a cell is no such number.
    """
    require_file(path)
    names = csv_header(path, ",", list(kinds))
    unique = [name or f"unnamed {place}" for place, name in enumerate(names)]
    text = partial(pl.scan_csv, path.absolute(), glob=False, infer_schema=False, new_columns=unique)
    try:
        frame = text(schema_overrides=dict(kinds)).select(*kinds).collect(engine="streaming", optimizations=EVERY)
    except (OSError, pl.exceptions.PolarsError) as error:
        _locate(text(), path, kinds)
        explain(path, ",", len(names), error)
    if frame.is_empty():
        raise DataError(f"{path}: the file has no rows")
    return Table(str(path), frame, first_row=2)


def _locate(text: pl.LazyFrame, path: Path, kinds: Mapping[str, type[pl.DataType]]) -> None:
    """Raise DataError at the first cell that is no number of its kind; return when there is none to be found."""
    bad = {
        name: pl.col(name).is_not_null() & pl.col(name).str.strip_chars().cast(kind, strict=False).is_null()
        for name, kind in kinds.items()
    }
    first = text.select(*kinds).with_row_index(ROW).filter(pl.any_horizontal(*bad.values())).head(1)
    try:
        found = first.collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError):
        return
    for name, kind in kinds.items():
        if found.height and found.select(bad[name]).item():
            wanted = "whole number below 2^31" if kind.is_integer() else "number"
            Table(str(path), found, first_row=2).fail(found[ROW][0], name, f"'{found[name][0]}' is not a {wanted}")
