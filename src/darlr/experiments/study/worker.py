"""The process that runs one cell: `python -m darlr.experiments.study.worker CELL_FOLDER`.

It may be killed at any moment: the next one continues where it was. It ends when the process that started it is gone.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from darlr.errors import DarlrError, RunError
from darlr.evaluation.evaluate import can_avoid, can_leave, settings
from darlr.evaluation.lists import Entry, exit_aware, trivial_rows
from darlr.evaluation.playing import Job, majority_items, play_jobs
from darlr.evaluation.truth import Truth, load_truth
from darlr.experiments.compiling import plainly
from darlr.experiments.finished import open_run
from darlr.experiments.logs import Logs, new_part, open_logs
from darlr.experiments.new_users import rows_for_new, served_to_new
from darlr.experiments.process import configure, end_with_parent, provenance
from darlr.experiments.runs import CONFIG
from darlr.experiments.study.cells import RANDOM_FEEDBACK, RESULT, STARTED, STATUS, digest, read_cell
from darlr.experiments.study.trial import losses
from darlr.experiments.training import train_run
from darlr.experiments.world import fit_into, is_fitted, load_world_model, world_of
from darlr.io.checkpoint import write_checkpoint
from darlr.io.files import read_json, write_json
from darlr.io.lock import Lock
from darlr.methods import usual
from darlr.options import RunConfig
from darlr.options.json import from_json
from darlr.options.names import command_line
from darlr.simulation.policy import translated
from darlr.world.tables import World

BUSY = 75  # exit code: another process runs this cell
BEAT = 5.0  # seconds between two records of the CPU time so far
Outcome = tuple[dict[str, torch.Tensor], dict[str, Any]]  # what a cell leaves: tensors, and JSON values about them


@dataclass(frozen=True)
class Task:
    """A cell to run: its folder, the content of its cell.json, and its options."""

    place: Path
    content: dict[str, Any]
    config: RunConfig

    @property
    def world(self) -> Path:
        """The world model that it uses."""
        return Path(self.place.parent, self.content["world"] or self.place.name, "world")


def run_task(place: Path) -> None:
    """Run the cell in a folder and write its result; RunError when the source changed since it was planned."""
    content = read_cell(place)
    kind, planned, now = content["identity"]["kind"], content["code"], digest(content["identity"]["kind"])
    if now != planned:
        raise RunError(f"the source changed since the comparison began ({planned}, now {now}); run the command again")
    task = Task(place, content, from_json(RunConfig, content["config"], str(place)))
    configure(task.config.train.threads)
    before = _spent(place)
    threading.Thread(target=_note_time, args=(place, before), daemon=True).start()
    tensors, about = RUNNERS[kind](task)
    origin = provenance(task.config.train.seed) | {"git": content["git"]}
    about |= {"cpu_seconds": before + time.process_time(), "provenance": origin, "code": planned}
    write_checkpoint(place / RESULT, tensors, about)
    (place / STATUS).unlink(missing_ok=True)


def fit_world_model(task: Task) -> Outcome:
    """Fit the world model that the rows of one split, seed and weighting share."""
    fitted = fit_into(task.place / "world", open_logs(task.config), task.config.split, task.config.world_model)
    words = command_line(replace(task.config, train=RunConfig().train), task.place / "world")
    command = words.replace("darlr train", "darlr fit", 1).replace("--model.", "--")
    return {}, {"metrics": fitted.metrics, "command": command}


def learn(task: Task) -> Outcome:
    """Train a method, and evaluate the policy that it hands over, greedy and sampled."""
    folder = task.place / "run"
    config = plainly(replace(task.config, world=str(task.world)))
    train_run(config, folder, resume=(folder / CONFIG).exists())
    run = open_run(folder)
    new = run.logs.hidden is not None
    policy = served_to_new(run, run.recommender) if new else run.policy
    entries = [Entry("greedy", [policy], "learned"), Entry("sampled", [policy], "learned", greedy=False)]
    if config.train.recommender.prior:  # without a prior the start is random
        entries.append(Entry(STARTED, [served_to_new(run, run.untrained) if new else run.start], "log"))
    tensors, about = play_all(task, run.logs, entries, truth_of(task.config, run.logs))
    command = command_line(config, folder, usual(config.train.method))
    return tensors, about | {"curve": run.rows, "steps": run.rows[-1]["steps"] if run.rows else 0, "command": command}


def trivial(task: Task) -> Outcome:
    """Evaluate the trivial rows of one seed. Rows of predictions use the world model of that seed."""
    logs = open_logs(task.config)
    truth = truth_of(task.config, logs)
    world = open_world(task, logs)
    source = logs.source(world, task.config.train.tables)
    exits = can_avoid(task.config.train.session, logs.catalogue)
    entries = trivial_rows([source], truth, exits=exits, repeats=1)
    return play_all(task, logs, entries if logs.hidden is None else rows_for_new(entries, [world], logs), truth)


def baseline(task: Task) -> Outcome:
    """Fit a baseline and evaluate it."""
    from darlr.policies.files import METADATA, load_baseline, save_baseline
    from darlr.policies.new_users import for_new_users
    from darlr.policies.registry import BASELINES, fit_baseline

    logs = open_logs(task.config)
    truth = truth_of(task.config, logs)
    name = task.content["identity"]["name"]
    registered, place = BASELINES[name], task.place / "baseline"
    if not (place / METADATA).exists():  # written last
        world = open_world(task, logs) if registered.needs_world else None
        context = logs.context(world, task.config.train.session.turns)
        save_baseline(fit_baseline(name, context, task.config.train.seed), place)
    policy = translated(load_baseline(place), logs.unit)
    policy = policy if logs.hidden is None else for_new_users(policy, len(logs.hidden.new))
    entries = [Entry(registered.title, [policy], "log", registered.greedy)]
    can = can_avoid if registered.blind else can_leave
    if registered.exit_aware and can(task.config.train.session, logs.catalogue):
        entries = entries * registered.blind + exit_aware(entries)
    return play_all(task, logs, entries, truth)


def trial(task: Task) -> Outcome:
    """Measure one setting of a search on held-out events."""
    return losses(task.content["identity"]["name"], task.config, task.place, task.world)


RUNNERS = {"world": fit_world_model, "learned": learn, "trivial": trivial, "baseline": baseline, "trial": trial}


def play_all(task: Task, logs: Logs, entries: Sequence[Entry], truth: Truth) -> Outcome:
    """Evaluate every entry under every setting: returns float32 [users] by "entry|mode|window", and the metrics.

    With RANDOM_FEEDBACK behind the name the tallies of feedback on random items, float64 [users, 3], where it is known.
    """
    log, seed = logs.train_catalogue, task.content["seed"]
    majority = majority_items(log)
    jobs = [Job(entry.policies[0], entry.greedy, entry.exit_aware, seed) for entry in entries]
    tensors, measured, played = {}, {}, {}
    windows = tuple(task.content["identity"]["windows"])
    for setting in settings(task.config.train.session, logs.catalogue, windows):
        places = [k for k, entry in enumerate(entries) if not (entry.exit_aware and setting.window is None)]
        sessions = play_jobs([jobs[k] for k in places], setting, truth, log, majority=majority)
        for entry, found in zip((entries[k] for k in places), sessions, strict=True):
            name = f"{entry.name}|{setting.mode}|{setting.window or ''}"
            tensors[name], measured[name] = torch.from_numpy(found.returns).float(), dict(found.metrics)
            if found.tallies is not None:
                tensors[f"{name}{RANDOM_FEEDBACK}"] = torch.from_numpy(found.tallies)
            played[entry.name] = {"kind": entry.kind, "greedy": entry.greedy, "exit_aware": entry.exit_aware}
    return tensors, {"metrics": measured, "entries": played, "curve": [], "steps": 0, "command": ""}


def truth_of(config: RunConfig, logs: Logs) -> Truth:
    """Return the truth of the users who are played, new ones where some are hidden. RunError where there is none."""
    truth = load_truth(config.data, options=config.synthetic)
    if truth is None:
        raise RunError(f"{config.data}: has no truth to play on")
    return truth.beside(logs.known) if logs.hidden is None else new_part(truth, logs)


def open_world(task: Task, logs: Logs) -> World:
    """Return the tables of the world model of the cell; RunError when it is missing."""
    if not is_fitted(task.world):
        raise RunError(f"{task.world}: the world model is missing; run the comparison again")
    return world_of(load_world_model(task.world, logs, task.config.split), logs, task.config.train)


def _spent(place: Path) -> float:
    """Return the CPU-seconds of earlier attempts that were killed."""
    try:
        return float(read_json(place / STATUS, "")["cpu_seconds"])
    except (OSError, RunError, ValueError, KeyError, TypeError):
        return 0.0


def _note_time(place: Path, before: float) -> None:
    while True:
        time.sleep(BEAT)
        if (place / RESULT).exists():
            return
        with contextlib.suppress(RunError):  # a full disk stops the cell itself, where it matters
            write_json(place / STATUS, {"cpu_seconds": before + time.process_time()})


def main(place: Path) -> int:
    """Run one cell, and return 0 where it is done, 1 where it failed, BUSY where another process runs it."""
    end_with_parent()
    try:
        lock = Lock(place)
    except RunError:
        return BUSY
    try:
        if not (place / RESULT).exists():
            run_task(place)
    except (DarlrError, OSError) as error:
        print(f"darlr: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        lock.release()
    return 0


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stderr.flush()
    os._exit(code)  # without waiting for the thread that reads standard input
