"""Pictures of a comparison: R_tra and MCD as bars, learning curves with bands, Length against R_each, studies."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darlr.comparison.assemble import Block, Line
from darlr.evaluation import canvas
from darlr.evaluation.bars import window
from darlr.evaluation.canvas import INK, LEARNED, LOGGED, TRUTH
from darlr.evaluation.curves import apart, smooth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASELINE = "#d99a2b"
COLOURS = {"learned": LEARNED, "baseline": BASELINE, "log": LOGGED, "truth": TRUTH}
KINDS = {
    "learned": "learned in the simulator",
    "baseline": "bandit, model-free or supervised",
    "log": "trivial, from logs alone",
    "truth": "reads the truth: reference only",
}
# Okabe and Ito's colours, told apart by colour-blind eyes; line styles tell apart what shares a colour.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333a42", "#7b5ea7")
STYLES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))


def draw(folder: Path, data: str, blocks: Sequence[Block], study: str) -> list[str]:
    """Every picture of the tables; returns their names. Raises ConfigError without matplotlib."""
    drawn = []
    for block in blocks:
        if block.mode != "NX_0" or not block.lines:
            continue
        tail = "" if block.window is None else f"-n{block.window}"
        title = data + (" (NX_0)" if block.window is None else f" (NX_0, N = {block.window})")
        greedy = [line for line in block.lines if not (line.row.sampled and line.source.learned)]
        pictures: dict[str, Callable[[Path], None]] = {}
        if study in ("table", "ablations"):
            pictures["rows"] = _bars_of(greedy, f"{title}: R_tra", lambda line: line.row.mean)
            if np.ptp([line.row.length for line in greedy]) > 0.01:  # else R_each says what R_tra says
                pictures["length"] = _scatter_of(greedy, f"{title}: Length and R_each")
            if any(line.row.majority is not None for line in greedy):
                shown = [line for line in greedy if line.row.majority is not None]
                pictures["mcd"] = _bars_of(
                    shown, f"{title}: share of majority categories (MCD)", lambda line: line.row.majority or 0.0
                )
            learned = [line for line in greedy if line.source.learned]
            if learned:
                pictures["curves"] = _curves_of(learned, f"{title}: R_tra after each epoch, actions sampled")
        else:
            pictures[study] = _panels_of(block.lines, f"{title}: {study}", together=study == "sparsity")
        for name, picture in pictures.items():
            picture(folder / f"{name}{tail}.png")
            drawn.append(f"{name}{tail}.png")
    return drawn


def kind(line: Line) -> str:
    """What a line is drawn as."""
    if line.row.kind != "log":
        return line.row.kind
    return "log" if line.source.variant.method == "trivial" else "baseline"


def _bars_of(lines: Sequence[Line], title: str, value: Callable[[Line], float]) -> Callable[[Path], None]:
    return lambda path: bars(path, lines, title, value)


def bars(path: Path, lines: Sequence[Line], title: str, value: Callable[[Line], float]) -> None:
    """Horizontal bars, the largest on top; R_tra with its intervals, and a dot at rows tied with the first."""
    ordered = sorted(lines, key=value)
    figure = canvas.blank(1.3 + 0.27 * len(ordered))
    axes = figure.add_subplot()
    values = np.array([value(line) for line in ordered])
    means = bool(np.array_equal(values, [line.row.mean for line in ordered]))
    low = np.array([line.row.interval[0] for line in ordered]) if means else values
    high = np.array([line.row.interval[1] for line in ordered]) if means else values
    place = np.arange(len(ordered))
    kinds = [kind(line) for line in ordered]
    for index, name in enumerate(kinds):
        axes.barh(
            index,
            values[index],
            height=0.7,
            color=COLOURS[name],
            hatch="////" if name == "truth" else None,
            edgecolor="#8b949e" if name == "truth" else COLOURS[name],
            linewidth=0.6,
        )
    left, right = window(values, low, high)
    if means:
        spread = np.maximum(np.stack([values - low, high - values]), 0.0)
        axes.errorbar(values, place, xerr=spread, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    axes.set_xlim(left, right)
    digits = 2 if abs(values).max() < 100 else 1
    for index, line in enumerate(ordered):
        mark = " ●" if means and line.tied else ""
        axes.text(
            high[index] + (right - left) * 0.012,
            index,
            f"{values[index]:.{digits}f}{mark}",
            va="center",
            fontsize=8,
            color=INK,
        )
    axes.set_yticks(place, [line.label for line in ordered], fontsize=8)
    for tick, name in zip(axes.get_yticklabels(), kinds, strict=True):
        tick.set_fontweight("bold" if name == "learned" else "normal")
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    note = "" if left == 0 else f"axis starts at {left:g}.  "
    axes.set_xlabel(note + ("●: first, or tied with the first" if means else ""), fontsize=8.5, color=INK)
    _head(axes, title)
    _legend(figure, kinds)
    canvas.save(figure, path)
    axes.tick_params(axis="y", length=0)


def _legend(figure: Any, kinds: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(
            facecolor=COLOURS[name],
            edgecolor="#8b949e",
            linewidth=0.6,
            hatch="////" if name == "truth" else None,
            label=label,
        )
        for name, label in KINDS.items()
        if name in kinds
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(2, len(patches)), frameon=False, fontsize=8.5)


def _head(axes: "Axes", title: str) -> None:
    axes.set_title(title, fontsize=11.5, loc="left", color=INK, fontweight="bold")


def curve(line: Line) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Epochs [E] that every seed has, and R_tra after each, float64 [seeds, E]."""
    rows = [
        [(row["epoch"], row["R_tra"]) for row in result.about["curve"] if row.get("R_tra") is not None]
        for result in line.results
    ]
    length = min(map(len, rows), default=0)
    values = np.array([[value for _, value in seed[:length]] for seed in rows], dtype=float)
    return np.array([epoch for epoch, _ in rows[0][:length]] if rows else [], dtype=float), values


def _curves_of(lines: Sequence[Line], title: str) -> Callable[[Path], None]:
    return lambda path: learning_curves(path, lines, title)


def learning_curves(path: Path, lines: Sequence[Line], title: str) -> None:
    """Every learned row in one picture: the mean over seeds, and a band of one standard error of it to either side."""
    figure = canvas.blank(5.0)
    axes = figure.add_subplot()
    ends: list[tuple[float, str, str]] = []
    for place, line in enumerate(lines):
        epochs, values = curve(line)
        if not values.size:
            continue
        values = np.stack([smooth(seed) for seed in values])
        colour, style = LINES[place % len(LINES)], STYLES[place // len(LINES) % len(STYLES)]
        mean = values.mean(0)
        axes.plot(epochs, mean, color=colour, linestyle=style, linewidth=1.9, marker="o" if len(epochs) < 3 else None)
        if len(values) > 1:
            error = values.std(0, ddof=1) / len(values) ** 0.5
            axes.fill_between(epochs, mean - error, mean + error, color=colour, alpha=0.13, linewidth=0)
        ends.append((float(mean[-1]), line.label, colour))
    _head(axes, title)
    axes.set_xlabel("epoch  (line: mean over seeds; band: ± 1 standard error over seeds)", fontsize=9, color=INK)
    axes.set_ylabel("R_tra, 100 random users", fontsize=9, color=INK)
    canvas.whole_epochs(axes)
    low, high = axes.get_ylim()
    ends.sort()
    for (value, name, colour), height in zip(ends, apart([end[0] for end in ends], (high - low) * 0.05), strict=True):
        axes.annotate(
            f"{name}  {value:.1f}",
            xy=(1, value),
            xytext=(1.03, height),
            xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
            color=colour,
            fontweight="bold",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.7,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )
    canvas.save(figure, path)


def _scatter_of(lines: Sequence[Line], title: str) -> Callable[[Path], None]:
    return lambda path: scatter(path, lines, title)


def scatter(path: Path, lines: Sequence[Line], title: str) -> None:
    """Length against R_each; numbers at the points, names beside, by falling R_tra; lines of equal R_tra."""
    ordered = sorted(lines, key=lambda line: -line.row.mean)
    figure = canvas.blank(max(4.2, 0.6 + 0.165 * len(ordered)))
    axes = figure.add_subplot()
    lengths = np.array([line.row.length for line in ordered])
    each = np.array([line.row.each for line in ordered])
    for line, x, y in zip(ordered, lengths, each, strict=True):
        name = kind(line)
        axes.scatter(
            x, y, s=46, color=COLOURS[name], edgecolor=INK, linewidth=0.5, marker="D" if name == "truth" else "o"
        )
    width = float(np.ptp(lengths)) or 1.0
    axes.set_xlim(lengths.min() - 0.12 * width, lengths.max() + 0.12 * width)
    tall = float(np.ptp(each)) or 1.0
    axes.set_ylim(each.min() - 0.1 * tall, each.max() + 0.1 * tall)
    gap = 0.032 * 1.2 * tall
    for x in np.unique(lengths.round(1)):  # numbers beside points that lie above each other are moved apart
        same = [index for index in np.argsort(each) if lengths[index].round(1) == x]
        for index, height in zip(same, apart([float(each[i]) for i in same], gap), strict=True):
            axes.text(lengths[index] + 0.02 * width, height, str(index + 1), va="center", fontsize=7.5, color=INK)
    names = "\n".join(f"{place}  {line.label}  {line.row.mean:.1f}" for place, line in enumerate(ordered, 1))
    axes.text(1.03, 1.0, "row, by R_tra\n" + names, transform=axes.transAxes, va="top", fontsize=7.5, color=INK)
    _head(axes, title)
    axes.set_xlabel("Length (turns)", fontsize=9, color=INK)
    axes.set_ylabel("R_each (reward a turn)", fontsize=9, color=INK)
    _legend(figure, [kind(line) for line in ordered])
    canvas.save(figure, path)


def _panels_of(lines: Sequence[Line], title: str, *, together: bool) -> Callable[[Path], None]:
    return lambda path: panels(path, lines, title, together=together)


def panels(path: Path, lines: Sequence[Line], title: str, *, together: bool) -> None:
    """Rows that vary a number: one small picture a group, or all groups in one (`together`, a share of the log)."""
    groups = groups_of(lines)
    if together:
        figure = canvas.blank(5.2)
        axes = figure.add_subplot()
        ends = []
        for place, (name, members) in enumerate(groups.items()):
            colour, style = LINES[place % len(LINES)], STYLES[place // len(LINES) % len(STYLES)]
            _line(axes, members, colour, style)
            ends.append((members[-1].row.mean, name, colour))
        axes.set_xscale("log")
        shares = sorted({share for members in groups.values() for share in map(value_of, members)})
        axes.set_xticks(shares, [f"{share:.0%}" for share in shares])
        axes.minorticks_off()
        axes.set_xlabel("share of the log that is kept", fontsize=9, color=INK)
        axes.set_ylabel("R_tra", fontsize=9, color=INK)
        low, high = axes.get_ylim()
        ends.sort()
        heights = apart([end[0] for end in ends], (high - low) * 0.045)
        for (_, name, colour), height in zip(ends, heights, strict=True):
            axes.text(1.02, height, name, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=colour)
        _head(axes, title)
    else:
        columns = min(3, max(1, len(groups)))
        depth = -(-len(groups) // columns)
        figure = canvas.blank(0.9 + 2.3 * depth)
        drawn = figure.subplots(depth, columns, squeeze=False, sharey=True).ravel()
        for place, (axes, (name, members)) in enumerate(zip(drawn, groups.items(), strict=False)):
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
        for axes in drawn[len(groups) :]:
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
