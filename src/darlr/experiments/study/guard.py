"""The process that ends a Ray with the program that started it: `python guard.py FOLDER`, its temporary folder.

Where a program is killed, helpers of Ray would live on for a minute. When standard input ends, which the program holds
open, this process kills those of Ray's that have a file in the folder open, and removes the folder. It looks in /proc;
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
    """Return Ray's processes that have a file below this folder open. The program that started Ray has one too."""
    found, inside = [], f"{folder}{os.sep}"
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to somebody else
            command, number = (place / "cmdline").read_bytes(), int(place.name)
            if number == os.getppid() or not (command.startswith(b"ray::") or os.fsencode(inside) in command):
                continue
            if any(os.readlink(one).startswith(inside) for one in (place / "fd").iterdir()):
                found.append(number)
    return found


def clear(folder: Path, seconds: float = 10.0) -> None:
    """Kill Ray's processes that have a file in the folder open, and remove it."""
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
