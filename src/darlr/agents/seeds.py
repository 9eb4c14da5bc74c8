"""Seeds of a run's random generators: independent of each other, and between neighbouring seeds of runs."""

import numpy as np


def derived(seed: int, *purpose: int) -> int:
    """A seed of 64 bits for one purpose of the run with `seed`; purposes start at 1 (0 would be padding)."""
    return int(np.random.SeedSequence((seed, *purpose)).generate_state(1, np.uint64)[0])
