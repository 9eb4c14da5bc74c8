"""Files that are replaced as a whole: a process that is killed leaves the old file or the new one."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from darlr.errors import DarlrError, RunError

FULL = (None, errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None))  # None: an error that gives no number


@contextlib.contextmanager
def naming(
    path: Path, failures: tuple[type[Exception], ...] = (OSError,), kind: type[DarlrError] = RunError
) -> Iterator[None]:
    """Turn an exception among `failures` into an error of `kind` that says that `path` cannot be written."""
    try:
        yield
    except failures as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        room = "make room or " if getattr(error, "errno", None) in FULL else ""
        raise kind(
            f"{path}: cannot be written ({why}); {room}choose another folder. Complete files stay as they were"
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, in a hidden folder beside `path`; at the end it is flushed to disk and renamed to `path`.

    Raises RunError, which names `path`, where that fails; the old file is then still there.
    """
    with naming(path):
        # in a folder of its own, `remove_stale` finds everything that a killed writer leaves
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


def sync(path: Path) -> None:
    """Flush a file to disk; some file systems report only here that they are full."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, remedy: str, kind: type[DarlrError] = RunError, schema: int | None = None) -> Any:
    """The content of a JSON file. schema: the number that it must hold under `schema`.

    Raises `kind`, with the remedy, where it is damaged, holds NaN or an infinity, or is no plain file (a pipe would
    hang), and FileNotFoundError where it is missing.
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
    """Replace a JSON file as a whole."""
    atomic_write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Replace a file as a whole."""
    with replacing(path) as draft:
        draft.write_bytes(data)


def atomic_write_text(path: Path, text: str) -> None:
    """Replace a file of UTF-8 text as a whole."""
    atomic_write_bytes(path, text.encode("utf-8"))


def remove_stale(folder: Path) -> None:
    """Remove the incomplete files of killed writers. This is safe only while no other process writes here."""
    for leftover in folder.glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _mode(path: Path) -> int:
    """The permissions of the new file: those of the old one, or those of the umask (mkdtemp gives others)."""
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
