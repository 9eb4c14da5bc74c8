"""Open what a log or a table of features is read from: paths, and frames of polars, pandas or Arrow, in one order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from darlr.data.tabular.file import plain_names, plainly_named, scan_file, whole
from darlr.data.tabular.paths import log_files, log_name
from darlr.data.tabular.table import Scan, Table, stacked, unreadable
from darlr.data.tabular.text import first_line
from darlr.errors import DataError

ACCEPTED = "paths, a polars or pandas frame, or an Arrow table"


def open_log(source: Any, needed: Sequence[str]) -> tuple[tuple[Scan, ...], list[str], str]:
    """The needed columns of every file or frame of a log, notes on files that were left out, and a name for the log."""
    parts = _parts(source, "log")
    if not isinstance(parts[0], Path):
        return tuple(_frames(parts, "frame", needed, True)), [], "events"
    files, notes = log_files(parts)
    return tuple(scan_file(path, needed, True) for path in files), notes, log_name(parts)


def open_features(source: Any, side: str, needed: Sequence[str]) -> Table:
    """All columns of the table of users or items (`side`); several files or frames are put below each other."""
    parts = _parts(source, side)
    if isinstance(parts[0], Path):
        scans = [scan_file(path, needed, False) for path in log_files(parts, side)[0]]
    else:
        scans = _frames(parts, f"frame of {side}", needed, False)
    return stacked([whole(scan) for scan in scans])


def _parts(source: Any, option: str) -> list[Any]:
    """The paths or frames that `source` names, at least one; raises DataError where it names anything else."""
    parts = list(source) if isinstance(source, list | tuple) else [source]
    if not parts:
        raise DataError(f"option {option}: names no file")
    if all(isinstance(part, str | Path) for part in parts):
        return [Path(part) for part in parts]
    for part in parts:
        if not _is_frame(part):
            raise DataError(f"option {option}: must be {ACCEPTED}, not {type(part).__name__}")
    return parts


def _frames(parts: Sequence[Any], name: str, needed: Sequence[str], only_needed: bool) -> list[Scan]:
    names = [name] if len(parts) == 1 else [f"{name} {place}" for place in range(len(parts))]
    return [_scan_frame(part, called, needed, only_needed) for part, called in zip(parts, names, strict=True)]


def _is_frame(source: Any) -> bool:
    return isinstance(source, pl.LazyFrame) or _is_pandas(source) or hasattr(source, "__arrow_c_stream__")


def _scan_frame(source: Any, name: str, needed: Sequence[str], only_needed: bool) -> Scan:
    """The columns of a frame, all of them or only those `needed`. name: what errors call it. Rows count from 0.

    A lazy frame is collected here, once, so that all of its columns come in the same order of rows. Raises DataError
    when a column is missing, or two names differ in spaces alone.
    """
    try:
        frame = source if isinstance(source, pl.DataFrame | pl.LazyFrame) else _converted(source)
        held = plainly_named(frame.lazy(), name, needed, only_needed).collect(engine="streaming")
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
