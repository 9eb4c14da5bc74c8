"""Pictures of one run over its epochs: the learning curve, and the error of the reward estimates."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from darlr.errors import ConfigError
from darlr.evaluation.numbers import style
from darlr.evaluation.pictures import canvas
from darlr.evaluation.pictures.canvas import INK, LEARNED, LOGGED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {
    "reward": "shaped reward a turn, as learned",
    "estimate": "estimated reward a turn",
    "turns": "session length",
    "penalty": "uncertainty penalty",
    "similarity": "similarity gain",
    "diversity": "diversity gain",
}

MEASURES = {"R_tra": "R_tra", "greedy_return": "reward of a session"}
Record = Mapping[str, Any]
ONE_LINE = 60  # letters of a title that always fit a line
GAP = 0.062  # least distance of two labels, as a share of the height of their axes
Label = tuple[float, str, str]


def learning_curve(
    records: Sequence[Record],
    evaluations: Sequence[Record] = (),
    lines: Mapping[str, float] | None = None,
    title: str = "Learning curve",
    measure: str = "R_tra",
) -> "Figure":
    """Draw training over epochs, below the evaluations, if any, with other rows as horizontal lines.

    records: rows with `epoch` and any of PANELS. measure: a key of MEASURES. evaluations: rows with `epoch` and the
    measure. lines: name -> the measure. Raises MachineError without matplotlib.
    """
    panels = [key for key in PANELS if any(record.get(key) is not None for record in records)]
    depth = -(-len(panels) // 3)
    heights = [4.2] * bool(evaluations or not panels) + [1.7 * depth] * bool(panels)
    labels = _labels(lines or {})
    fitted = len(title) > ONE_LINE or GAP * len(labels) > 1
    figure = canvas.blank(0.3 + sum(heights), fitted=fitted)
    canvas.head(figure, title)
    upper, small = (_fitted if fitted else _placed)(figure, heights, depth * bool(panels), labels)
    if upper is not None:
        _evaluated(upper, evaluations, labels, measure)
    for place, (axes, key) in enumerate(zip(small, panels, strict=False)):
        shown = [record for record in records if record.get(key) is not None]
        axes.plot(
            [r["epoch"] for r in shown],
            [r[key] for r in shown],
            color=LEARNED,
            linewidth=1.4,
            marker=_marker(len(shown)),
        )
        axes.set_title(PANELS[key], fontsize=9, loc="left", color=INK)
        canvas.whole_epochs(axes)
        canvas.small(axes)
        axes.set_xlabel("epoch" if place >= len(panels) - 3 else "", fontsize=9)
    for axes in small[len(panels) :]:
        axes.set_visible(False)
    return canvas.finished(figure)


Panels = tuple["Axes | None", "Sequence[Axes]"]  # the upper picture, if there is one, and the small ones below


def _fitted(figure: "Figure", heights: Sequence[float], depth: int, labels: Sequence[Label]) -> Panels:
    """Make panels whose margins are fitted to their texts."""
    # two sub-figures, so that the labels beside the upper picture do not narrow the lower ones
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    upper = parts[0].add_subplot() if len(heights) > bool(depth) else None
    return upper, parts[-1].subplots(depth, 3, squeeze=False).ravel() if depth else []


def _placed(figure: "Figure", heights: Sequence[float], depth: int, labels: Sequence[Label]) -> Panels:
    """Make panels at places that leave room for usual texts; inches are from below."""
    height, below = 0.3 + sum(heights), heights[-1] if depth else 0.0
    upper: Any = None
    small: Any = []
    if len(heights) > bool(depth):
        beside = 0.3 + 0.07 * max((len(text) for _, text, _ in labels), default=0)  # labels of 8.5 points
        place = {"top": 1 - 0.7 / height, "bottom": (below + 0.6) / height, "right": 1 - beside / canvas.WIDTH}
        upper = figure.add_gridspec(1, 1, left=0.09, **place).subplots()
    if depth:
        room = (below - 0.8 - 0.55 * (depth - 1)) / depth  # of one panel, without its title and its ticks
        top = (below - 0.3) / height
        grid = figure.add_gridspec(
            depth, 3, left=0.09, right=0.985, top=top, bottom=0.5 / height, wspace=0.4, hspace=0.55 / room
        )
        small = grid.subplots(squeeze=False).ravel()
    return upper, small


def _labels(lines: Mapping[str, float]) -> list[Label]:
    """Return the labels of other rows: value, text, colour."""
    form = style(lines.values(), least=1)
    return [(v, f"{textwrap.shorten(name, 34, placeholder='…')}  {v:{form}}", INK) for name, v in lines.items()]


def _marker(points: int) -> str | None:
    """Return the marker of a line, as one or two points are hardly visible without one."""
    return "o" if points < 3 else None


def _evaluated(axes: "Axes", evaluations: Sequence[Record], labels: Sequence[Label], measure: str) -> None:
    epochs = np.array([record["epoch"] for record in evaluations], dtype=float)
    values = np.array([record[measure] for record in evaluations], dtype=float)
    if len(values):
        many = len(values) > 20
        axes.plot(epochs, values, ".", color=LEARNED, alpha=0.35 if many else 0.9, markersize=4 if many else 6)
        axes.plot(epochs, smooth(values), color=LEARNED, linewidth=2.2)
        axes.set_title("dots: evaluations, line: running mean", fontsize=9, loc="right", color=INK)
    kept = evaluations[-1].get("kept") if measure == "greedy_return" and evaluations else None
    if kept:
        axes.axvline(kept, color=LEARNED, linewidth=1, linestyle=":", zorder=0)
        axes.set_title(f"dotted: epoch {kept}, which is handed over", fontsize=9, loc="left", color=INK)
    for value, _, _ in labels:
        axes.axhline(value, color=LOGGED, linewidth=1, linestyle=(0, (5, 3)), zorder=0)
    axes.set_ylabel(MEASURES[measure], fontsize=10)
    axes.set_xlabel("epoch", fontsize=9)
    axes.margins(y=0.08)
    canvas.whole_epochs(axes)
    canvas.end_labels(axes, labels, gap=GAP)


def smooth(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Compute the centred running mean over a tenth of the points, shorter at both ends."""
    reach = len(values) // 20
    total = np.concatenate([[0.0], values.cumsum()])
    place = np.arange(len(values))
    start, stop = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(values))
    return np.asarray((total[stop] - total[start]) / (stop - start))


def estimation_error(records: Sequence[Record], title: str = "Error of the estimated reward") -> "Figure":
    """Draw the errors of the frozen and the dynamic reward over training, one panel for each interval of true reward.

    records: rows with `epoch`, and with `frozen` and `dynamic` from `reward_error`. Raises ConfigError for no records,
    and MachineError without matplotlib.
    """
    if not records:
        raise ConfigError("no reward errors were recorded, so there is nothing to plot")
    names = list(dict.fromkeys(name for record in records for name in record["frozen"]))
    columns = min(3, len(names))
    depth = -(-len(names) // columns)
    height, fitted = 0.9 + 2.1 * depth, len(title) > ONE_LINE
    figure = canvas.blank(height, fitted=fitted)
    if not fitted:  # room for the titles above and the legend below
        figure.subplots_adjust(0.08, 0.75 / height, 0.99, 1 - 0.55 / height, wspace=0.09, hspace=0.34)
    panels = figure.subplots(depth, columns, squeeze=False, sharey=True).ravel()
    for place, (axes, name) in enumerate(zip(panels, names, strict=False)):
        for source, colour, dashes in (
            ("frozen", canvas.SERIES[1], (0, (4, 2))),
            ("dynamic", canvas.SERIES[0], "solid"),
        ):
            shown = [record for record in records if name in record[source]]
            axes.plot(
                [r["epoch"] for r in shown],
                [r[source][name] for r in shown],
                color=colour,
                linestyle=dashes,
                linewidth=1.8,
                marker=_marker(len(shown)),
                markersize=4,
                label=f"{source} reward",
            )
        axes.set_title("all cells" if name == "all" else f"true reward {name}", fontsize=9.5, loc="left", color=INK)
        canvas.whole_epochs(axes)
        canvas.small(axes)
        if place % columns == 0:
            axes.set_ylabel("mean absolute error", fontsize=9)
        if place >= len(names) - columns:
            axes.set_xlabel("epoch", fontsize=9)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    panels[0].set_ylim(bottom=0)  # shared, so only once every line is drawn
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center" if fitted else "lower center", ncols=2, frameon=False, fontsize=9
    )
    canvas.head(figure, title)
    return canvas.finished(figure)
