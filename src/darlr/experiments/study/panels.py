"""Pictures of the studies that change parts or weights of DARLR, or thin the log."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from darlr.evaluation.numbers import style
from darlr.evaluation.pictures import canvas
from darlr.evaluation.pictures.canvas import INK, LEARNED, SERIES, TRUTH
from darlr.experiments.study.assemble import Line, ModeTable
from darlr.experiments.study.grid import WEIGHTS
from darlr.experiments.study.sections import RANDOM, logs_of, thinned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANGED = SERIES[1]
WORSE = "#a3262a"
Change = tuple[float, float, float]  # difference to the base, and its 95% interval


def ablations(lines: Sequence[Line], title: str) -> "Figure":
    """Plot what each change of a part gains or loses, greedy and sampled."""
    greedy = [line for line in lines if not line.row.sampled]
    sampled = {line.variant.label: line for line in lines if line.row.sampled}
    changed = sorted((line for line in greedy if not line.variant.base), key=lambda line: -_change(line)[0])
    figure = canvas.blank(1.3 + 0.27 * len(changed))
    axes = figure.add_subplot()
    for place, line in enumerate(changed):
        other = sampled.get(line.variant.label)
        pairs = [(line, -0.14, LEARNED, "o"), *([(other, 0.14, canvas.BASELINE, "s")] if other else [])]
        for one, shift, colour, marker in pairs:
            middle, low, high = _change(one)
            sure = low > 0 or high < 0
            axes.plot([low, high], [place + shift] * 2, color=colour, linewidth=1.6)
            fill = colour if sure else "white"
            axes.plot(middle, place + shift, marker, color=colour, markerfacecolor=fill, markersize=5)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(changed)), [line.variant.label for line in changed], color=INK)
    axes.invert_yaxis()
    marks = "circle: greedy, square: sampled; filled: surely not 0"
    axes.set_xlabel(f"R_tra minus DARLR's, 95%, paired over users and seeds\n{marks}", fontsize=8.5, color=INK)
    base = next((line for line in greedy if line.variant.base), None)
    form = style(line.row.mean for line in greedy)
    canvas.head(figure, title + ("" if base is None else f"; DARLR {base.row.mean:{form}}"))
    return canvas.finished(figure)


def sensitivity(lines: Sequence[Line], title: str) -> "Figure":
    """Plot a panel for each weight, with its default marked."""
    groups = _groups(lines)
    columns = min(3, max(1, len(groups)))
    depth = -(-len(groups) // columns)
    figure = canvas.blank(0.9 + 2.3 * depth)
    panels = figure.subplots(depth, columns, squeeze=False, sharey=True).ravel()
    for place, (axes, (name, members)) in enumerate(zip(panels, groups.items(), strict=False)):
        values = [member.variant.value or 0.0 for member in members]
        changes = np.array([_change(member) for member in members])
        axes.axhline(0, color=CHANGED, linewidth=0.8)
        spread = np.abs(changes[:, 1:].T - changes[:, 0])
        look = {"color": LEARNED, "marker": "o", "markersize": 4, "linewidth": 1.7, "elinewidth": 0.8, "capsize": 2}
        axes.errorbar(values, changes[:, 0], yerr=spread, **look)
        for value, member in zip(values, members, strict=True):
            if not member.variant.options:
                axes.plot(value, 0, "D", color=CHANGED, markersize=7, zorder=3)
        if max(values) > 8 * min(values) > 0:
            axes.set_xscale("log")
            axes.minorticks_off()
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.set_title(name, fontsize=10, loc="left", color=INK)
        axes.set_ylabel("R_tra minus the default's" if place % columns == 0 else "", fontsize=8.5, color=INK)
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    canvas.head(figure, f"{title}  (red: the default; bars: 95%, paired over users and seeds)")
    return canvas.finished(figure)


def _groups(lines: Sequence[Line]) -> Mapping[str, list[Line]]:
    """Return the greedy lines by the weight that they vary, in the order of its values."""
    groups: dict[str, list[Line]] = {}
    for line in sorted(lines, key=lambda line: line.variant.value or 0.0):
        if line.variant.value is not None and not line.row.sampled:
            groups.setdefault(line.variant.group, []).append(line)
    order = [symbol for symbol, _ in WEIGHTS.values()]
    return {
        name: sorted(groups[name], key=lambda line: line.variant.value or 0.0)
        for name in sorted(groups, key=order.index)
    }


def _change(line: Line) -> Change:
    found = line.to_base
    return (0.0, 0.0, 0.0) if found is None else (found.difference, found.low, found.high)


def thinner_logs(table: ModeTable, title: str) -> "Figure":
    """Plot R_tra of rows by logs, shaded from random to the best, and red where a row fails."""
    rows = thinned(table)
    tails = logs_of(rows)
    means = np.array([[row.means.get(tail, np.nan) for tail in tails] for row in rows])
    form = style(means.ravel().tolist(), least=1)
    names = [row.name + (" †" if next(iter(row.lines.values())).row.kind == "truth" else "") for row in rows]
    ranked = [row.mean for row, name in zip(rows, names, strict=True) if not name.endswith("†")]
    figure = canvas.blank(1.3 + 0.24 * len(rows))
    axes = figure.add_subplot()
    low = next((row.mean for row in rows if row.name == RANDOM), float(np.nanmin(means)))
    axes.imshow(means, aspect="auto", cmap="Blues", vmin=low, vmax=low + 1.5 * (max(ranked, default=low + 1) - low))
    for (place, row), (column, tail) in ((a, b) for a in enumerate(rows) for b in enumerate(tails)):
        if tail not in row.lines:
            continue
        shade = means[place, column]
        fails = tail in row.failing
        dark = shade > low + 0.9 * (max(ranked, default=low + 1) - low)
        colour = WORSE if fails else ("white" if dark else INK)
        weight = "bold" if fails else "normal"
        axes.text(
            column, place, format(shade, form), ha="center", va="center", fontsize=8, color=colour, fontweight=weight
        )
    axes.set_yticks(range(len(rows)), names, color=INK)
    axes.set_xticks(range(len(tails)), [fill(tail, 9) for tail in tails], color=INK)
    axes.tick_params(length=0)
    canvas.head(figure, title)
    axes.set_xlabel("R_tra, greedy; red: not surely better than random; †: reads the truth", fontsize=9, color=INK)
    axes.set_facecolor(TRUTH)
    return canvas.finished(figure, grid=False)
