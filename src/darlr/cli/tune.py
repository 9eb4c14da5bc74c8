"""`darlr tune`: search options on held-out events of a log."""

from dataclasses import replace
from pathlib import Path

from darlr.cli.options import Tune
from darlr.cli.train import of_method
from darlr.experiments.logs import open_logs
from darlr.experiments.plan import check_options, ignored_by, without_effect
from darlr.experiments.progress import say
from darlr.experiments.study.executors import executor
from darlr.experiments.study.search import Found, Task, check, search
from darlr.experiments.study.tuned import Gap, gap, write
from darlr.io.files import naming
from darlr.io.places import require_writable
from darlr.methods import usual
from darlr.options.checks import require
from darlr.options.json import to_json
from darlr.options.names import named, override
from darlr.options.tuning import Range, space

defaults = of_method


def ranges(options: Tune) -> tuple[Range, ...]:
    """The ranges of the search. The usual ones of options that are set, or that the method ignores, are left out."""
    mine, own = (named(to_json(one)) for one in (options.config, usual(options.config.train.method)))
    fixed = [name for name, value in mine.items() if value != own[name] or ignored_by(options.train, name)]
    return space(options.objective, options.search, usual=options.usual, fixed=fixed)


def run(options: Tune) -> None:
    """Search, measure the optimism of the search in outer splits, and write the report."""
    runs_on = executor(options.executor, options.jobs, options.address)
    require(options.outer >= 0, "outer", f"must not be negative, not {options.outer}")
    share = options.outer_share
    require(0 < share < 1, "outer-share", f"must be above 0 and below 1, not {share}")
    for sentence in without_effect(options.config):
        say(f"warning: {sentence}")
    check_options(options.config)
    given = {name: getattr(options, name) for name in ("trials", "folds", "sampler", "batch", "prune")}
    logs = open_logs(options.config)
    task = check(Task(options.config, logs, options.objective, ranges(options), seed=options.search_seed, **given))
    place = options.cells or options.out / "cells"
    for folder in (options.out, place):
        require_writable(folder)
    with naming(place):
        place.mkdir(parents=True, exist_ok=True)
    cells = task.trials * task.folds * (1 + options.outer)
    amount = f"{task.trials} trials on {task.folds} folds, {options.outer} outer splits"
    say(f"{logs.whole.name}: {amount}: at most {cells} cells")
    found = search(task, place, runs_on)
    gaps = [outer(task, k + 1, options.outer_share, place, runs_on) for k in range(options.outer)]
    print("\n".join(write(task, found, gaps, options.out)))
    say(f"report: {options.out}")


def outer(task: Task, draw: int, share: float, place: Path, runs_on: object) -> Gap:
    """The gap of the same search in an outer split, whose set-aside events are those of `draw`."""
    base = override(task.base, {"split.draw": draw, "split.evaluation": share})
    found: Found = search(replace(task, base=base, logs=open_logs(base)), place, runs_on)  # type: ignore[arg-type]
    return gap(found)
