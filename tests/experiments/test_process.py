"""What a program that trains asks of its process."""

import platform
import sys

import pytest

from darlr.experiments.process import keep_freed_memory
from tests import forked

PROGRAM = """
import ctypes, resource, torch
from darlr.experiments.process import MMAP_THRESHOLD, TRIM_THRESHOLD, configure

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
for option, _ in (TRIM_THRESHOLD, MMAP_THRESHOLD):
    library.mallopt(option, 1 << 17)  # what glibc starts with; it would move them by itself

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [ctypes.c_void_p(library.malloc(1 << 22)) for _ in range(8)]
        for block in blocks:
            ctypes.memset(block, 1, 1 << 22)
        for block in blocks:
            library.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

left_alone = faults()
torch.set_num_threads(2)
configure(1)
faults()
print(left_alone, faults(), torch.get_num_threads())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library's own option")
def test_freed_memory_is_kept():
    assert keep_freed_memory()
    done = forked.run(PROGRAM)
    assert done.returncode == 0, done.stderr
    left_alone, kept, threads = map(int, done.stdout.split())
    assert kept < 100 < 1000 < left_alone
    assert threads == 1


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert not keep_freed_memory()
