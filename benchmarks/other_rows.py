"""The rows of the benchmark page besides training: the world model, evaluation, start-up."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.hot_loop import prepare, quick_world
from benchmarks.training_rows import Measure, Result, only
from darlr.agents.policy import RecommenderPolicy
from darlr.evaluation.evaluate import settings, sound
from darlr.evaluation.lists import Entry
from darlr.evaluation.truth import load_truth
from darlr.experiments.logs import open_logs
from darlr.experiments.process import configure
from darlr.options import RunConfig, SplitConfig, SyntheticConfig, TrainConfig
from darlr.world.fit import fit_world

WORLD = "coat: world model, 5 members x 5 epochs"
EVALUATION = "coat: evaluation of all users in three modes"
HELP, EVALUATE = "darlr --help", "darlr evaluate of a small run"
SMALL = ("--data", "synthetic", "--epochs", "2", "--steps", "4000", "--model.epochs", "2")


def spent(work: Callable[[], object], repeats: int) -> list[float]:
    """CPU-seconds of each of several calls, sorted."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return sorted(taken)


def world_model() -> Result:
    """Five members, five epochs, no early stop."""
    configure(1)
    config = RunConfig(data="coat", split=SplitConfig(refit=False))
    logs = open_logs(config)
    five = replace(config.world_model, members=5, epochs=5, patience=5)
    values = spent(lambda: fit_world(logs.train, logs.held_out, five), 3)
    return Result(WORLD, "8", "CPU-s", only(WORLD), values)


def evaluation() -> Result:
    """One greedy policy of DARLR's networks, untrained as what it has learned costs no time; intervals included."""
    configure(1)
    logs, fitted = quick_world("coat")
    learner, _, _ = prepare(logs, fitted, TrainConfig())
    truth = load_truth("coat", options=SyntheticConfig())
    if truth is None:
        raise RuntimeError("coat has no truth")
    entry = Entry("DARLR", [RecommenderPolicy(learner.recommender)], "learned")
    modes = settings(TrainConfig().session, logs.catalogue)
    assert len(modes) == 3
    values = spent(lambda: sound([entry], modes, truth, logs.train_catalogue), 5)
    return Result(EVALUATION, "0.3", "CPU-s", only(EVALUATION), values)


def of_command(arguments: Sequence[str], repeats: int) -> list[float]:
    """CPU-seconds of whole processes of `darlr`, imports included, sorted."""
    taken = []
    for _ in range(repeats):
        child = subprocess.Popen([sys.executable, "-m", "darlr", *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise RuntimeError(f"darlr {' '.join(arguments)} failed")
        taken.append(usage.ru_utime + usage.ru_stime)
    return sorted(taken)


def command_help() -> Result:
    """The help of all commands."""
    return Result(HELP, "0.2", "CPU-s", only(HELP), of_command(["--help"], 5))


def evaluate_small() -> Result:
    """A run of two short epochs on the built-in world, beside all trivial rows, with pictures."""
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        subprocess.run(
            [sys.executable, "-m", "darlr", "train", "--out", run, *SMALL], check=True, stdout=subprocess.DEVNULL
        )
        values = of_command(["evaluate", run], 3)
        bare = of_command(["evaluate", run, "--no-pictures"], 1)[0]
    return Result(EVALUATE, "5", "CPU-s", only(EVALUATE), values, note=f"{bare:.1f} without pictures")


def rows() -> Iterator[tuple[str, Measure]]:
    """Name and measuring function of every row."""
    yield WORLD, world_model
    yield EVALUATION, evaluation
    yield HELP, command_help
    yield EVALUATE, evaluate_small
