"""Frames that a program holds in memory: polars (also lazy), pandas, and Arrow tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from darlr.data.tabular.file import plain_names, require_columns
from darlr.data.tabular.table import Scan, unreadable
from darlr.data.tabular.text import first_line
from darlr.errors import DataError

ACCEPTED = "paths, a polars or pandas frame, or an Arrow table"


def is_frame(source: Any) -> bool:
    """Whether `source` is a frame or table that `scan_frame` reads."""
    return (
        isinstance(source, pl.DataFrame | pl.LazyFrame) or _is_pandas(source) or hasattr(source, "__arrow_c_stream__")
    )


def scan_frame(source: Any, name: str, needed: Sequence[str], only_needed: bool) -> Scan:
    """The columns of a frame, all of them or only those `needed`. name: what errors call it. Rows count from 0.

    A lazy frame is collected here, once, so that all of its columns come in the same order of rows. Raises DataError
    when a column is missing, or two names differ in spaces alone.
    """
    try:
        frame = source if isinstance(source, pl.DataFrame | pl.LazyFrame) else _converted(source)
        written = frame.collect_schema().names()
        names = plain_names(name, written)
        require_columns(name, needed, names)
        if names != written:
            frame = frame.rename(dict(zip(written, names, strict=True)))
        frame = frame.select(list(dict.fromkeys(needed))) if only_needed else frame
        held = frame.lazy().collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unreadable(name, error) from error
    return Scan(name, held.lazy(), held.schema, 0)


def _is_pandas(source: Any) -> bool:
    return type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "columns")


def _converted(source: Any) -> pl.DataFrame:
    """A pandas frame, or whatever speaks Arrow's C interface, as a polars frame."""
    if not _is_pandas(source):
        return pl.DataFrame(source)
    names = [str(name) for name in source.columns]
    plain_names("frame", names)  # pandas allows a name twice, polars does not
    return pl.DataFrame([_column(name, source.iloc[:, place]) for place, name in enumerate(names)])


def _column(name: str, column: Any) -> pl.Series:
    """A column of a pandas frame, null where pandas has NaN, NaT, NA or None. pyarrow is not needed."""
    if getattr(column.dtype, "tz", None) is not None:
        return pl.Series(name, column.to_numpy(dtype="datetime64[ns]")).dt.replace_time_zone("UTC")
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biufM":
        return pl.Series(name, column.to_numpy(), nan_to_null=True)
    values = [None if missing else value for value, missing in zip(column, column.isna(), strict=True)]
    kinds = {type(value) for value in values if value is not None}
    try:
        if len(kinds) > 1 and str in kinds:  # as in a text file, where numbers and words share a column
            return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
        return pl.Series(name, values, strict=False)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise DataError(f"frame, column '{name}': cannot be read ({first_line(error)})") from error
