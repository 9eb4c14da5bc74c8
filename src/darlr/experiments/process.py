"""What a program that trains asks of its process; importing darlr changes none of it."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

import torch

# glibc's options (mallopt(3)): blocks up to this size are kept for reuse, and freed memory up to that one.
TRIM_THRESHOLD, MMAP_THRESHOLD = (-1, 1 << 28), (-3, 1 << 25)


def settle(threads: int) -> None:
    """Use so many threads for tensors, and keep freed memory."""
    torch.set_num_threads(threads)
    keep_freed_memory()


@contextlib.contextmanager
def computing(threads: int) -> Iterator[None]:
    """Use so many threads and float32 for new tensors meanwhile, and keep freed memory.

    A program that calls the library finds its own settings again afterwards.
    """
    before = torch.get_num_threads()
    settle(threads)
    try:
        with single_precision():
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """New tensors are float32 meanwhile, also in a notebook whose default is another."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def keep_freed_memory() -> bool:
    """Let the C library keep what a rollout freed for the next one; returns whether it can (glibc alone).

    Left alone it hands large blocks back to the system, which then clears every page of them again: up to a sixth of an
    update's time. What a process holds at its peak stays about the same.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and all(mallopt(*option) == 1 for option in (TRIM_THRESHOLD, MMAP_THRESHOLD))
