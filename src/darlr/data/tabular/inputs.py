"""What a log or a table of features is read from: files, folders, patterns and frames, several of them in one order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from darlr.data.tabular.file import scan_file, whole
from darlr.data.tabular.frames import ACCEPTED, is_frame, scan_frame
from darlr.data.tabular.paths import MAGIC, log_files, log_name
from darlr.data.tabular.table import Scan, Table, unreadable
from darlr.errors import DataError

FRAME = "frame"  # what errors call the frame of events


def open_log(source: Any, needed: Sequence[str]) -> tuple[tuple[Scan, ...], list[str], str]:
    """The needed columns of every file or frame of a log, notes on files that were left out, and a name for the log."""
    parts = _parts(source, "log")
    if not isinstance(parts[0], Path):
        return tuple(_frames(parts, FRAME, needed, True)), [], "events"
    files, notes = log_files(parts)
    return tuple(scan_file(path, needed, True) for path in files), notes, log_name(parts)


def open_features(source: Any, side: str, needed: Sequence[str]) -> Table:
    """All columns of the table of users or items (`side`); several files or frames are put below each other."""
    parts = _parts(source, side)
    if isinstance(parts[0], Path):
        files = parts if len(parts) == 1 and not _stands_for_several(parts[0]) else log_files(parts, side)[0]
        scans = [scan_file(path, needed, False) for path in files]
    else:
        scans = _frames(parts, f"frame of {side}", needed, False)
    tables = [whole(scan) for scan in scans]
    if len(tables) == 1:
        return tables[0]
    name = several([table.name for table in tables])
    try:
        frame = pl.concat([table.frame for table in tables], how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise unreadable(name, error) from error
    return Table(name, frame, 0, tuple(tables))


def several(names: Sequence[str]) -> str:
    """What errors call a log of these files or frames."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _parts(source: Any, option: str) -> list[Any]:
    """The paths or frames that `source` names, at least one; raises DataError where it names anything else."""
    parts = list(source) if isinstance(source, list | tuple) else [source]
    if not parts:
        raise DataError(f"option {option}: names no file")
    if all(isinstance(part, str | Path) for part in parts):
        return [Path(part) for part in parts]
    for part in parts:
        if not is_frame(part):
            raise DataError(f"option {option}: must be {ACCEPTED}, not {type(part).__name__}")
    return parts


def _frames(parts: Sequence[Any], name: str, needed: Sequence[str], only_needed: bool) -> list[Scan]:
    names = [name] if len(parts) == 1 else [f"{name} {place}" for place in range(len(parts))]
    return [scan_frame(part, called, needed, only_needed) for part, called in zip(parts, names, strict=True)]


def _stands_for_several(path: Path) -> bool:
    return path.is_dir() or (not path.exists() and any(mark in str(path) for mark in MAGIC))
