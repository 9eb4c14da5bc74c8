"""Which runs may share a table: the same data, the same sessions, and of one label only seeds of one another."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darlr.errors import RunError
from darlr.experiments.entries import label
from darlr.experiments.finished import FinishedRun, open_run
from darlr.experiments.logs import Logs
from darlr.experiments.plan import title
from darlr.options.json import differences, to_json

SEEDS = ("seed", "world", "threads", "device")  # what seeds of one row may differ in


def open_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """Open runs, their shared logs once; RunError when they cannot share a table."""
    runs: list[FinishedRun] = []
    opened: dict[Any, Logs] = {}
    for folder in folders:
        found = open_run(folder, opened)
        for other in runs:
            refuse_unlike(other, found)
        runs.append(found)
    return runs


def refuse_unlike(one: FinishedRun, other: FinishedRun) -> None:
    """RunError when two runs are on other data, in other sessions, or of one label but not seeds of one row."""
    if one.folder and other.folder and one.folder.resolve() == other.folder.resolve():
        raise RunError(f"{other.folder}: named twice; it would count as two seeds")
    if one.logs.checksum != other.logs.checksum:
        raise RunError(f"{other.name}: trained on other data than {one.name}; evaluate them apart")
    before, now = (run.config.train.session for run in (one, other))
    if (before.exit, before.threshold, before.turns) != (now.exit, now.threshold, now.turns):
        raise RunError(f"{other.name}: trained for other sessions than {one.name}; evaluate them apart")
    if label(one) != label(other):
        return
    changed = differences(to_json(one.config), to_json(other.config))
    options = [name for name in changed if name.split(".")[-1] not in SEEDS]
    if not (one.config.fits_world and other.config.fits_world):  # a given model has its own options
        fits = differences(to_json(one.model), to_json(other.model))
        own = (*SEEDS, "epochs") if one.logs.refit else SEEDS  # a refit's epochs are what the first fit chose
        options = [name for name in options if not name.startswith("world_model.")]
        options += [f"world_model.{name}" for name in fits if name not in own]
    equal = one.config.train.seed == other.config.train.seed
    unlike = options and label(one) == title(one.config.train.method)  # a label of the user's own joins unlike runs
    if equal or unlike:
        what = f"differ in {', '.join(options)}" if unlike else f"have seed {one.config.train.seed}"
        rename = f"`darlr train --out {other.folder} --resume --label NAME`" if other.folder else "the option label"
        raise RunError(
            f"{one.name}, {other.name}: both are {label(one)} but {what}, so they are no seeds of one row; train "
            f"one with another seed, or name it with {rename}"
        )
