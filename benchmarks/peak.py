"""Which lines of a darlr command hold the most memory: the peak of the process while each of them ran. Linux.

    LEAST=1.0 python -m benchmarks.peak train --data DATA --out RUN

LEAST: the gigabytes from which on a line is shown. A thread reads the memory 50 times a second.
"""

import os
import sys
import threading
import time
from types import FrameType

from darlr.cli.main import main as darlr

INNER = 3  # functions of darlr that are shown of each stack


def place(frame: FrameType | None) -> str:
    """The innermost functions of darlr in a stack."""
    names: list[str] = []
    while frame is not None and len(names) < INNER:
        code = frame.f_code
        if "/darlr/" in code.co_filename:
            names.append(f"{os.path.basename(code.co_filename)}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(names)


def watch(thread: int, done: threading.Event, peaks: dict[str, tuple[float, float]]) -> None:
    """Fill `peaks` with gigabytes and the time, by place, until `done`."""
    page, began = os.sysconf("SC_PAGE_SIZE") / 1e9, time.monotonic()
    while not done.wait(0.02):
        with open("/proc/self/statm", encoding="ascii") as file:
            held = int(file.read().split()[1]) * page
        where = place(sys._current_frames().get(thread))
        if held > peaks.get(where, (0.0, 0.0))[0]:
            peaks[where] = held, time.monotonic() - began


def main() -> None:
    """Run the command and print the places in the order of time."""
    done, peaks = threading.Event(), dict[str, tuple[float, float]]()
    watching = threading.Thread(target=watch, args=(threading.get_ident(), done, peaks))
    watching.start()
    try:
        darlr(sys.argv[1:])
    finally:
        done.set()
        watching.join()
        least = float(os.environ.get("LEAST", "0"))
        print("| second | GB | where |\n|---:|---:|---|")
        for where, (held, second) in sorted(peaks.items(), key=lambda peak: peak[1][1]):
            if held >= least:
                print(f"| {second:.1f} | {held:.2f} | {where} |")


if __name__ == "__main__":
    main()
