"""Pictures of a run as PNG: learning curve, rows with intervals, reward estimation error. Needs darlr[plots]."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darlr.errors import ConfigError
from darlr.evaluation.evaluate import Row
from darlr.evaluation.report import heading
from darlr.files import atomic_write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, DPI = 8.0, 200  # inches, pixels an inch: the text stays readable when shown 1000 pixels wide
LEARNED, LOGGED, TRUTH, INK = "#1b6ca8", "#9aa5b1", "#d9dde2", "#333a42"
SERIES = ("#1b6ca8", "#d1495b", "#edae49", "#00798c", "#7b5ea7", "#66a182")
PANELS = {
    "reward": "shaped reward a step",
    "estimate": "estimated reward a step",
    "turns": "session length",
    "penalty": "uncertainty penalty",
    "similarity": "similarity gain",
    "diversity": "diversity gain",
}

Record = Mapping[str, Any]


def learning_curve(
    path: Path,
    records: Sequence[Record],
    evaluations: Sequence[Record] = (),
    lines: Mapping[str, float] | None = None,
    title: str = "Learning curve",
) -> None:
    """Training over epochs, with evaluation points above and the trivial rows as horizontal lines.

    records: metrics rows with `epoch` and any of reward, estimate, turns, penalty, similarity, diversity.
    evaluations: rows with `epoch` and `R_tra`. lines: name -> R_tra. Raises ConfigError without matplotlib.
    """
    panels = [key for key in PANELS if any(record.get(key) is not None for record in records)]
    depth = -(-len(panels) // 3)
    figure = _figure(4.2 + 1.7 * depth)
    # two sub-figures, so that the labels beside the upper picture do not narrow the lower ones
    upper, *lower = figure.subfigures(
        1 + min(depth, 1), 1, squeeze=False, height_ratios=[4.2, 1.7 * depth][: 1 + depth]
    )[:, 0]
    _evaluated(upper.add_subplot(), evaluations, lines or {}, title)
    small = lower[0].subplots(depth, 3, squeeze=False).ravel() if lower else []
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
        _whole_epochs(axes)
        axes.set_xlabel("epoch" if place >= len(panels) - 3 else "", fontsize=9)
    for axes in small[len(panels) :]:
        axes.set_visible(False)
    _save(figure, path)


def _marker(points: int) -> str | None:
    """A line of one or two points would hardly be seen without markers."""
    return "o" if points < 3 else None


def _evaluated(axes: "Axes", evaluations: Sequence[Record], lines: Mapping[str, float], title: str) -> None:
    epochs = np.array([record["epoch"] for record in evaluations], dtype=float)
    values = np.array([record["R_tra"] for record in evaluations], dtype=float)
    if len(values):
        many = len(values) > 20
        axes.plot(epochs, values, ".", color=LEARNED, alpha=0.35 if many else 0.9, markersize=4 if many else 6)
        axes.plot(epochs, _smooth(values), color=LEARNED, linewidth=2.2)
        axes.set_title("dots: evaluations, line: running mean", fontsize=9, loc="right", color=INK)
    for value in lines.values():
        axes.axhline(value, color=LOGGED, linewidth=1, linestyle=(0, (5, 3)), zorder=0)
    axes.set_title(title, fontsize=12, loc="left", color=INK, fontweight="bold")
    axes.set_ylabel("R_tra", fontsize=10)
    axes.set_xlabel("epoch", fontsize=9)
    axes.margins(y=0.08)
    _whole_epochs(axes)
    low, high = axes.get_ylim()
    named = sorted(lines.items(), key=lambda pair: pair[1])
    heights = _apart([value for _, value in named], (high - low) * 0.062)
    for (name, value), height in zip(named, heights, strict=True):
        axes.annotate(
            f"{textwrap.shorten(name, 34, placeholder='…')}  {value:.1f}",
            xy=(1, value),
            xytext=(1.02, height),
            xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
            color=INK,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": LOGGED,
                "linewidth": 0.7,
                "shrinkA": 2,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def _smooth(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Centred running mean over a tenth of the points, shorter at both ends."""
    reach = len(values) // 20
    total = np.concatenate([[0.0], values.cumsum()])
    place = np.arange(len(values))
    start, stop = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(values))
    return np.asarray((total[stop] - total[start]) / (stop - start))


def _apart(values: Sequence[float], gap: float) -> list[float]:
    """Heights for labels of rising values, at least `gap` apart and as near to the values as that allows."""
    groups: list[tuple[float, int]] = []  # centre and size of labels that touch
    for value in values:
        centre, size = value, 1
        while groups and centre - groups[-1][0] < gap * (size + groups[-1][1]) / 2:
            other, count = groups.pop()
            centre, size = (centre * size + other * count) / (size + count), size + count
        groups.append((centre, size))
    return [centre + gap * (place - (size - 1) / 2) for centre, size in groups for place in range(size)]


def bar_chart(path: Path, rows: Sequence[Row], title: str | None = None) -> None:
    """One setting's rows as horizontal bars with 95% intervals, the largest on top.

    Learned rows stand out; rows that read the truth are hatched. Raises ConfigError for no rows, or rows of several
    settings, and without matplotlib.
    """
    if len({(row.mode, row.window) for row in rows}) != 1:
        raise ConfigError("a bar chart shows the rows of exactly one mode and exit window; choose them first")
    ordered = sorted(rows, key=lambda row: row.mean)
    figure = _figure(1.5 + 0.34 * len(ordered))
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
    left, right = _window(means, low, high)
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
    _save(figure, path)


def _window(means: np.ndarray[Any, Any], low: np.ndarray[Any, Any], high: np.ndarray[Any, Any]) -> tuple[float, float]:
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


def estimation_error(path: Path, records: Sequence[Record], title: str = "Error of the estimated reward") -> None:
    """Mean absolute error of the frozen and the dynamic reward over training, one panel a true-reward interval.

    records: rows with `epoch`, `frozen` and `dynamic`, the latter two from `reward_error`.
    Raises ConfigError for no records, and without matplotlib.
    """
    if not records:
        raise ConfigError("no reward errors were recorded, so there is nothing to draw")
    names = list(dict.fromkeys(name for record in records for name in record["frozen"]))
    columns = min(3, len(names))
    depth = -(-len(names) // columns)
    figure = _figure(0.9 + 2.1 * depth)
    panels = figure.subplots(depth, columns, squeeze=False, sharey=True).ravel()
    for place, (axes, name) in enumerate(zip(panels, names, strict=False)):
        for source, colour, style in (("frozen", SERIES[1], (0, (4, 2))), ("dynamic", SERIES[0], "solid")):
            shown = [record for record in records if name in record[source]]
            axes.plot(
                [r["epoch"] for r in shown],
                [r[source][name] for r in shown],
                color=colour,
                linestyle=style,
                linewidth=1.8,
                marker=_marker(len(shown)),
                markersize=4,
                label=f"{source} reward",
            )
        axes.set_title("all cells" if name == "all" else f"true reward {name}", fontsize=9.5, loc="left", color=INK)
        _whole_epochs(axes)
        if place % columns == 0:
            axes.set_ylabel("mean absolute error", fontsize=9)
        if place >= len(names) - columns:
            axes.set_xlabel("epoch", fontsize=9)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    panels[0].set_ylim(bottom=0)  # shared, so only once every line is drawn
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=12, x=0.01, ha="left", color=INK, fontweight="bold")
    _save(figure, path)


def _figure(height: float) -> "Figure":
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("pictures need matplotlib: pip install 'darlr[plots]'") from error
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _whole_epochs(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))


def _save(figure: "Figure", path: Path) -> None:
    """Plain look for every panel, then the file at once or not at all."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#b0b7bf")
        axes.tick_params(labelsize=9, color="#b0b7bf")
        if not axes.patches:
            axes.grid(color="#e8ebee", linewidth=0.8)
        axes.set_axisbelow(True)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    atomic_write_bytes(path, picture.getvalue())
