"""What this machine can do, on one thread: products of matrices, exponentials, memory. The best of several tries."""

import os
import platform
import time
from collections.abc import Callable
from functools import cache

import torch

from darlr.agents.fast.twins import product

LEAST = 0.01  # CPU-seconds of one try
TRIES = 3


def seconds(work: Callable[[], object], least: float = LEAST, tries: int = TRIES) -> float:
    """CPU-seconds of one call: the least over `tries`, each repeated for `least` CPU-seconds."""
    work()
    best, count = float("inf"), 1
    done = 0
    while done < tries:
        start = time.process_time()
        for _ in range(count):
            work()
        taken = time.process_time() - start
        if taken < least:
            count = max(2 * count, int(count * least / max(taken, least / 100)))
            continue
        best, done = min(best, taken / count), done + 1
    return best


@cache
def product_seconds(m: int, k: int, n: int) -> float:
    """Of a float32 product [m, k] x [k, n]: by the faster of two kernels, where PyTorch has another for its size."""
    left, right, out = torch.rand(m, k), torch.rand(k, n), torch.empty(m, n)
    turned = right.T.contiguous()
    return min(seconds(lambda: torch.mm(left, right, out=out)), seconds(lambda: product(left, turned)))


@cache
def peak_flops() -> float:
    """Multiplications and additions a second in a product of 1024 x 1024 matrices."""
    return 2 * 1024**3 / product_seconds(1024, 1024, 1024)


@cache
def exps_a_second() -> float:
    """Exponentials of float32 numbers that lie in the cache."""
    numbers = torch.rand(2**15)
    out = torch.empty_like(numbers)
    return numbers.numel() / seconds(lambda: torch.exp(numbers, out=out))


@cache
def bytes_a_second() -> float:
    """Read and written while copying 128 MiB."""
    source = torch.rand(2**25)
    target = torch.empty_like(source)
    return 2 * source.numel() * source.element_size() / seconds(lambda: target.copy_(source))


def name() -> str:
    """The processor, cores, and the system."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:  # no Linux
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, {platform.system()}"
