"""Find the files of a log from paths, folders and patterns, in an order that does not depend on the machine."""

import glob
from collections.abc import Sequence
from pathlib import Path

from darlr.data.tabular.file import KNOWN, suffix_of
from darlr.errors import DataError
from darlr.io.places import below, refuse_address, require_readable

MAGIC = "*?["  # characters that make a name a pattern
NAMED = 3  # files left out that a note names


def log_files(named: Path | Sequence[Path], option: str = "log") -> tuple[tuple[Path, ...], list[str]]:
    """Every file that `named` stands for, and notes on what was left out of folders and patterns.

    A file is taken as given; of folders and patterns those of a known kind are taken, by name. Linked folders are
    followed, and a file that links reach twice counts once. Hidden names and those that start with "_" are no data, as
    in the folders that Spark writes. Raises DataError when nothing is named, a folder or pattern has no such file,
    a folder cannot be read, a link leads nowhere, or one file is named twice.
    """
    found: list[Path] = []
    notes: list[str] = []
    for path in [named] if isinstance(named, Path) else named:
        refuse_address(path)
        files, left = _files(path)
        found += files
        notes += [f"{path}: left out {_listed(left)}, hidden or of no known kind"] if left else []
    if not found:
        raise DataError(f"option {option}: names no file")
    seen: set[Path] = set()
    for file in found:
        if file.resolve() in seen:
            raise DataError(f"{file}: is named twice; its events would count twice")
        seen.add(file.resolve())
    return tuple(found), notes


def log_name(named: Path | Sequence[Path]) -> str:
    """The name of a data set that nobody named: that of the first file or folder, or what precedes a pattern."""
    first = named if isinstance(named, Path) else named[0]
    stem = first.resolve().name.split(".")[0]
    for character in MAGIC:
        stem = stem.split(character)[0]
    return stem.strip(" -_") or first.resolve().parent.name or "log"


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    """The files that one path stands for, and the files that it finds besides and leaves out."""
    if path.is_dir():
        found, left = _inside(path)
        verb = "the folder holds"
    elif path.exists() or not any(character in str(path) for character in MAGIC):
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
