"""Files that are either the old one or the new one, whole, whenever the process is killed."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from darlr.errors import DarlrError, DataError, RunError

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)/+(.*)")  # of two letters or more: C:/ is a path


@contextlib.contextmanager
def naming(
    path: Path, failures: tuple[type[Exception], ...] = (OSError,), kind: type[DarlrError] = RunError
) -> Iterator[None]:
    """Raise an error of `kind` that names `path` where writing it fails. failures: how that shows."""
    try:
        yield
    except failures as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise kind(
            f"{path}: cannot be written ({why}); make room or choose another folder. What was whole before still is"
        ) from error


def require_writable(folder: Path) -> None:
    """Raise RunError unless files can be made in `folder`, or, where it is not there yet, the folder itself can be."""
    place = Path(os.path.abspath(folder))
    while not os.path.lexists(place):
        place = place.parent
    try:
        if not place.is_dir():
            raise NotADirectoryError(f"{place} is no folder")
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b" ")
            file.flush()
    except OSError as error:
        raise RunError(
            f"{folder}: cannot be written to ({error.strerror or error}); choose another folder with --out"
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, in a hidden folder beside the target; at the end it is flushed to disk and renamed over it.

    Raises RunError, naming `path`, when that fails; the file that was there before is then still there.
    """
    with naming(path):
        # a folder of its own: whatever else a writer leaves when it is killed is found again
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
        try:
            draft = folder / path.name
            yield draft
            sync(draft)
            os.chmod(draft, _mode(path))
            os.replace(draft, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        _sync_folder(path.parent)


@contextlib.contextmanager
def drafting(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder`, to write in and to move from; it is gone at the end, and errors name `folder`.

    It has one name, so that a killed writer's draft is found again.
    """
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        with naming(folder):
            draft.mkdir(parents=True)
            yield draft
    except RunError as error:
        raise RunError(str(error).replace(str(draft), str(folder))) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def sync(path: Path) -> None:
    """Flush a file to disk; some file systems only say here that they are full."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, remedy: str, kind: type[DarlrError] = RunError, schema: int | None = None) -> Any:
    """What a JSON file holds; raises `kind`, with the remedy, when it is damaged or no plain file (a pipe would hang).

    A file that is missing raises FileNotFoundError. NaN and infinities, which are no JSON, count as damage. schema: the
    file must hold an object with this number under `schema`.
    """
    if path.exists() and not path.is_file():
        raise kind(f"{path}: is no plain file; {remedy}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_json)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise kind(f"{path}: damaged, not JSON ({error}); {remedy}") from error
    if schema is not None and not (isinstance(content, dict) and content.get("schema") == schema):
        raise kind(f"{path}: not written by this version of darlr (schema {schema} is read), or damaged; {remedy}")
    return content


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file, as `atomic_write_bytes` does."""
    atomic_write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write beside the target, flush to disk, rename over it."""
    with replacing(path) as draft:
        draft.write_bytes(data)


def atomic_write_text(path: Path, text: str) -> None:
    """`atomic_write_bytes` in UTF-8."""
    atomic_write_bytes(path, text.encode("utf-8"))


def remove_stale(folder: Path) -> None:
    """Remove what a killed writer left half-written; only safe while nobody else writes here."""
    for leftover in folder.glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def below(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder from `folder` on, its folders and files, by name; linked ones are followed, each real folder once.

    Folders that are taken out of the list are not entered. Raises DataError at a folder that cannot be read.
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


def require_readable(place: Path) -> None:
    """Raise DataError where `place` is a folder that cannot be read."""
    if place.is_dir():
        try:
            os.scandir(place).close()
        except OSError as error:
            _unreadable(error)


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from error


def refuse_address(path: Path | str) -> None:
    """Raise DataError for an address (s3://...), of which a Path keeps only one of the slashes, and for a name that is
    not UTF-8, which polars and safetensors cannot open."""
    full = str(Path(path).absolute())
    try:
        full.encode()
    except UnicodeEncodeError:
        raise DataError(f"{full}: the name is not valid UTF-8, so that the file cannot be opened; rename it") from None
    found = ADDRESS.match(str(path))
    if found and not Path(found[1]).exists():
        raise DataError(
            f"{found[1]}//{found[2]}: is an address, and only files and folders of this machine are read and written; "
            "copy the data here and name their path"
        )


def beside(target: Path, purpose: str) -> Path:
    """A hidden name beside `target` that no other process uses, for what is not whole yet."""
    return target.with_name(f".{target.name}.{purpose}-{socket.gethostname()}-{os.getpid()}")


def left_behind(target: Path, purpose: str) -> list[Path]:
    """What `beside` named for processes of this machine that are gone: killed, so that they could not tidy up."""
    prefix = f".{target.name}.{purpose}-{socket.gethostname()}-"
    found = target.parent.iterdir() if target.parent.is_dir() else ()
    return [path for path in found if path.name.startswith(prefix) and _is_gone(path.name.removeprefix(prefix))]


def _is_gone(pid: str) -> bool:
    if sys.platform == "win32" or not pid.isdecimal():  # there, asking for a process may end it
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _mode(path: Path) -> int:
    """Permissions for the new file: those of the old one, else what the umask gives (mkstemp gives 0600)."""
    if path.exists():
        return path.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # a folder cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Lock:
    """One writer a folder: held by an open file, so a killed process never leaves it locked."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self._file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 (open for as long as the lock is held)
        try:
            _lock(self._file.fileno())
        except (BlockingIOError, PermissionError):  # held; Windows says the latter
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            message = f"{folder}: process {holder} is writing to this run; wait for it or choose another folder"
            raise RunError(message) from None
        try:  # not through the file's buffer, which would be written again when a full disk has refused it
            os.ftruncate(self._file.fileno(), 0)
            os.write(self._file.fileno(), str(os.getpid()).encode())
        except OSError:
            self._file.close()
            raise

    def release(self) -> None:
        """Let others write; calling it twice does no harm."""
        self._file.close()


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, 1 << 20, os.SEEK_SET)  # beyond the text: locked bytes cannot be read by others there
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
