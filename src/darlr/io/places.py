"""Whether files and folders can be read and written, and what lies below a folder."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from darlr.errors import DataError, RunError

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)/+(.*)")  # two letters or more, because C:/ is a path


def refuse_address(path: Path | str) -> None:
    """Raise DataError for an address such as s3://... (a Path keeps one of its slashes), or for a name not in UTF-8."""
    full = str(Path(path).absolute())
    try:
        full.encode()
    except UnicodeEncodeError:
        raise DataError(f"{full}: the name is not valid UTF-8, so that the file cannot be opened; rename it") from None
    address = address_of(path)
    if address:
        raise DataError(
            f"{address}: is an address, and only files and folders of this machine are read and written; "
            "copy the data here and name their path"
        )


def address_of(path: Path | str) -> str | None:
    """The address, such as s3://bucket/log.csv, that is meant by a path, which keeps one of its slashes; or None."""
    found = ADDRESS.match(str(path))
    if not found or Path(found[1]).exists():
        return None
    scheme, rest = found.groups()
    return f"{scheme}//{'/' * (scheme.lower() == 'file:')}{rest}"  # a file:/// has no host


def own_folder(variable: str, *below_home: str) -> Path:
    """The folder of this program among the user's own files.

    variable, below_home: of the XDG base directories, such as XDG_CACHE_HOME and .cache; Windows has one place for all.
    Raises RuntimeError where the user has no home folder, as in containers: no HOME, and a user id without a name.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    else:
        base = os.environ.get(variable) or str(Path.home().joinpath(*below_home))
    return Path(base) / "darlr"


def first_existing(folder: Path) -> Path:
    """The folder itself if it exists, otherwise the nearest folder above it that does."""
    place = Path(os.path.abspath(folder))
    while not os.path.lexists(place):
        place = place.parent
    return place


def require_writable(folder: Path) -> None:
    """Raise RunError unless files can be written in `folder`, or it can be made where it does not exist."""
    place = first_existing(folder)
    try:
        if not place.is_dir():
            raise NotADirectoryError(f"{place} is no folder")
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b" ")
            file.flush()
    except OSError as error:
        raise RunError(
            f"{folder}: cannot be written to ({error.strerror or error}); choose another folder (option out)"
        ) from error


def require_readable(place: Path) -> None:
    """Raise DataError where `place` is a folder that cannot be read."""
    if place.is_dir():
        try:
            os.scandir(place).close()
        except OSError as error:
            _unreadable(error)


def below(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """`folder` and each folder below it, with its folders and files by name. Links are followed, each folder once.

    A folder that the caller removes from the list is skipped. Raises DataError at a folder that cannot be read.
    """
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, onerror=_unreadable, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield Path(place), folders, sorted(files)


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from error
