"""Folders that are replaced as a whole: a process that is killed leaves the old folder or the new one."""

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from darlr.errors import DarlrError, RunError
from darlr.io.files import naming, sync

DRAFT, OLD = "draft", "old"


@contextmanager
def replacing_folder(
    folder: Path, failures: tuple[type[Exception], ...] = (OSError,), kind: type[DarlrError] = RunError
) -> Iterator[Path]:
    """A new folder to write in, hidden beside `folder`; at the end it takes the place of `folder`.

    The files are flushed to disk, the old folder is renamed, the new one is renamed, and then the old one is deleted. A
    writer that is killed between the two renames leaves no folder, and `recover` restores the old one. Raises `kind`,
    which names `folder`, for an exception among `failures`; the old folder is then still there.
    """
    named, folder = folder, Path(os.path.realpath(folder))
    draft, old = beside(folder, DRAFT), beside(folder, OLD)
    try:
        with naming(named, failures, kind):
            draft.parent.mkdir(parents=True, exist_ok=True)
            recover(folder)
            for leftover in [*left_behind(folder, DRAFT), *left_behind(folder, OLD)]:
                shutil.rmtree(leftover, ignore_errors=True)
            draft.mkdir()
            yield draft
            for path in draft.rglob("*"):
                if path.is_file():
                    sync(path)
            if folder.exists():
                os.rename(folder, old)
            os.rename(draft, folder)
    except RunError as error:  # it names a file in the draft
        raise kind(str(error).replace(str(draft), str(named))) from error
    finally:
        if old.exists() and not folder.exists():
            os.rename(old, folder)
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def adding_folder(folder: Path) -> Iterator[Path]:
    """`replacing_folder` for content that is always the same: a folder that another process puts there is kept."""
    draft = beside(folder, DRAFT)
    with naming(folder):
        for leftover in left_behind(folder, DRAFT):
            shutil.rmtree(leftover, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            yield draft
            try:
                os.rename(draft, folder)
            except OSError:
                if not folder.exists():
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def recover(folder: Path) -> None:
    """Restore a folder that a killed process had renamed and not replaced. Call it before reading and writing."""
    if not folder.exists():
        with suppress(OSError):  # another process was faster, or nothing may be written here
            for old in left_behind(folder, OLD)[:1]:
                os.rename(old, folder)


def beside(target: Path, purpose: str) -> Path:
    """A hidden name beside `target` that no other process uses, for a folder that is not complete."""
    return target.with_name(f".{target.name}.{purpose}-{socket.gethostname()}-{os.getpid()}")


def left_behind(target: Path, purpose: str) -> list[Path]:
    """The folders named by `beside` that killed processes of this machine have left.

    Those of this process count too, because a killed process may have had its number; call it before work begins.
    """
    prefix = f".{target.name}.{purpose}-{socket.gethostname()}-"
    found = target.parent.iterdir() if target.parent.is_dir() else ()
    return [path for path in found if path.name.startswith(prefix) and _is_gone(path.name.removeprefix(prefix))]


def _is_gone(pid: str) -> bool:
    if pid == str(os.getpid()):
        return True
    if sys.platform != "win32" and pid.isdecimal():  # on Windows os.kill may end the process
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            return False
    return False
