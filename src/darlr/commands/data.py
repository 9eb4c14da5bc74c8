"""`darlr data`: prepare and inspect data sets."""

import numpy as np
from rich.console import Console

from darlr.cli import Coat, Data, Info, Prepare, Synthetic
from darlr.data.coat import read_coat
from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sources import raw_folder, read_source
from darlr.data.store import save
from darlr.evaluation.truth import Truth, load_truth, write_truth

console = Console()


def run(options: Data) -> None:
    """Prepare a data set, or say what is in one."""
    if isinstance(options.action, Info):
        describe(*read_source(options.action.source))
    else:
        prepare(options.action)


def prepare(options: Prepare) -> None:
    """Read, check and write one data set, with its truth where it is known."""
    source = options.source
    truth: Truth | None = None
    if isinstance(source, Coat):
        raw = source.raw or raw_folder()
        log, report = read_coat(raw / "coat")
        truth = load_truth("coat", raw)
    elif isinstance(source, Synthetic):
        log, report = read_source("synthetic", synthetic=source.world)
        truth = load_truth("synthetic", synthetic=source.world)
    else:
        raise AssertionError
    save(log, source.out, report)
    if truth is not None:
        write_truth(truth, source.out)
    describe(log, report)
    console.print(f"prepared in {source.out}; next: darlr train --data {source.out} --out runs/{source.out.name}")


def describe(log: InteractionLog, report: PrepareReport) -> None:
    """Counts, density, rewards, features, and what the reader dropped."""
    cells = log.n_users * log.n_items
    low, high = float(log.reward.min()), float(log.reward.max())
    features = [f"{c.name} ({c.kind})" for c in (*log.user_features, *log.item_features)]
    console.print(f"[bold]{log.name}[/]: {len(log):,} events, {log.n_users:,} users, {log.n_items:,} items")
    console.print(f"density {len(log) / cells:.2%}, rewards {low:g} to {high:g}, mean {float(np.mean(log.reward)):.3f}")
    console.print(f"timestamps: {'yes' if log.timestamp is not None else 'no'}; category: {log.category or 'none'}")
    console.print(f"features: {', '.join(features) or 'none'}")
    console.print(str(report))
