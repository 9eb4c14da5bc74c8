"""`darlr evaluate`: trained policies beside simple baselines, in tables and pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from darlr.cli.options import Evaluate
from darlr.errors import ConfigError, MachineError
from darlr.evaluation.result import Evaluation
from darlr.experiments.evaluate import evaluate, open_runs
from darlr.experiments.finished import FinishedRun
from darlr.experiments.progress import say
from darlr.io.places import require_writable
from darlr.io.text import visible
from darlr.options import Users


def run(options: Evaluate) -> None:
    """Evaluate the runs and write the report."""
    if not options.runs:
        raise ConfigError("name at least one run folder, such as darlr evaluate runs/demo")
    place = options.runs[0]
    out = options.out or (place / "without-truth" if options.without_truth else place)
    if options.out or place.is_dir():
        require_writable(out)  # before the work
    if options.decisions is not None:
        judge(options, options.decisions, out)
        return
    runs = open_runs(options.runs)
    chosen = {name: getattr(options, name) for name in ("only", "users", "without_truth", "pictures")}
    report(runs, out, **chosen)


def judge(options: Evaluate, log: Path, out: Path) -> None:
    """Judge policies by logged decisions, write the report, and print it."""
    from darlr.decisions.join import open_decisions  # polars, which other evaluations may do without
    from darlr.experiments.decided import worth
    from darlr.serving.read import open_policy

    names = [folder.resolve().name for folder in options.runs]
    labels = [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, options.runs, strict=True)]
    policies = [(label, open_policy(folder)) for label, folder in zip(labels, options.runs, strict=True)]
    found = worth(open_decisions(log, options.feedback), policies, options.choose, options.value)
    found.save(out, pictures=False)
    print(visible(str(found)))
    say(f"report: {out / 'decisions.md'}, {out / 'decisions.json'}")
    if options.pictures:
        _draw(lambda: found.save(out), "picture", out / "decisions.png")


def report(
    runs: Sequence[FinishedRun],
    out: Path,
    *,
    only: Literal["all", "learned"] = "all",
    users: Users | None = None,
    without_truth: bool = False,
    pictures: bool = True,
) -> None:
    """Evaluate opened runs, write the report into `out`, and print it."""
    found = evaluate(runs, only=only, users=users, without_truth=without_truth, out=out)
    write(found, out, pictures=pictures)


def write(found: Evaluation, out: Path, *, pictures: bool = True) -> None:
    """Write a report into `out`, and print it."""
    found.save(out, pictures=False)
    found.print_tables()
    for message in (*found.messages(), f"all modes: {out / 'table.md'}, {out / 'table.json'}"):
        say(message)
    if pictures:
        _draw(lambda: found.save_pictures(out), "pictures", out)
    say("\n" + " ".join(found.verdict))


def _draw(save: Callable[[], object], what: str, where: Path) -> None:
    """Save pictures, and say where. Without matplotlib there are none, because the tables are what counts."""
    try:
        save()
    except MachineError as error:
        say(f"no {what}: {error}, or pass --no-pictures")
    else:
        say(f"{what}: {where}")
