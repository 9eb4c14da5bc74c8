"""Pictures of the studies that vary a number: DARLR's weights, one panel each, and thinner logs, all in one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darlr.comparison.assemble import Line
from darlr.evaluation import canvas
from darlr.evaluation.canvas import INK, LEARNED

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def sparsity(path: Path, lines: Sequence[Line], title: str) -> None:
    """Every method in one picture over the share of the log that is kept."""
    groups = groups_of(lines)
    figure = canvas.blank(5.2)
    axes = figure.add_subplot()
    ends = []
    for place, (name, members) in enumerate(groups.items()):
        colour, style = canvas.line_look(place)
        _line(axes, members, colour, style)
        ends.append((members[-1].row.mean, name, colour))
    axes.set_xscale("log")
    shares = sorted({share for members in groups.values() for share in map(value_of, members)})
    axes.set_xticks(shares, [f"{share:.0%}" for share in shares])
    axes.minorticks_off()
    axes.set_xlabel("share of the log that is kept", fontsize=9, color=INK)
    axes.set_ylabel("R_tra", fontsize=9, color=INK)
    canvas.end_labels(axes, ends, gap=0.045)
    canvas.head(axes, title)
    canvas.save(figure, path)


def sensitivity(path: Path, lines: Sequence[Line], title: str) -> None:
    """A small picture for each weight, the default marked."""
    groups = groups_of(lines)
    columns = min(3, max(1, len(groups)))
    depth = -(-len(groups) // columns)
    figure = canvas.blank(0.9 + 2.3 * depth)
    panels = figure.subplots(depth, columns, squeeze=False, sharey=True).ravel()
    for place, (axes, (name, members)) in enumerate(zip(panels, groups.items(), strict=False)):
        _line(axes, members, LEARNED, "solid")
        for member in members:
            if not member.source.variant.options:
                axes.plot(value_of(member), member.row.mean, "D", color=canvas.SERIES[1], markersize=7, zorder=3)
        values = [value_of(member) for member in members]
        if max(values) > 8 * min(values) > 0:
            axes.set_xscale("log")
            axes.minorticks_off()
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.set_title(name, fontsize=10, loc="left", color=INK)
        axes.set_ylabel("R_tra" if place % columns == 0 else "", fontsize=9, color=INK)
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    figure.suptitle(f"{title}  (red: the default; bars: 95%)", fontsize=11, x=0.01, ha="left", color=INK)
    canvas.save(figure, path)


def groups_of(lines: Sequence[Line]) -> Mapping[str, list[Line]]:
    """Greedy and trivial lines that have a place on an axis, by group, in the axis's order."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        variant = line.source.variant
        if variant.value is None or (line.row.sampled and line.source.learned):
            continue
        name = variant.group if line.source.learned else line.row.name.rpartition(", ")[0]
        groups.setdefault(name, []).append(line)
    return {name: sorted(members, key=value_of) for name, members in groups.items()}


def value_of(line: Line) -> float:
    """A line's place on the axis."""
    return line.source.variant.value or 0.0


def _line(axes: "Axes", members: Sequence[Line], colour: str, style: Any) -> None:
    values = [value_of(member) for member in members]
    means = np.array([member.row.mean for member in members])
    spread = np.abs(np.array([member.row.interval for member in members]).T - means)
    axes.errorbar(
        values,
        means,
        yerr=spread,
        color=colour,
        linestyle=style,
        linewidth=1.7,
        marker="o",
        markersize=4,
        elinewidth=0.8,
        capsize=2,
    )
