"""R_random with and without the items that a user's own log holds, for the rows of a finished comparison on Coat.

    DARLR_DATA=<folder that holds coat/> OMP_NUM_THREADS=1 python -m benchmarks.random_items compare/coat --row DARLR+

A twelfth of the random items that users were asked about are in their log too, with the same rating: a policy that
shows them again knows what it will earn. Prints a Markdown table of the greedy rows, NX_0, each also as what --row has
more than it, paired over users and seeds.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darlr.baselines import load_baseline
from darlr.comparison.cells import cell_config, read_cell
from darlr.comparison.work import Task, trivial_entries, truth_of
from darlr.data.log import InteractionLog
from darlr.data.sources import open_source
from darlr.data.split import select
from darlr.evaluation.evaluate import Setting, play_seeds
from darlr.evaluation.lists import Entry
from darlr.evaluation.random_feedback import difference, estimate, estimate_interval, random_feedback
from darlr.evaluation.statistics import draw_samples
from darlr.evaluation.truth import Truth, random_ratings
from darlr.simulation.exits import never
from darlr.stages.finished import open_run
from darlr.stages.logs import Logs, open_logs

NX_0 = Setting("NX_0", None, never)
Tallies = NDArray[np.float64]


def unlogged(random: InteractionLog, log: InteractionLog) -> InteractionLog:
    """The random events whose user and item are no pair of the log."""
    seen = np.isin(random.user * log.n_items + random.item, log.user * log.n_items + log.item)
    return select(random, ~seen)


def entries(task: Task, logs: Logs, truth: Truth) -> Iterator[Entry]:
    """The greedy rows of a cell, as the comparison played them."""
    if task.kind == "learned":
        yield Entry("greedy", [open_run(task.place / "run").policy], "learned")
    elif task.kind == "baseline":
        yield Entry("baseline", [load_baseline(task.place / "baseline")], "log")
    else:
        yield from trivial_entries(task, logs, truth)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("comparison", type=Path)
    parser.add_argument("--cells", type=Path, help="where its cells are kept; default: COMPARISON/cells")
    parser.add_argument("--row", default="DARLR+")
    options = parser.parse_args()
    cells = options.cells or options.comparison / "cells"
    content = json.loads((options.comparison / "table.json").read_text(encoding="utf-8"))
    rows = next(block["rows"] for block in content["tables"] if block["mode"] == "NX_0")
    random = unlogged(random_ratings(), open_source("coat"))
    found: dict[str, tuple[float, Tallies, Tallies]] = {}
    for row in rows:
        if "(sampled)" in row["label"]:
            continue
        returns: list[float] = []
        every: list[Tallies] = []
        new: list[Tallies] = []
        for cell in row["cells"]:
            task = Task(cells / cell, read_cell(cells / cell), cell_config(read_cell(cells / cell), cell))
            logs, truth = open_logs(task.config), truth_of(task.config)
            beside = replace(truth, random=random_feedback(random, truth.users, truth.items))
            single = task.kind != "trivial"
            (entry,) = (one for one in entries(task, logs, truth) if single or one.name == row["name"])
            for ground, told in ((truth, every), (beside, new)):
                (played,) = play_seeds(
                    entry,
                    entry.policies[0],
                    NX_0,
                    ground,
                    logs.train_catalogue,
                    majority=None,
                    runs=[task.content["seed"]],
                )
                assert played.tallies is not None
                told.append(played.tallies)
            returns.append(float(played.returns.mean()))
        found[row["label"]] = float(np.mean(returns)), np.stack(every), np.stack(new)
    report(found, options.row)


def report(found: dict[str, tuple[float, Tallies, Tallies]], base: str) -> None:
    """Rows by falling R_random of items that are new to the log."""
    head = ("row", "R_tra", "R_random", f"{base} minus this", "new items only [95%]", f"{base} minus this")
    print(f"| {' | '.join(head)} |\n|---|" + "---:|" * (len(head) - 1))
    for label, (mean, every, new) in sorted(found.items(), key=lambda item: -(estimate(item[1][2]) or 0.0)):
        low, high = estimate_interval(new, draw_samples(new.shape[:2], np.random.default_rng(0)))
        _, base_every, base_new = found[base]
        apart = [
            "–" if label == base else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*difference(*pair))
            for pair in ((base_every, every), (base_new, new))
        ]
        told = f"{estimate(new):.1f} [{low:.1f}, {high:.1f}]"
        print(f"| {label} | {mean:.2f} | {estimate(every):.1f} | {apart[0]} | {told} | {apart[1]} |")


if __name__ == "__main__":
    main()
