"""The rows of one table as horizontal bars with intervals."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darlr.errors import ConfigError
from darlr.evaluation import canvas
from darlr.evaluation.canvas import INK, LEARNED, LOGGED, TRUTH
from darlr.evaluation.evaluate import Row
from darlr.evaluation.report import heading

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def bar_chart(path: Path, rows: Sequence[Row], title: str | None = None) -> None:
    """One setting's rows as horizontal bars with 95% intervals, the largest on top.

    Learned rows stand out; rows that read the truth are hatched. Raises ConfigError for no rows, or rows of several
    settings, and without matplotlib.
    """
    if len({(row.mode, row.window) for row in rows}) != 1:
        raise ConfigError("a bar chart shows the rows of exactly one mode and exit window; choose them first")
    ordered = sorted(rows, key=lambda row: row.mean)
    figure = canvas.blank(1.5 + 0.34 * len(ordered))
    axes = figure.add_subplot()
    means = np.array([row.mean for row in ordered])
    low = np.array([row.interval[0] for row in ordered])
    high = np.array([row.interval[1] for row in ordered])
    place = np.arange(len(ordered))
    colours = {"learned": LEARNED, "log": LOGGED, "truth": TRUTH}
    for index, row in enumerate(ordered):
        axes.barh(
            index,
            row.mean,
            height=0.68,
            color=colours[row.kind],
            hatch="////" if row.kind == "truth" else None,
            edgecolor="#8b949e" if row.kind == "truth" else colours[row.kind],
            linewidth=0.6,
        )
    spread = np.maximum(np.stack([means - low, high - means]), 0.0)
    axes.errorbar(means, place, xerr=spread, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
    left, right = window(means, low, high)
    axes.set_xlim(left, right)
    for index, row in enumerate(ordered):
        axes.text(high[index] + (right - left) * 0.012, index, f"{row.mean:.2f}", va="center", fontsize=9, color=INK)
    names = [row.name + (" (sampled)" if row.sampled and row.kind == "learned" else "") for row in ordered]
    axes.set_yticks(place, [textwrap.fill(name, 40) for name in names], fontsize=9)
    for tick, row in zip(axes.get_yticklabels(), ordered, strict=True):
        tick.set_color(LEARNED if row.kind == "learned" else INK)
        tick.set_fontweight("bold" if row.kind == "learned" else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_xlabel("R_tra" + ("" if left == 0 else f"  (axis starts at {left:g})"), fontsize=9)
    _kinds(figure, {row.kind for row in ordered}, colours)
    axes.set_title(
        title or heading(rows[0].mode, rows[0].window), fontsize=12, loc="left", color=INK, fontweight="bold"
    )
    canvas.save(figure, path)


def window(means: np.ndarray[Any, Any], low: np.ndarray[Any, Any], high: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Ends of the value axis: from 0, or from a round number when every bar is long and the differences short."""
    bottom, top = min(float(low.min()), 0.0), float(high.max())
    spread = top - float(low.min())
    if float(low.min()) > 2 * spread > 0:
        step = 10.0 ** np.floor(np.log10(spread))
        bottom = float(np.floor((float(low.min()) - 0.3 * spread) / step) * step)
    width = top - bottom or 1.0
    return bottom, top + 0.12 * width


def _kinds(figure: "Figure", kinds: set[str], colours: Mapping[str, str]) -> None:
    from matplotlib.patches import Patch

    names = {"learned": "learned", "log": "trivial, from logs alone", "truth": "reads the truth: reference only"}
    patches = [
        Patch(
            facecolor=colours[kind],
            edgecolor="#8b949e",
            linewidth=0.6,
            hatch="////" if kind == "truth" else None,
            label=name,
        )
        for kind, name in names.items()
        if kind in kinds
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=9)
