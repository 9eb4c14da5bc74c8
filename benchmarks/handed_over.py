"""Start, trained and handed-over policy of every method: what keeping the best epoch is worth (docs/results.md).

    python -m benchmarks.handed_over             # a quarter of an hour on one core; needs DARLR_DATA for Coat

Three logs: the built-in world, Coat, and Coat with every rating r as 5 r - 15, from -10 to 10, in its truth too.
Each number is the greedy policy's R_tra (NX_0, all users, N = 1) on the truth.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.methods import METHODS
from darlr.agents.policy import RecommenderPolicy
from darlr.cli.main import main as darlr
from darlr.data.report import PrepareReport
from darlr.data.sources import open_source
from darlr.data.store import save
from darlr.evaluation.evaluate import settings, sound
from darlr.evaluation.lists import Entry
from darlr.evaluation.truth import Truth, load_truth, write_truth
from darlr.experiments.finished import FinishedRun, handed_over, open_run, trained
from darlr.experiments.world import paid_world
from darlr.simulation.policy import Policy, translated


def stretched_coat(folder: Path) -> str:
    """Coat with ratings from -10 to 10, prepared."""
    log, truth = open_source("coat"), load_truth("coat")
    assert truth is not None
    other = replace(log, reward=5 * log.reward.astype(np.float64) - 15, reward_range=(-10.0, 10.0))
    save(other, folder, PrepareReport("coat", rows_read=len(log), rows_kept=len(log)))
    write_truth(Truth(truth.users, truth.items, 5 * truth.reward.double() - 15), folder)
    return str(folder)


def last(run: FinishedRun) -> Policy:
    """The policy of the last epoch, whatever the run hands over."""
    checkpoint = run.checkpoint()
    assert checkpoint is not None
    found = handed_over(checkpoint, None)
    world = paid_world(run.world, run.logs, run.config)
    return translated(RecommenderPolicy(trained(world, run.config.train, found.weights)), run.logs.unit)


def measured(folder: Path, data: str) -> tuple[int, list[float], list[float]]:
    """The epoch handed over, and R_tra and mean length of start, last epoch and handed-over policy."""
    run, truth = open_run(folder), load_truth(data)
    assert truth is not None
    policies = {"start": run.start, "last": last(run), "handed over": run.policy}
    entries = [Entry(name, [policy], "learned") for name, policy in policies.items()]
    first = settings(run.config.train.session, run.logs.catalogue)[:1]
    rows = sound(entries, first, truth.beside(run.logs.known), run.logs.train_catalogue)
    return run.epoch, [row.mean for row in rows], [row.length for row in rows]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=25_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", default=",".join(METHODS))
    options = parser.parse_args()
    budget = ["--epochs", str(options.epochs), "--steps", str(options.steps), "--seed", str(options.seed)]
    with tempfile.TemporaryDirectory() as place:
        worlds = {"built-in world": "synthetic"}
        if os.environ.get("DARLR_DATA"):
            worlds |= {"Coat": "coat", "Coat, -10 to 10": stretched_coat(Path(place, "stretched"))}
        print("| log | method | start | last epoch | handed over | epoch | turns |\n|---|---|---:|---:|---:|---:|---:|")
        for title, data in worlds.items():
            for number, name in enumerate(options.methods.split(",")):
                run = Path(place, f"{Path(data).name}-{number}")
                words = ["train", "--data", data, "--out", str(run), *METHODS[name].split(), *budget, "--no-watch"]
                if code := darlr(words):
                    raise SystemExit(code)
                epoch, found, turns = measured(run, data)
                numbers = " | ".join(f"{one:.2f}" for one in found)
                print(f"| {title} | {name} | {numbers} | {epoch} | {turns[-1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
