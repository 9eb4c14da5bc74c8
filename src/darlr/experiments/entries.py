"""The rows of a report: runs that may share a table, the simple lists beside them, and how each row is served."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from darlr.errors import RunError
from darlr.evaluation.evaluate import Row, can_leave
from darlr.evaluation.lists import Entry, Kind
from darlr.evaluation.verdict import START
from darlr.experiments.finished import FinishedRun, open_run
from darlr.experiments.logs import Logs
from darlr.experiments.plan import title
from darlr.methods import find
from darlr.options.json import differences, to_json

SEEDS = ("seed", "world", "threads", "device")  # what seeds of one row may differ in


def open_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """Open runs, and read the logs that they share once."""
    opened: dict[Any, Logs] = {}
    return [open_run(folder, opened) for folder in folders]


def refuse_unlike(one: FinishedRun, other: FinishedRun) -> None:
    """RunError when two runs are on other data, in other sessions, or of one label but not seeds of one row."""
    if one.folder and other.folder and one.folder.resolve() == other.folder.resolve():
        raise RunError(f"{other.folder}: named twice; it would count as two seeds")
    if one.logs.checksum != other.logs.checksum:
        raise RunError(f"{other.name}: trained on other data than {one.name}; evaluate them apart")
    before, now = (run.config.train.session for run in (one, other))
    if (before.exit, before.threshold, before.turns) != (now.exit, now.threshold, now.turns):
        raise RunError(f"{other.name}: trained for other sessions than {one.name}; evaluate them apart")
    label = one.config.label
    if label != other.config.label:
        return
    changed = differences(to_json(one.config), to_json(other.config))
    options = [name for name in changed if name.split(".")[-1] not in SEEDS]
    if not (one.config.fits_world and other.config.fits_world):  # a given model has its own options
        fits = differences(to_json(one.fitted.config), to_json(other.fitted.config))
        own = (*SEEDS, "epochs") if one.logs.refit else SEEDS  # a refit's epochs are what the first fit chose
        options = [name for name in options if not name.startswith("world_model.")]
        options += [f"world_model.{name}" for name in fits if name not in own]
    equal = one.config.train.seed == other.config.train.seed
    unlike = options and label == title(one.config.train.method)  # a label of the user's own joins unlike runs
    if equal or unlike:
        what = f"differ in {', '.join(options)}" if unlike else f"have seed {one.config.train.seed}"
        rename = f"`darlr train --out {other.folder} --resume --label NAME`" if other.folder else "the option label"
        raise RunError(
            f"{one.name}, {other.name}: both are {label} but {what}, so they are no seeds of one row; train "
            f"one with another seed, or name it with {rename}"
        )


def learned_rows(runs: Sequence[FinishedRun]) -> list[Entry]:
    """Each method's greedy and sampled policy, and the greedy one before training, one policy a seed."""
    methods: dict[str, list[FinishedRun]] = defaultdict(list)
    for one in runs:
        methods[one.config.label].append(one)
    entries = []
    for name, group in methods.items():
        policies, truth = [one.policy for one in group], find(group[0].config.train.method).truth
        kind: Kind = "truth" if truth else "learned"
        entries += [Entry(name, policies, kind), Entry(name, policies, kind, greedy=False)]
        entries.append(Entry(name + START, [one.start for one in group], "truth" if truth else "log"))
    return entries


def serving(runs: Sequence[FinishedRun], exit_rule: str) -> Callable[[Row], str | None]:
    """How each row of these runs is served; None for those that `darlr export` refuses.

    Of several seeds the first run counts. A run in memory is first saved into a folder, called RUN.
    """
    homes = {one.config.label: one.folder for one in reversed(runs)}

    def serve(row: Row) -> str | None:
        if row.sampled or (row.exit_aware and exit_rule == "distance"):
            return None
        folder = homes.get(row.name.removesuffix(START), runs[0].folder)
        if row.kind == "learned":
            ready = "the trained model" if folder is None else f"the run folder {quote(str(folder))}"
            return f"{ready} is ready for that."
        place = "RUN" if folder is None else quote(str(folder))
        saved = " (RUN is the folder that the model was saved into)" if folder is None else ""
        return f"darlr export {place} --row {quote(row.name)} --out FOLDER{saved}"

    return serve


def trained_windows(runs: Sequence[FinishedRun]) -> tuple[int, ...]:
    """The exit windows that runs were trained with; none where no user can leave."""
    sessions = [(one.config.train.session, one.logs.catalogue) for one in runs]
    return tuple(sorted({session.window for session, catalogue in sessions if can_leave(session, catalogue)}))
