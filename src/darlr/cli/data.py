"""`darlr data`: prepare and inspect data sets."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote

from rich.console import Console

from darlr.cli.data_options import SAYS_NO, Check, Data, Decisions, Download, Info, ListSets, Prepare, Table
from darlr.data.log import InteractionLog
from darlr.data.profile import profile
from darlr.data.profile_text import text, to_json
from darlr.data.report import PrepareReport
from darlr.data.scope import scope_of
from darlr.data.sets.download import download
from darlr.data.sets.registry import listed, public_set
from darlr.data.sources import prepare, raw_folder, read_source
from darlr.data.store import check_target
from darlr.errors import DarlrError
from darlr.evaluation.truth import Truth, load_truth, write_truth
from darlr.experiments import training
from darlr.experiments.alarms import check_against
from darlr.experiments.finished import open_run
from darlr.experiments.growth import read_new
from darlr.experiments.plan import check_options
from darlr.experiments.progress import say
from darlr.experiments.size import memory_needed, size_of
from darlr.experiments.update import source_of
from darlr.io.text import visible
from darlr.options import ColumnsConfig, RunConfig

console = Console()


def run(options: Data) -> int:
    """Prepare a data set, or describe one; the exit code is 3 where newer events raise an alarm."""
    if isinstance(options.action, Info):
        describe(*read_source(options.action.source))
    elif isinstance(options.action, Check):
        if options.action.against is not None:
            return compared(options.action, options.action.against)
        profiled(options.action)
    elif isinstance(options.action, ListSets):
        show(listed(raw_folder()))
    elif isinstance(options.action, Download):
        fetch(options.action)
    else:
        write(options.action)
    return 0


def write(options: Prepare) -> None:
    """Read, check and write one data set, with its truth where it is known."""
    source, out = options.source, options.source.out
    check_target(out)  # before reading, which can take minutes
    if isinstance(source, Table):
        check_options(source.table)
        prepare(source.table, out)
    elif isinstance(source, Decisions):
        from darlr.decisions.join import prepare as prepare_decisions  # polars, which other sources may do without

        columns = ColumnsConfig(category=source.category, reward_range=source.reward_range, name=source.name)
        prepare_decisions(source.log, out, source.feedback, columns, source.users, source.items, obp=source.obp)
    else:
        name, raw, own = type(source).__name__, getattr(source, "raw", None), getattr(source, "config", None)
        if own is not None:
            check_options(own)
        truth = load_truth(name, raw, own)
        prepare(name, out, raw=raw, options=own, notes=_of_truth(truth), finish=_with(truth))
    describe(*read_source(str(out)))
    data, run = quote(str(out)), quote(f"runs/{out.resolve().name}")
    say(f"prepared in {out}; next: darlr train --data {data} --out {run}")


def _of_truth(truth: Truth | None) -> list[str]:
    return [f"truth: {note}" for note in truth.notes] if truth is not None else []


def _with(truth: Truth | None) -> Callable[[Path], None]:
    """A function that writes the ground truth into the draft of a data set, so that both become visible at once."""
    return lambda draft: None if truth is None else write_truth(truth, draft)


def profiled(options: Check) -> None:
    """Print the profile of a data set, and the report of its reader."""
    log, report = read_source(options.source)
    found, refused = profile(log), refusal(log, options.source)
    if options.json:
        show(json.dumps(to_json(found, refused) | {"report": report.to_json()}, indent=2, allow_nan=False))
    else:
        show(f"{text(found, refused)}\n\n{report}")


def compared(options: Check, folder: Path) -> int:
    """Print what newer events say about a run, and return the exit code."""
    run = open_run(folder)
    source, gate = source_of(run)
    place = Path(options.source)
    columns = None if source.report is None else source.report.columns
    new = read_new(place, source, columns, {})
    found = check_against(run, source, gate, new)
    show(json.dumps(found.to_json(), indent=2, allow_nan=False) if options.json else str(found))
    return SAYS_NO if found.alarm else 0


def refusal(log: InteractionLog, data: str) -> str | None:
    """The error of `darlr train` on the data set with the default options; None where there is none."""
    try:
        training.prepare(RunConfig(data=data), log)
    except DarlrError as error:
        return str(error)
    return None


def fetch(options: Download) -> None:
    """Download a data set, and print its folder, its licence and whether its checksum was verified."""
    entry = public_set(options.name)
    found = download(entry, options.to or raw_folder(), options.mirror, progress=sys.stderr.isatty())
    if found.sha256 is not None:
        say(f"{entry.archive}: NOT verified, no checksum of it is known; its SHA-256 is {found.sha256}")
    say(f"{entry.name} is in {found.folder}; licence: {entry.licence}")
    if entry.by_hand:
        say(entry.by_hand)
    if options.to is not None:
        say(f"to use it: export DARLR_DATA={quote(str(options.to.resolve()))}")


def show(text: str) -> None:
    """Print a text as it is."""
    console.print(visible(text), soft_wrap=True, markup=False, highlight=False, emoji=False)


def describe(log: InteractionLog, report: PrepareReport) -> None:
    """Print a summary of the log, the memory that training needs, and the report of the reader."""
    scope = scope_of(log)
    offered = f"recommends {len(scope.items):,} of the items to {len(scope.users):,} of the users (unlogged cells)"
    lines = [] if scope.whole else [offered]
    for line in (log.describe(), *lines, f"training: {memory_needed(size_of(log, RunConfig()))}", str(report)):
        show(line)
