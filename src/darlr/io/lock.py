"""A lock on a folder: one process writes, and a process that is killed never leaves the folder locked."""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from darlr.errors import RunError


class Lock:
    """Holds the folder's `.lock` file, which says whose it is, until `release`.

    Raises RunError, naming the process, when another one holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self._lock = FileLock(self.path, timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            holder = ""
            with contextlib.suppress(OSError):  # Windows does not let others read a locked file
                holder = self.path.read_text(encoding="utf-8").strip()
            message = f"{folder}: process {holder or 'unknown'} is writing to this run"
            raise RunError(f"{message}; wait for it or choose another folder") from None
        try:
            self.path.write_text(str(os.getpid()), encoding="utf-8")
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Let others write; calling it twice does no harm."""
        self._lock.release()
