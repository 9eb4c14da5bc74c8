"""Pictures of a comparison: R_tra and MCD as bars, learning curves with bands, and measures against each other."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from darlr.evaluation.numbers import style
from darlr.evaluation.pictures import canvas
from darlr.evaluation.pictures.bars import KINDS, Bar, legend_of_kinds, plot_bars
from darlr.evaluation.pictures.canvas import INK, apart
from darlr.evaluation.pictures.curves import smooth
from darlr.experiments.study import panels
from darlr.experiments.study.assemble import Line, ModeTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plots(data: str, tables: Sequence[ModeTable], study: str) -> dict[str, Callable[[], "Figure"]]:
    """Return name -> the function that draws the picture, for the tables of NX_0."""
    found: dict[str, Callable[[], Figure]] = {}
    for table in tables:
        if table.mode != "NX_0" or not table.lines:
            continue
        tail = ("" if table.window is None else f"-n{table.window}") + "-new" * table.new
        title = data + (" (NX_0)" if table.window is None else f" (NX_0, N = {table.window})")
        title += ", new users" * table.new
        if study == "table":
            pictures = _of_table(table.greedy, title)
        elif study == "sparsity":
            pictures = {study: partial(panels.thinner_logs, table=table, title=f"{title}: thinner logs")}
        else:
            panel = panels.ablations if study == "ablations" else panels.sensitivity
            pictures = {study: partial(panel, lines=table.lines, title=f"{title}: {study}")}
        found |= {f"{name}{tail}": picture for name, picture in pictures.items()}
    return found


def _of_table(greedy: Sequence[Line], title: str) -> Mapping[str, Callable[[], "Figure"]]:
    """Return the pictures of the methods' table by name, without those that would show nothing."""
    learned = [line for line in greedy if line.variant.learned and line.row.kind != "log"]
    pictures = {"rows": partial(return_bars, lines=greedy, title=f"{title}: R_tra")}
    if np.ptp([line.row.length for line in greedy]) > 0.01:  # otherwise R_each shows the same as R_tra
        pictures["length"] = partial(scatter, lines=greedy, title=f"{title}: Length and R_each", measures=LENGTH)
    known = [line for line in greedy if line.row.random is not None]
    if known:
        pictures["random"] = partial(
            scatter, lines=known, title=f"{title}: the truth, and random feedback on new items", measures=BY_FEEDBACK
        )
    if any(line.row.majority is not None for line in greedy):
        pictures["mcd"] = partial(majority_bars, lines=greedy, title=f"{title}: MCD")
    if learned:
        pictures["curves"] = partial(
            learning_curves, lines=learned, title=f"{title}: R_tra after each epoch, actions sampled"
        )
    return pictures


def kind(line: Line) -> str:
    """Return the kind of a line, which sets its colour."""
    if line.row.kind != "log":
        return line.row.kind
    return "log" if line.variant.method == "trivial" else "baseline"


def return_bars(lines: Sequence[Line], title: str) -> "Figure":
    """Plot R_tra with its intervals, and a dot at rows that are tied with the first."""
    form = style(line.row.mean for line in lines)
    dots = [" ●" * bool(line.tied) for line in lines]
    bars = [
        Bar(line.label, line.row.mean, *line.row.interval, kind(line), f"{line.row.mean:{form}}{dot}")
        for line, dot in zip(lines, dots, strict=True)
    ]
    return plot_bars(bars, title, note="●: first, or tied with the first")


def majority_bars(lines: Sequence[Line], title: str) -> "Figure":
    """Plot MCD of the lines that have one. It has no interval."""
    known = [(line, line.row.majority) for line in lines if line.row.majority is not None]
    form = style(share for _, share in known)
    bars = [Bar(line.label, share, share, share, kind(line), format(share, form)) for line, share in known]
    return plot_bars(bars, title, note="share of majority categories")


def curve(line: Line) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the epochs [E] that every seed has, and R_tra after each of them, float64 [seeds, E]."""
    rows = [
        [(row["epoch"], row["R_tra"]) for row in result.about["curve"] if row.get("R_tra") is not None]
        for result in line.results
    ]
    length = min(map(len, rows), default=0)
    values = np.array([[value for _, value in seed[:length]] for seed in rows], dtype=float)
    return np.array([epoch for epoch, _ in rows[0][:length]] if rows else [], dtype=float), values


def learning_curves(lines: Sequence[Line], title: str) -> "Figure":
    """Plot the mean of every learned row over its seeds, with a band of one standard error to either side."""
    figure = canvas.blank(5.0)
    axes = figure.add_subplot()
    ends: list[tuple[float, str, str]] = []  # value, name, colour
    for place, line in enumerate(lines):
        epochs, values = curve(line)
        if not values.size:
            continue
        values = np.stack([smooth(seed) for seed in values])
        colour, dashes = canvas.line_look(place)
        mean = values.mean(0)
        axes.plot(epochs, mean, color=colour, linestyle=dashes, linewidth=1.9, marker="o" if len(epochs) < 3 else None)
        if len(values) > 1:
            error = values.std(0, ddof=1) / len(values) ** 0.5
            axes.fill_between(epochs, mean - error, mean + error, color=colour, alpha=0.13, linewidth=0)
        ends.append((float(mean[-1]), line.label, colour))
    form = style((value for value, *_ in ends), least=1)
    canvas.head(figure, title)
    axes.set_xlabel("epoch  (line: mean over seeds; band: ± 1 standard error over seeds)", fontsize=9, color=INK)
    axes.set_ylabel("R_tra, 100 random users", fontsize=9, color=INK)
    canvas.whole_epochs(axes)
    labels = [(value, f"{name}  {value:{form}}", colour) for value, name, colour in ends]
    canvas.end_labels(axes, labels, gap=0.05, weight="bold")
    return canvas.finished(figure)


Measures = tuple[str, str, str, tuple[str, str, str]]
"""Two measures of a row and the one that ranks rows, by their names in `Row`, and what pictures call the three."""
LENGTH = ("length", "each", "mean", ("Length (turns)", "R_each (reward a turn)", "R_tra"))
PLAYED = "R_tra, by the truth that sessions are played on"
BY_FEEDBACK = ("mean", "random", "random", (PLAYED, "R_random, by random feedback on new items", "R_random"))


def _columns(xs: np.ndarray[Any, Any], gap: float) -> list[list[int]]:
    """Group the indices of the values: neighbours within `gap` belong to one group."""
    columns: list[list[int]] = []
    for index in np.argsort(xs, kind="stable").tolist():
        if columns and xs[index] - xs[columns[-1][-1]] <= gap:
            columns[-1].append(index)
        else:
            columns.append([index])
    return columns


def scatter(lines: Sequence[Line], title: str, measures: Measures) -> "Figure":
    """Plot two measures against each other. Points have numbers by falling rank, whose names stand beside."""
    across, up, rank, (x_name, y_name, rank_name) = measures
    ordered = sorted(lines, key=lambda line: -getattr(line.row, rank))
    figure = canvas.blank(max(4.2, 0.6 + 0.165 * len(ordered)))
    axes = figure.add_subplot()
    xs = np.array([getattr(line.row, across) for line in ordered])
    ys = np.array([getattr(line.row, up) for line in ordered])
    ranks = [getattr(line.row, rank) for line in ordered]
    for line, x, y in zip(ordered, xs, ys, strict=True):
        colour, _ = KINDS[kind(line)]
        marker = "D" if kind(line) == "truth" else "o"
        axes.scatter(x, y, s=46, color=colour, edgecolor=INK, linewidth=0.5, marker=marker)
    width = float(np.ptp(xs)) or 1.0
    axes.set_xlim(xs.min() - 0.12 * width, xs.max() + 0.12 * width)
    tall = float(np.ptp(ys)) or 1.0
    axes.set_ylim(ys.min() - 0.1 * tall, ys.max() + 0.1 * tall)
    gap = 0.032 * 1.2 * tall
    for column in _columns(xs, 0.02 * width):  # the numbers of points that lie above each other are moved apart
        same = sorted(column, key=lambda index: ys[index])
        right = float(xs[same].max()) + 0.025 * width
        for index, height in zip(same, apart([float(ys[i]) for i in same], gap), strict=True):
            axes.plot([xs[index], right], [ys[index], height], color=INK, linewidth=0.4, zorder=0)
            axes.text(right, height, str(index + 1), va="center", fontsize=7.5, color=INK)
    form = style(ranks, least=1)
    names = "\n".join(f"{n + 1}  {line.label}  {ranks[n]:{form}}" for n, line in enumerate(ordered))
    axes.text(1.03, 1.0, f"row, by {rank_name}\n{names}", transform=axes.transAxes, va="top", fontsize=7.5, color=INK)
    canvas.head(figure, title)
    axes.set_xlabel(x_name, fontsize=9, color=INK)
    axes.set_ylabel(y_name, fontsize=9, color=INK)
    legend_of_kinds(figure, {kind(line) for line in ordered})
    return canvas.finished(figure)
