"""The pictures of a report: its rows, and what training did over its epochs."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from darlr.evaluation.evaluate import Row
from darlr.evaluation.pictures.bars import bar_chart
from darlr.evaluation.pictures.curves import estimation_error, learning_curve
from darlr.evaluation.report import heading
from darlr.experiments.entries import trained_windows
from darlr.experiments.finished import FinishedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Plots = Mapping[str, Callable[[], "Figure"]]


def run_plots(run: FinishedRun, rows: Sequence[Row], metrics: Sequence[dict[str, Any]], played_on: str = "") -> Plots:
    """Name -> what makes the picture: bars of the rows, the learning curve, the error of the estimated rewards.

    rows: of one setting. metrics: the log lines of training; where there are none, only the bars are made. played_on:
    what sessions were played on, where it is no truth.
    """
    data, unit = run.logs.whole.name, run.logs.unit
    played = heading(rows[0].mode, rows[0].window, trained_windows([run]))
    where = f", {played_on}" if played_on else ""
    found = {"rows": partial(bar_chart, rows, title=f"{data}{where}: mean summed reward a session ({played})")}
    if not metrics:
        return found
    watched = [row for row in metrics if "R_tra" in row]
    seen = [{**row, "estimate": unit.show(row["estimate"]), "penalty": unit.scale * row["penalty"]} for row in metrics]
    if watched:
        means, aware = {row.name: row.mean for row in rows if row.kind != "learned"}, ", exit-aware"
        # a twin that plays the same list would only draw the same line again
        lines = {n: mean for n, mean in means.items() if not n.endswith(aware) or mean != means[n.removesuffix(aware)]}
        curve = partial(learning_curve, seen, watched, lines, title=f"{data}: learning curve")
    else:
        measured = [row for row in metrics if "greedy_return" in row]
        title = f"{data}: {'what the policy earns greedily by the world model' if measured else 'learning curve'}"
        start = {"start": run.scores["start"]["shown"]} if measured else {}
        curve = partial(learning_curve, seen, measured, start, title=title, measure="greedy_return")
    estimated = [row for row in metrics if "dynamic" in row]
    error = {"estimation": partial(estimation_error, estimated)} if estimated else {}
    return {**found, "curve": curve, **error}
