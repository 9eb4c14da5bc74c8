"""The memory that this machine has free, and a refusal where work needs more."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from darlr.errors import MachineError


def require_free(needed: float, what: str, remedy: str) -> None:
    """Raise MachineError where `what` takes more bytes than are free. remedy: what a person can do about it."""
    free = free_memory()
    if free is not None and needed > free:
        raise MachineError(
            f"{what}: takes about {gigabytes(needed)} of memory, and only {gigabytes(free)} are free; {remedy}"
        )


def gigabytes(count: float) -> str:
    """Return a number of bytes in MB or GB."""
    if count < 1e8:
        return f"{count / 1e6:,.0f} MB"
    return f"{count / 1e9:,.1f} GB" if count < 1e11 else f"{count / 1e9:,.0f} GB"


def free_memory() -> int | None:
    """Return bytes that this machine and its container still have free, with swap; None where that is unknown."""
    if sys.platform == "win32":
        return None
    found = [value for value in (_of_machine(), _of_container()) if value is not None]
    return min(found, default=None)


def _of_machine() -> int | None:
    with suppress(OSError, ValueError, KeyError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        known = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}
        return known["MemAvailable"] + known.get("SwapFree", 0)
    with suppress(OSError, ValueError):  # a Mac has no such file, and no way to ask what is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_container(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return bytes that the limit of the control group (version 2 or 1) leaves free; None without a limit."""
    for names in ("memory.max memory.current", "memory/memory.limit_in_bytes memory/memory.usage_in_bytes"):
        most, now = names.split()
        with suppress(OSError, ValueError):  # also "max"
            limit, used = (int((root / name).read_text(encoding="ascii")) for name in (most, now))
            stat = dict(line.split() for line in (root / most).with_name("memory.stat").read_text("ascii").splitlines())
            return max(0, limit - used + int(stat.get("inactive_file", 0)))
    return None
