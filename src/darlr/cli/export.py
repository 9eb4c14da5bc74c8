"""`darlr export`: a row of a run's tables that needs no ground truth, as a policy for serving."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from shlex import quote

from darlr.agents.learner import leaving
from darlr.cli.policy_options import Export
from darlr.errors import ConfigError, MachineError, RunError
from darlr.evaluation.evaluate import can_avoid
from darlr.evaluation.lists import Entry, exit_aware, log_rows
from darlr.evaluation.verdict import START
from darlr.experiments.finished import FinishedRun, open_run
from darlr.experiments.progress import say
from darlr.experiments.runs import CONFIG
from darlr.experiments.training import train_run
from darlr.io.files import naming
from darlr.io.hints import perhaps
from darlr.methods import find
from darlr.options import OWN
from darlr.policies.fixed import FixedList, UserGreedy
from darlr.serving.folder import METADATA, export, export_table
from darlr.serving.read import open_policy
from darlr.serving.versions import add_version, in_use, point
from darlr.world.estimates import estimate_of

Write = Callable[[Path], None]  # writes a policy into a folder


def run(options: Export) -> None:
    """Write the policy folder of a row; an unknown row is refused before anything is written."""
    if options.out is None and options.to is None:
        raise ConfigError("option out: give it, for a single policy, or --to, for a folder of versions")
    if options.out is not None and options.to is not None:
        raise ConfigError("option to: give it, or --out, and not both")
    if options.out is not None and options.out.exists() and not (options.out / METADATA).is_file():
        raise RunError(f"{options.out}: exists and is no policy folder; choose another folder (option out)")
    if options.to is not None and ((options.to / METADATA).exists() or (options.to / CONFIG).exists()):
        what = "a policy folder" if (options.to / METADATA).exists() else "the folder of a run"
        raise RunError(f"{options.to}: is {what}; choose another one for versions (option to)")
    found = open_run(options.run)
    if options.refit and found.fitted.config.kind == "given":
        raise ConfigError(
            f"option refit: {found.name} learned from factors of another library, which are not fitted here; fit "
            "them there to the whole log, train on them with split.evaluation 0, and export that run without refit"
        )
    row = options.row or found.config.label
    form = for_onnx if options.onnx else lambda write: write
    write = form(writer(found, row))
    place = options.out or options.to
    assert place is not None
    if options.refit:
        with naming(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            made = tempfile.TemporaryDirectory(dir=place.parent, prefix=".refit-")
        with made as home:
            try:
                write = form(writer(refitted(found, row, home), row))
            except KeyboardInterrupt:
                raise KeyboardInterrupt("interrupted while fitting again; nothing was exported") from None
            _put(write, options)
    else:
        _put(write, options)
    say(f"policy of {row} in {place}; use it with: darlr recommend {quote(str(place))} --user ID")


def _put(write: Write, options: Export) -> None:
    """Write the policy into the folder, or among the versions of one."""
    if options.out is not None:
        write(options.out)
        return
    assert options.to is not None
    before = in_use(options.to)
    name = add_version(options.to, write, lambda folder: open_policy(folder).version)
    point(options.to, name)
    back = f"; go back with: darlr point {quote(str(options.to))} {before}" if before not in (None, name) else ""
    say(f"version {name} is in use in {options.to}{back}")


def for_onnx(write: Write) -> Write:
    """The function that writes the policy that `write` writes, for ONNX Runtime. Raises MachineError without onnx."""
    if find_spec("onnx") is None:
        raise MachineError("option onnx: needs the extra `onnx`: pip install 'darlr[onnx]'")
    from darlr.serving.exported.write import export_onnx

    def written(folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="darlr-export-") as place:
            write(Path(place, "policy"))
            export_onnx(Path(place, "policy"), folder)

    return written


def writer(found: FinishedRun, row: str) -> Write:
    """A function that writes the row's policy into a folder; ConfigError where the run has no such row."""
    name, train = found.config.label, found.config.train
    if find(train.method).truth and row.removesuffix(START) == name:
        raise ConfigError(f"option row: {row} learned from the ground truth; it is a reference and no policy to serve")
    if row in (name, name + START):
        chosen = found.recommender if row == name else found.untrained
        return lambda folder: export(chosen, found.world, found.logs.known, train, folder, found.closed_form)
    entries = rows_of(found)
    if row not in entries:
        known = [name, name + START, *entries]
        problem = f"the run has no row {row!r} that can be served; {perhaps(row, known, 'choose one')}"
        raise ConfigError(f"option row: {problem}; these can: {', '.join(map(repr, known))}")
    entry = entries[row]
    rule = leaving(found.world, train) if entry.exit_aware else None
    if entry.exit_aware and rule is None:
        raise ConfigError(f"option row: {row} avoids exits by {train.session.exit}, which served policies cannot do")
    (policy,) = entry.policies
    assert isinstance(policy, FixedList | UserGreedy)
    table = policy.value[None] if isinstance(policy, FixedList) else estimate_of(policy.table).whole()
    return lambda folder: export_table(table, rule, found.world, found.logs.known, folder)


def rows_of(found: FinishedRun) -> dict[str, Entry]:
    """The run's rows that learn from the log alone, by name."""
    logs, train = found.logs, found.config.train
    plain = log_rows([logs.source(found.world, train.tables)])
    twins = exit_aware(plain) if can_avoid(train.session, logs.catalogue) else []
    return {entry.name: entry for entry in [*plain, *twins]}


def refitted(found: FinishedRun, row: str, place: str) -> FinishedRun:
    """The run again on the whole log, with the events that were held out or kept for evaluation.

    A learned policy is trained for as many epochs as the one that the run hands over.
    """
    before, epochs = found.config, found.epoch if row == found.config.label else 0
    split, train = replace(before.split, refit=True, evaluation=0.0), replace(before.train, epochs=epochs, keep="last")
    train_run(replace(before, world=OWN, split=split, train=train), Path(place, "run"), watch=False)
    return open_run(Path(place, "run"))
