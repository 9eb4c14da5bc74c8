"""A lock on a folder, so that one process writes at a time. A process that is killed leaves no lock."""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from darlr.errors import RunError


class Lock:
    """Holds the `.lock` file of a folder until `release`; RunError, which names the process, where another holds it."""

    def __init__(self, folder: Path, what: str = "run") -> None:
        """what: the name of what the folder holds, for the error."""
        self.path = folder / ".lock"
        self._lock = FileLock(self.path, timeout=0, thread_local=False)  # whichever thread ends the work releases it
        try:
            self._lock.acquire()
        except Timeout:
            holder = ""
            with contextlib.suppress(OSError):  # Windows does not let others read a locked file
                holder = self.path.read_text(encoding="utf-8").strip()
            message = f"{folder}: process {holder or 'unknown'} is writing to this {what}"
            raise RunError(f"{message}; wait for it or choose another folder") from None
        try:
            self.path.write_text(str(os.getpid()), encoding="utf-8")
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Let other processes write; a second call does nothing."""
        self._lock.release()
