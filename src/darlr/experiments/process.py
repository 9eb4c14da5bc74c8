"""The process in which agents train: its settings, which importing darlr does not change, and its provenance."""

import contextlib
import ctypes
import datetime
import os
import platform
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("darlr", "torch", "numpy", "scipy", "polars", "safetensors")
# Options of glibc (mallopt(3)) and their values in bytes: how much freed memory and which blocks are kept for reuse.
TRIM_THRESHOLD, MMAP_THRESHOLD = (-1, 1 << 28), (-3, 1 << 25)


def configure(threads: int) -> None:
    """Use this number of threads for tensors, and keep freed memory for reuse."""
    torch.set_num_threads(threads)
    keep_freed_memory()


def end_with_parent() -> None:
    """Let this process end when its standard input does, whose other end its parent holds open for as long as it lives.

    It ends with `os._exit`, which does not wait for the thread that reads.
    """

    def wait() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock would abort an interpreter that ends meanwhile
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def computing(threads: int) -> Iterator[None]:
    """Use this number of threads, and float32 for new tensors, in a `with` block; keep freed memory for reuse.

    Afterwards a program that calls the library has its own settings again.
    """
    before = torch.get_num_threads()
    configure(threads)
    try:
        with single_precision():
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Make new tensors float32 in a `with` block, also where the default is another type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def keep_freed_memory() -> bool:
    """Let the C library keep the memory that a rollout freed for the next one. Returns whether it can (only glibc can).

    By default it returns large blocks to the system, which clears their pages again. That takes up to a sixth of the
    time of an update. The peak of the memory stays about the same.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and all(mallopt(*option) == 1 for option in (TRIM_THRESHOLD, MMAP_THRESHOLD))


def provenance(seed: int | None = None) -> dict[str, Any]:
    """Return facts that help to repeat a run, as JSON values. Unknown ones are null."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "seed": seed,
        "git": commit(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "machine": {
            "platform": platform.platform(),
            "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def _version(name: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return None


@cache
def commit() -> dict[str, Any] | None:
    """Return the commit of the checkout that this package runs from; None where it runs from no checkout."""
    root = Path(__file__).resolve().parents[3]
    top = _ask_git(root, "rev-parse", "--show-toplevel")
    commit = _ask_git(root, "rev-parse", "HEAD")
    if top is None or commit is None or Path(top).resolve() != root:
        return None
    return {"commit": commit, "changed": bool(_ask_git(root, "status", "--porcelain", "--untracked-files=no"))}


def _ask_git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
