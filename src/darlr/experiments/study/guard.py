"""The process that ends a Ray with the program that started it: `python guard.py FOLDER`, its temporary folder.

Where a program is killed, helpers of Ray would live on for a minute. When standard input ends, which the program holds
open, this process kills every process that has a file in the folder open, and removes the folder. It looks in /proc;
where there is none, Ray has a guard of its own.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path


def holders(folder: Path) -> list[int]:
    """Return the processes that have a file below this folder open."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to somebody else
            if any(os.readlink(one).startswith(f"{folder}{os.sep}") for one in (place / "fd").iterdir()):
                found.append(int(place.name))
    return found


def clear(folder: Path, seconds: float = 10.0) -> None:
    """Kill the processes that have a file in the folder open, and remove it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        left = holders(folder)
        for process in left:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        if not left and not folder.exists():
            return
        time.sleep(0.1)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    clear(Path(sys.argv[1]))
