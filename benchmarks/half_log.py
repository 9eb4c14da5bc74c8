"""A log-only stand-in for a truth: half of the events train, and a world model of the other half evaluates.

    DARLR_DATA=<folder that holds coat/> python benchmarks/half_log.py --seed 0 --save data/half-0
    darlr train --data data/half-0 --method darlr ... --out runs/half-0 && darlr evaluate runs/half-0

Choices that need sessions (how far to trust a prior, where to start) are made here, never on the truth.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from darlr.data.report import PrepareReport
from darlr.data.sources import open_source
from darlr.data.split import select
from darlr.data.store import save
from darlr.evaluation.truth import Truth, write_truth
from darlr.options import WorldModelConfig
from darlr.world.fit import fit_world

HELD_OUT = 0.1  # of the other half, for the early stopping of its world model


def main() -> None:
    """Write the data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", default="coat")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, required=True)
    options = parser.parse_args()
    log = open_source(options.data)
    generator = np.random.default_rng(options.seed)
    half = generator.permutation(len(log)) < len(log) // 2
    stop = ~half & (generator.random(len(log)) < HELD_OUT)
    other = fit_world(select(log, ~half & ~stop), select(log, stop), WorldModelConfig(seed=1000 + options.seed))
    learning = replace(select(log, half), name=f"half of {log.name}")
    save(learning, options.save, PrepareReport(learning.name, len(log), len(learning)))
    write_truth(Truth(np.arange(log.n_users), np.arange(log.n_items), other.reward), options.save)


if __name__ == "__main__":
    main()
