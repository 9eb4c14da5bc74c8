"""40 trials of TPE and of random search against the defaults, on the world model of a small built-in world.

    OMP_NUM_THREADS=1 python -m benchmarks.tuning --out FOLDER

It goes on where it was stopped. The world has 150 users and 100 items. In each outer split a fifth of each user's items
is set aside. Both searches read held-out events of the rest, in 4 folds; what they found is then measured on what was
set aside. Cells run in this process.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from darlr.experiments.logs import open_logs
from darlr.experiments.process import configure
from darlr.experiments.study.cells import Cell
from darlr.experiments.study.search import Found, Task, check, search
from darlr.experiments.study.trial import KEPT
from darlr.experiments.study.worker import run_task
from darlr.options import RunConfig
from darlr.options.names import override
from darlr.options.tuning import Sampler, space

MEMBERS, EPOCHS, FOLDS, TRIALS, SHARE = 1, 30, 4, 40, 0.2
SAMPLERS: tuple[Sampler, ...] = ("tpe", "random")
AFTER = (10, 20, 40)
SMALL = {"synthetic.users": 150, "synthetic.items": 100}


class Done:
    """A cell that has run."""

    def poll(self) -> int:
        """Its exit code."""
        return 0

    def stop(self) -> None:
        """Do nothing."""


class Here:
    """An executor in this process: the libraries are loaded once, and not for every cell."""

    at_once = 1

    def open(self, cells: Sequence[Cell], place: Path) -> None:
        """Do nothing."""

    def start(self, cell: Cell, folder: Path, source: Path) -> Done:
        """Run the cell."""
        run_task(folder)
        return Done()

    def close(self) -> None:
        """Do nothing."""


def searched(draw: int, sampler: Sampler, place: Path) -> Found:
    """One search in an outer split."""
    model = {"model.members": MEMBERS, "model.epochs": EPOCHS, "split.draw": draw, "split.evaluation": SHARE}
    base = override(RunConfig(), {**model, **SMALL})
    task = Task(base, open_logs(base), "world", space("world", ()), trials=TRIALS, folds=FOLDS, sampler=sampler)
    return search(check(task), place, Here())


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--outer", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    configure(1)
    place = asked.out / "cells"
    place.mkdir(parents=True, exist_ok=True)
    rows: dict[tuple[str, int], list[tuple[float, float, int]]] = {}
    for draw in range(1, asked.outer + 1):
        for sampler in SAMPLERS:
            found = searched(draw, sampler, place)
            losses = f"{found.default.mean():.4f} inside, {found.default.mean(KEPT):.4f} outside"
            print(f"outer split {draw}, {sampler}: the loss of the defaults is {losses}")
            print(f"  best: {dict(found.best.options)}; importance: {dict(found.importance)}")
            for count in AFTER:
                some = replace(found, trials=found.trials[:count])
                numbers = some.gain(some.best)[0], some.gain(some.best, KEPT)[0]
                rows.setdefault((sampler, count), []).append((*numbers, sum(len(one.losses) for one in some.trials)))
    print("\n| search | trials | gain inside | gain outside | optimism | cells |\n|---|---:|---:|---:|---:|---:|")
    for (sampler, count), values in rows.items():
        inside, outside, ran = np.array(values).mean(0)
        print(f"| {sampler} | {count} | {inside:.4f} | {outside:.4f} | {inside - outside:+.4f} | {ran:.0f} |")
    print(f"\nCPU-seconds of this process: {time.process_time():.0f}")


if __name__ == "__main__":
    main()
