"""Settings of the process in which agents train. Importing darlr changes none of them."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

import torch

# Options of glibc (mallopt(3)) and their values in bytes: how much freed memory and which blocks are kept for reuse.
TRIM_THRESHOLD, MMAP_THRESHOLD = (-1, 1 << 28), (-3, 1 << 25)


def configure(threads: int) -> None:
    """Use this number of threads for tensors, and keep freed memory for reuse."""
    torch.set_num_threads(threads)
    keep_freed_memory()


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
