"""Horizontal bars with intervals, coloured by the kind of a row."""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from darlr.errors import ConfigError
from darlr.evaluation.evaluate import Row
from darlr.evaluation.numbers import style
from darlr.evaluation.pictures import canvas
from darlr.evaluation.pictures.canvas import BASELINE, INK, LEARNED, LOGGED, TRUTH
from darlr.evaluation.report import heading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The kind of a bar -> its colour and its name in the legend.
KINDS = {
    "learned": (LEARNED, "learned in the simulator"),
    "baseline": (BASELINE, "bandit, model-free or supervised"),
    "log": (LOGGED, "trivial, from logs alone"),
    "truth": (TRUTH, "reads what is played on: reference only"),
}


@dataclass(frozen=True)
class Bar:
    """One bar. low, high: the ends of its interval. kind: a key of KINDS. text: the text beside the bar."""

    label: str
    value: float
    low: float
    high: float
    kind: str
    text: str


def bar_chart(rows: Sequence[Row], title: str | None = None) -> "Figure":
    """Draw the rows of one setting as horizontal bars with 95% intervals, the largest on top.

    Raises ConfigError for no rows or rows of several settings, and MachineError without matplotlib.
    """
    if len({(row.mode, row.window) for row in rows}) != 1:
        raise ConfigError("a bar chart shows the rows of exactly one mode and exit window; choose them first")
    names = [row.name + (" (sampled)" if row.sampled and row.kind == "learned" else "") for row in rows]
    form = style(row.mean for row in rows)
    bars = [
        Bar(textwrap.fill(name, 40), row.mean, *row.interval, row.kind, format(row.mean, form))
        for name, row in zip(names, rows, strict=True)
    ]
    return plot_bars(bars, title or heading(rows[0].mode, rows[0].window, new=rows[0].new), note="R_tra", pitch=0.34)


def plot_bars(
    bars: Sequence[Bar], title: str, *, note: str = "", pitch: float = 0.27, names: Mapping[str, str] | None = None
) -> "Figure":
    """Draw the bars, the largest on top.

    note: below the axis. pitch: inches a bar. names: what the legend calls kinds; None = as KINDS does. MachineError
    without matplotlib.
    """
    ordered = sorted(bars, key=lambda bar: bar.value)
    figure = canvas.blank(1.4 + pitch * len(ordered))
    axes = figure.add_subplot()
    values = np.array([bar.value for bar in ordered])
    low = np.array([bar.low for bar in ordered])
    high = np.array([bar.high for bar in ordered])
    place = np.arange(len(ordered))
    for patch, bar in zip(axes.barh(place, values, height=0.7), ordered, strict=True):
        patch.set(**_look(bar.kind))
    spread = np.maximum(np.stack([values - low, high - values]), 0.0)
    if spread.any():
        axes.errorbar(values, place, xerr=spread, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    left, right = window(values, low, high)
    axes.set_xlim(left, right)
    for index, bar in enumerate(ordered):
        axes.text(max(bar.high, 0.0) + (right - left) * 0.012, index, bar.text, va="center", fontsize=8.5, color=INK)
    axes.set_yticks(place, [bar.label for bar in ordered])
    for tick, bar in zip(axes.get_yticklabels(), ordered, strict=True):
        tick.set_color(LEARNED if bar.kind == "learned" else INK)
        tick.set_fontweight("bold" if bar.kind == "learned" else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    starts = "" if left <= 0 else f"(axis starts at {left:g})"
    axes.set_xlabel(f"{note}  {starts}".strip(), fontsize=9, color=INK)
    canvas.head(figure, title)
    legend_of_kinds(figure, {bar.kind for bar in ordered}, names)
    return canvas.finished(figure)


def window(means: np.ndarray[Any, Any], low: np.ndarray[Any, Any], high: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Return the ends of the value axis: from 0, or from a round number where bars are long and differences short."""
    bottom, top = min(float(low.min()), 0.0), max(float(high.max()), 0.0)
    spread = top - float(low.min())
    if float(low.min()) > 2 * spread > 0:
        step = 10.0 ** np.floor(np.log10(spread))
        bottom = float(np.floor((float(low.min()) - 0.3 * spread) / step) * step)
    width = top - bottom or 1.0
    return bottom - (0.03 * width if bottom < 0 else 0.0), top + 0.12 * width


def legend_of_kinds(figure: "Figure", kinds: Collection[str], names: Mapping[str, str] | None = None) -> None:
    """Draw the legend of these kinds below the picture. names: see `plot_bars`."""
    from matplotlib.patches import Patch

    called = {kind: name for kind, (_, name) in KINDS.items()} if names is None else names
    patches = [Patch(label=name, **_look(kind)) for kind, name in called.items() if kind in kinds]
    columns = len(patches) if len(patches) < 4 else 2
    figure.legend(handles=patches, loc="outside lower center", ncols=columns, frameon=False, fontsize=8.5)


def _look(kind: str) -> dict[str, Any]:
    colour, _ = KINDS[kind]
    hatched = {"hatch": "////", "edgecolor": "#8b949e"} if kind == "truth" else {"edgecolor": colour}
    return {"facecolor": colour, "linewidth": 0.6, **hatched}
