"""`darlr evaluate`: the sound protocol on trained runs, beside the trivial rows, as tables and pictures."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from darlr.cli import Evaluate
from darlr.commands.stages import FinishedRun, Logs, console, open_run, resolved
from darlr.errors import ConfigError, RunError
from darlr.evaluation.evaluate import Row, can_leave, published_mean, settings, sound
from darlr.evaluation.lists import Entry, trivial_rows
from darlr.evaluation.plots import bar_chart, estimation_error, learning_curve
from darlr.evaluation.report import print_tables, write_report
from darlr.evaluation.statistics import compare
from darlr.evaluation.truth import Truth, load_truth
from darlr.runs import read_metrics
from darlr.world.bias import choose_bias, fit_bias


def run(options: Evaluate) -> None:
    """Evaluate runs on the same data; runs of one method are seeds of one row."""
    if not options.runs:
        raise ConfigError("option runs: name at least one run folder")
    runs = open_runs(options.runs)
    first = runs[0]
    torch.set_num_threads(first.config.train.threads)
    truth = load_truth(first.config.data, synthetic=first.config.synthetic)
    if truth is None:
        raise RunError(f"{first.folder}: data set {first.config.data} has no truth to evaluate on")
    session = resolved(first.config.train, first.logs.whole).session
    entries = learned_rows(runs)
    if options.only == "all":
        entries += trivial(runs, truth, exits=can_leave(session, first.logs.whole))
    rows = sound(entries, settings(session, first.logs.whole), truth, first.logs.train)
    out = options.out or first.folder
    metrics = read_metrics(first.folder)
    about = {
        "data": first.config.data,
        "exit": session.exit,
        "runs": [str(one.folder) for one in runs],
        "seeds": sorted({one.config.train.seed for one in runs}),
        "epochs": sorted({one.epoch for one in runs}),
    }
    leading = rows_of_first_setting(rows)
    best_learned, best_log = (
        max((row for row in leading if row.kind == kind), key=lambda row: row.mean, default=None)
        for kind in ("learned", "log")
    )
    comparisons = {}
    if best_learned is not None and best_log is not None:
        name = f"{best_learned.name} - {best_log.name}"
        comparisons[name] = compare(best_learned.returns, best_log.returns, generator=np.random.default_rng(0))
    published = published_mean(metrics) if len(runs) == 1 and any("R_tra" in row for row in metrics) else None
    write_report(out, rows, about=about, comparisons=comparisons, published=published)
    print_tables(leading)
    if options.pictures:
        draw(out, first.config.data, rows, metrics if len(runs) == 1 else [])
    console.print(
        f"all modes: {out / 'table.md'}, {out / 'table.json'}" + (", pictures beside" if options.pictures else "")
    )


def open_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """Open runs; RunError when they are not on the same data."""
    runs: list[FinishedRun] = []
    for folder in folders:
        opened = open_run(folder)
        if runs and opened.logs.checksum != runs[0].logs.checksum:
            raise RunError(f"{folder}: trained on other data than {runs[0].folder}; evaluate them apart")
        runs.append(opened)
    return runs


def learned_rows(runs: Sequence[FinishedRun]) -> list[Entry]:
    """Each method's greedy and sampled policy, one policy a seed."""
    methods: dict[str, list[FinishedRun]] = defaultdict(list)
    for one in runs:
        methods[label(one)].append(one)
    return [
        Entry(name if greedy else f"{name}, sampled", [one.policy for one in group], "learned", greedy=greedy)
        for name, group in methods.items()
        for greedy in (True, False)
    ]


def label(run: FinishedRun) -> str:
    """What a run is called in tables: its own label, or its method as published."""
    names = {"mbpo": "MBPO", "mopo": "MOPO", "dorl": "DORL", "roler": "ROLeR", "darlr": "DARLR"}
    return run.config.label or names[run.config.train.method]


def trivial(runs: Sequence[FinishedRun], truth: Truth, *, exits: bool) -> list[Entry]:
    """The trivial rows; those that come from a world model have one policy for each world model in the runs."""
    worlds = {str(one.world.reward.sum().item()): one for one in runs}.values()
    logs = runs[0].logs
    tables = {
        "bias-model list": [bias_table(one.logs) for one in worlds],
        "world-model greedy": [one.world.reward for one in worlds],
        "neighbour-table greedy": [one.world.neighbour_table(one.config.train.tables)[0] for one in worlds],
    }
    return trivial_rows(logs.fitted, truth, tables, exits=exits)


def bias_table(logs: Logs) -> Tensor:
    """The bias model's scores [U, I]: strengths chosen on the held-out part, fitted on what the world model saw."""
    chosen = choose_bias(logs.train, logs.held_out)
    model = fit_bias(logs.fitted, chosen.user_strength, chosen.item_strength)
    return torch.from_numpy(model.table())


def rows_of_first_setting(rows: Sequence[Row]) -> list[Row]:
    """NX_0 with the first exit window: the rows that people look at first."""
    return [row for row in rows if (row.mode, row.window) == (rows[0].mode, rows[0].window)]


def draw(out: Path, data: str, rows: Sequence[Row], metrics: Sequence[dict[str, object]]) -> None:
    """The bars of the first setting, the learning curve, and the error of the reward estimates."""
    leading = rows_of_first_setting(rows)
    bar_chart(out / "rows.png", leading, title=f"{data}: mean summed reward a session ({leading[0].mode})")
    if metrics:
        lines = {row.name: row.mean for row in leading if row.kind != "learned"}
        watched = [row for row in metrics if "R_tra" in row]
        learning_curve(out / "curve.png", metrics, watched, lines, title=f"{data}: learning curve")
        if any("dynamic" in row for row in metrics):
            estimation_error(out / "estimation.png", [row for row in metrics if "dynamic" in row])
