"""Pictures of the studies that change parts or weights of DARLR, as paired differences to DARLR itself."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from darlr.evaluation.numbers import style
from darlr.evaluation.pictures import canvas
from darlr.evaluation.pictures.canvas import INK, LEARNED, SERIES
from darlr.experiments.study.assemble import Line
from darlr.experiments.study.studies import WEIGHTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANGED = SERIES[1]
Change = tuple[float, float, float]  # difference to the base, and its 95% interval


def ablations(lines: Sequence[Line], title: str) -> "Figure":
    """Plot what each change of a part gains or loses, greedy and sampled."""
    greedy = [line for line in lines if not line.row.sampled]
    sampled = {line.source.variant.label: line for line in lines if line.row.sampled}
    changed = sorted((line for line in greedy if not line.source.variant.base), key=lambda line: -_change(line)[0])
    figure = canvas.blank(1.3 + 0.27 * len(changed))
    axes = figure.add_subplot()
    for place, line in enumerate(changed):
        other = sampled.get(line.source.variant.label)
        pairs = [(line, -0.14, LEARNED, "o"), *([(other, 0.14, canvas.BASELINE, "s")] if other else [])]
        for one, shift, colour, marker in pairs:
            middle, low, high = _change(one)
            sure = low > 0 or high < 0
            axes.plot([low, high], [place + shift] * 2, color=colour, linewidth=1.6)
            fill = colour if sure else "white"
            axes.plot(middle, place + shift, marker, color=colour, markerfacecolor=fill, markersize=5)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(changed)), [line.source.variant.label for line in changed], color=INK)
    axes.invert_yaxis()
    axes.set_xlabel(
        "R_tra minus DARLR's, 95%, paired over users and seeds\ncircle: greedy, square: sampled; filled: surely not 0",
        fontsize=8.5,
        color=INK,
    )
    base = next((line for line in greedy if line.source.variant.base), None)
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
        values = [_value(member) for member in members]
        changes = np.array([_change(member) for member in members])
        axes.axhline(0, color=CHANGED, linewidth=0.8)
        spread = np.abs(changes[:, 1:].T - changes[:, 0])
        look = {"color": LEARNED, "marker": "o", "markersize": 4, "linewidth": 1.7, "elinewidth": 0.8, "capsize": 2}
        axes.errorbar(values, changes[:, 0], yerr=spread, **look)
        for value, member in zip(values, members, strict=True):
            if not member.source.variant.options:
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
    """The greedy lines by the weight that they vary, in the order of its values."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        if line.source.variant.value is not None and not line.row.sampled:
            groups.setdefault(line.source.variant.group, []).append(line)
    order = [symbol for symbol, _ in WEIGHTS.values()]
    return {name: sorted(groups[name], key=_value) for name in sorted(groups, key=order.index)}


def _value(line: Line) -> float:
    """The place of a line on the axis."""
    return line.source.variant.value or 0.0


def _change(line: Line) -> Change:
    found = line.to_base
    return (0.0, 0.0, 0.0) if found is None else (found.difference, found.low, found.high)
