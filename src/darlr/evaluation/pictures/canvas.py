"""What every picture shares: a figure, its plain look, colours and labels, and a file at once or not at all."""

import io
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darlr.errors import MachineError
from darlr.io.files import atomic_write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.text import Text

WIDTH, DPI = 8.0, 200  # inches, pixels an inch: the text stays readable when shown 1000 pixels wide
LEARNED, LOGGED, TRUTH, INK = "#1b6ca8", "#9aa5b1", "#d9dde2", "#333a42"
BASELINE = "#d99a2b"
SERIES = ("#1b6ca8", "#d1495b", "#edae49", "#00798c", "#7b5ea7", "#66a182")
LONGEST = 40  # letters of a word: as many of the widest fill a line
# Okabe and Ito's colours, told apart by colour-blind eyes; line styles tell apart what shares a colour.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333a42", "#7b5ea7")
STYLES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))


def blank(height: float, *, fitted: bool = True) -> "Figure":
    """A figure without a display; raises MachineError without matplotlib.

    height: inches. fitted: whether margins are fitted to the texts in them, which takes most of the time of a picture
    with many panels; else the caller sets them.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MachineError("pictures need matplotlib: pip install 'darlr[plots]'") from error
    return Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained" if fitted else None, facecolor="white")


def line_look(place: int) -> tuple[str, Any]:
    """Colour and line style of the line at this place among many."""
    return LINES[place % len(LINES)], STYLES[place // len(LINES) % len(STYLES)]


def head(figure: "FigureBase", title: str) -> None:
    """The title of a picture, in as many lines as it needs."""
    broken = " ".join(textwrap.fill(word, LONGEST) for word in title.split())  # wrap breaks at spaces alone
    figure.suptitle(broken, x=0.01, ha="left", fontsize=11.5, color=INK, fontweight="bold", wrap=True)


def end_labels(axes: "Axes", labels: Sequence[tuple[float, str, str]], *, gap: float, weight: str = "normal") -> None:
    """Labels (value, text, colour) to the right of the axes, each tied to its value and apart from the others.

    gap: the least distance of two labels as a share of the axes' height. Call it when the limits are final.
    """
    from matplotlib.lines import Line2D

    low, high = axes.get_ylim()
    ordered = sorted(labels, key=lambda label: label[0])
    least = (high - low) * gap
    heights = within(apart([value for value, _, _ in ordered], least), least, low, high)
    place = axes.get_yaxis_transform()
    for (value, text, colour), height in zip(ordered, heights, strict=True):
        axes.text(1.025, height, text, transform=place, va="center", fontsize=8.5, color=colour, fontweight=weight)
        axes.add_artist(Line2D((1, 1.02), (value, height), transform=place, color=colour, linewidth=0.7, clip_on=False))


def apart(values: Sequence[float], gap: float) -> list[float]:
    """Heights for labels of rising values, at least `gap` apart and as near to the values as that allows."""
    groups: list[tuple[float, int]] = []  # centre and size of labels that touch
    for value in values:
        centre, size = value, 1
        while groups and centre - groups[-1][0] < gap * (size + groups[-1][1]) / 2:
            other, count = groups.pop()
            centre, size = (centre * size + other * count) / (size + count), size + count
        groups.append((centre, size))
    return [centre + gap * (place - (size - 1) / 2) for centre, size in groups for place in range(size)]


def within(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Rising heights, `gap` apart, moved into the range from `low` to `high` where it has room for all of them."""
    if gap * (len(heights) - 1) > high - low:
        return list(heights)
    last = len(heights) - 1
    lowered = [min(height, high - gap * (last - place)) for place, height in enumerate(heights)]
    return [max(height, low + gap * place) for place, height in enumerate(lowered)]


def whole_epochs(axes: "Axes") -> None:
    """An axis of epochs shows no fractions."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))


def small(axes: "Axes") -> None:
    """A small panel has few ticks: they stay apart, and most of the time of a picture goes into their texts."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))


def finished(figure: "Figure", *, grid: bool = True) -> "Figure":
    """The figure, after every panel was given the plain look. grid: whether there are lines behind what is no bar."""
    for text in _texts(figure):  # a dollar that comes from data is a dollar
        text.set_parse_math(False)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#b0b7bf")
        axes.tick_params(labelsize=9, color="#b0b7bf")
        if grid and not axes.patches:
            axes.grid(color="#e8ebee", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure


def _texts(figure: "Figure") -> "Iterator[Text]":
    """Every text that may come from data; ticks of numbers are left to be made when they are drawn."""
    from matplotlib.ticker import FixedLocator

    for part in (figure, *figure.subfigs):
        yield from part.texts
        title = getattr(part, "_suptitle", None)
        if title is not None:
            yield title
    for axes in figure.axes:
        yield from (*axes.texts, axes.title, axes._left_title, axes._right_title)  # type: ignore[attr-defined]
        for axis in (axes.xaxis, axes.yaxis):
            yield axis.label
            if isinstance(axis.get_major_locator(), FixedLocator):
                yield from axis.get_ticklabels()
        legend = axes.get_legend()
        yield from legend.get_texts() if legend is not None else ()


def save(figure: "Figure", path: Path) -> None:
    """Write the figure as PNG, whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.image import imsave

    path.parent.mkdir(parents=True, exist_ok=True)
    canvas, picture = FigureCanvasAgg(figure), io.BytesIO()
    canvas.draw()  # type: ignore[no-untyped-call]  # once: figure.savefig draws twice
    pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    quickly = {"compress_level": 3}  # half the time for 1.2 times the size
    imsave(picture, pixels, format="png", dpi=DPI, pil_kwargs=quickly)
    atomic_write_bytes(path, picture.getvalue())
