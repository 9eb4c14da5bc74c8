"""Which files a log is made of: files, folders and patterns, in an order that does not depend on the machine."""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from darlr.data.table_file import KNOWN, suffix_of
from darlr.errors import DataError

MAGIC = "*?["  # characters that make a name a pattern


def log_files(named: Path | Sequence[Path]) -> tuple[Path, ...]:
    """Every file that `named` stands for: files as given, in folders and patterns those of a known kind, by name.

    Hidden files and those below a name that starts with "_" are no data, as in the folders that Spark writes.
    Raises DataError when nothing is named, a folder or pattern has no such file, or one file is named twice.
    """
    found = [file for path in ([named] if isinstance(named, Path) else named) for file in _files(path)]
    if not found:
        raise DataError("option log: names no file")
    seen: set[Path] = set()
    for file in found:
        if file.resolve() in seen:
            raise DataError(f"{file}: is named twice; its events would count twice")
        seen.add(file.resolve())
    return tuple(found)


def log_name(named: Path | Sequence[Path]) -> str:
    """What a data set is called when nobody names it: the first file's or folder's name, or what precedes a pattern."""
    first = named if isinstance(named, Path) else named[0]
    stem = first.resolve().name.split(".")[0]
    for character in MAGIC:
        stem = stem.split(character)[0]
    return stem.strip(" -_") or first.resolve().parent.name or "log"


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        inside = (file for file in sorted(path.rglob("*")) if not _hidden(file.relative_to(path)))
        return _known(path, inside, "the folder holds")
    if path.exists() or not any(character in str(path) for character in MAGIC):
        return [path]
    return _known(path, map(Path, sorted(glob.glob(str(path), recursive=True))), "the pattern finds")


def _known(path: Path, files: Iterable[Path], verb: str) -> list[Path]:
    found = [file for file in files if file.is_file() and suffix_of(file)]
    if not found:
        raise DataError(f"{path}: {verb} no file of a known kind ({KNOWN})")
    return found


def _hidden(inside: Path) -> bool:
    return any(part.startswith((".", "_")) for part in inside.parts)
