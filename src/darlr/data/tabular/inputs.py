"""Find and open what a log or a table of features is read from: files, and frames of polars, pandas or Arrow."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from darlr.data.tabular.address import scan_address
from darlr.data.tabular.file import KNOWN, plain_names, plainly_named, scan_file, suffix_of, whole
from darlr.data.tabular.table import Scan, Table, stacked, unreadable
from darlr.data.tabular.text import first_line
from darlr.errors import DataError
from darlr.io.places import address_of, below, refuse_address, require_readable

NAMED = 3  # files left out that a note names
ACCEPTED = "paths, a polars or pandas frame, or an Arrow table"


def open_log(source: Any, needed: Sequence[str]) -> tuple[tuple[Scan, ...], list[str], str]:
    """The needed columns of every file or frame of a log, notes on files that were left out, and a name for the log."""
    parts = _parts(source, "log")
    if not isinstance(parts[0], Path):
        return tuple(_frames(parts, "frame", needed, True)), [], "events"
    files, notes = log_files(parts)
    return tuple(_scan(path, needed, True) for path in files), notes, _log_name(parts[0])


def open_features(source: Any, side: str, needed: Sequence[str]) -> Table:
    """All columns of the table of users or items (`side`); several files or frames are put below each other."""
    parts = _parts(source, side)
    if isinstance(parts[0], Path):
        scans = [_scan(path, needed, False) for path in log_files(parts)[0]]
    else:
        scans = _frames(parts, f"frame of {side}", needed, False)
    return stacked([whole(scan) for scan in scans])


def _scan(path: Path, needed: Sequence[str], only_needed: bool) -> Scan:
    address = address_of(path)
    return scan_address(address, needed, only_needed) if address else scan_file(path, needed, only_needed)


def _parts(source: Any, option: str) -> list[Any]:
    """The paths or frames that `source` names, at least one; raises DataError where it names anything else."""
    parts = list(source) if isinstance(source, list | tuple) else [source]
    if not parts:
        raise DataError(f"option {option}: names no file")
    if all(isinstance(part, str | Path) for part in parts):
        return [Path(part) for part in parts]
    for part in parts:
        if not (isinstance(part, pl.LazyFrame) or _is_pandas(part) or hasattr(part, "__arrow_c_stream__")):
            raise DataError(f"option {option}: must be {ACCEPTED}, not {type(part).__name__}")
    return parts


def _frames(parts: Sequence[Any], name: str, needed: Sequence[str], only_needed: bool) -> list[Scan]:
    names = [name] if len(parts) == 1 else [f"{name} {place}" for place in range(len(parts))]
    return [_scan_frame(part, called, needed, only_needed) for part, called in zip(parts, names, strict=True)]


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
    """A pandas frame, or an object with the C interface of Arrow, as a polars frame."""
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


def log_files(named: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Every file of these paths, folders and patterns, in an order that does not depend on the machine, and notes.

    A file is taken as given. Of folders and patterns the files of a known kind are taken, sorted by name; notes name
    the others. Linked folders are followed, and a file that several links lead to counts once. Hidden names and those
    that start with "_" are no data, as in the folders that Spark writes. Raises DataError when a folder or pattern has
    no such file, a folder cannot be read, a link leads nowhere, or one file is named twice.
    """
    found: list[Path] = []
    notes: list[str] = []
    for path in named:
        if address_of(path):  # polars finds what a pattern there means
            found.append(path)
            continue
        refuse_address(path)
        files, left = _files(path)
        found += files
        notes += [f"{path}: left out {_listed(left)}, hidden or of no known kind"] if left else []
    seen: set[Path] = set()
    for file in found:
        if file.resolve() in seen:
            raise DataError(f"{file}: is named twice; its events would count twice")
        seen.add(file.resolve())
    return found, notes


def _log_name(first: Path) -> str:
    """The default name of a data set: that of its first file or folder, or the part of it before a pattern."""
    stem = re.split(r"[.*?[]", first.resolve().name)[0]
    return stem.strip(" -_") or first.resolve().parent.name or "log"


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    """The files that one path stands for, and the files that it finds besides and leaves out."""
    if path.is_dir():
        found, left = _inside(path)
        verb = "the folder holds"
    elif path.exists() or not glob.has_magic(str(path)):
        return [path], []
    else:
        found, left = _matching(path)
        verb = "the pattern finds"
    if not found:
        other = f", but {_listed(_once(left))}" if left else ""
        raise DataError(f"{path}: {verb} no file of a known kind ({KNOWN}){other}")
    return _once(found), _once(left)


def _once(paths: Sequence[Path]) -> list[Path]:
    """The paths sorted by name; of several links to one file only the first stays."""
    return sorted({path.resolve(): path for path in sorted(paths, reverse=True)}.values())


def _matching(pattern: Path) -> tuple[list[Path], list[Path]]:
    """`_inside` of what a pattern finds. An existing folder at the start of the pattern is taken literally."""
    start = next(parent for parent in pattern.parents if parent.exists())
    found: list[Path] = []
    left: list[Path] = []
    parts = pattern.relative_to(start).parts
    require_readable(start)
    for depth in range(1, len(parts)):  # glob passes over folders that it cannot read
        for name in glob.iglob(str(Path(*parts[:depth])), root_dir=start, recursive=True):
            require_readable(start / name)
    names = glob.glob(str(Path(*parts)), root_dir=start, recursive=True)
    for path in _once([start / name for name in names]):
        if path.is_dir() and not _hidden(path):
            files, others = _inside(path)
            found, left = found + files, left + others
        elif _is_data(path):
            found.append(path)
        else:
            left.append(path)
    return found, left


def _inside(folder: Path) -> tuple[list[Path], list[Path]]:
    """The data files below a folder; and the other files, hidden folders and hidden files of a known kind."""
    found: list[Path] = []
    left: list[Path] = []
    for place, folders, files in below(folder):
        left += (place / name for name in folders if _hidden(place / name))
        folders[:] = [name for name in folders if not _hidden(place / name)]
        for file in (place / name for name in files):
            if _hidden(file):
                left += [file] if suffix_of(file) else []
            else:
                (found if _is_data(file) else left).append(file)
    return found, left


def _is_data(file: Path) -> bool:
    """Whether it is a file of a known kind; raises DataError when it is a link to nothing."""
    if not file.exists():
        raise DataError(f"{file}: the link leads to no file; restore what it leads to, or remove it")
    return file.is_file() and suffix_of(file) is not None


def _hidden(path: Path) -> bool:
    return path.name.startswith((".", "_"))


def _listed(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
    return ", ".join(path.name for path in paths[:NAMED]) + more
