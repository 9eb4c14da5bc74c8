"""The figure, style, colours and labels that all pictures share, and the writing of their files."""

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

WIDTH, DPI = 8.0, 150  # inches, pixels an inch: the text stays readable when shown 1000 pixels wide
LEARNED, LOGGED, TRUTH, INK = "#1b6ca8", "#9aa5b1", "#d9dde2", "#333a42"
BASELINE = "#d99a2b"
SERIES = ("#1b6ca8", "#d1495b", "#edae49", "#00798c", "#7b5ea7", "#66a182")
LONGEST = 40  # the most letters of a word, as many of the widest fill a line
# Okabe and Ito's colours, which colour-blind people can distinguish; line styles distinguish lines of one colour.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333a42", "#7b5ea7")
STYLES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))


def blank(height: float, *, fitted: bool = True) -> "Figure":
    """Make a figure. height: in inches. Raises MachineError without matplotlib.

    fitted: whether margins are fitted to their texts, which is slow with many panels; else the caller sets them.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MachineError("pictures need matplotlib: pip install 'darlr[plots]'") from error
    return Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained" if fitted else None, facecolor="white")


def line_look(place: int) -> tuple[str, Any]:
    """Return the colour and line style of the line at this place among many."""
    return LINES[place % len(LINES)], STYLES[place // len(LINES) % len(STYLES)]


def head(figure: "FigureBase", title: str) -> None:
    """Draw the title of a picture, in as many lines as it needs."""
    broken = " ".join(textwrap.fill(word, LONGEST) for word in title.split())  # wrap breaks at spaces alone
    figure.suptitle(broken, x=0.01, ha="left", fontsize=11.5, color=INK, fontweight="bold", wrap=True)


def end_labels(axes: "Axes", labels: Sequence[tuple[float, str, str]], *, gap: float, weight: str = "normal") -> None:
    """Draw labels (value, text, colour) to the right of the axes, each connected to its value.

    gap: the least distance of two labels as a share of the axes' height. The limits must be final.
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
    """Return heights for labels of rising values, at least `gap` apart and as near to the values as possible."""
    groups: list[tuple[float, int]] = []  # centre and size of labels that touch
    for value in values:
        centre, size = value, 1
        while groups and centre - groups[-1][0] < gap * (size + groups[-1][1]) / 2:
            other, count = groups.pop()
            centre, size = (centre * size + other * count) / (size + count), size + count
        groups.append((centre, size))
    return [centre + gap * (place - (size - 1) / 2) for centre, size in groups for place in range(size)]


def within(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move rising heights, `gap` apart, into the range from `low` to `high` where it has room for all of them."""
    if gap * (len(heights) - 1) > high - low:
        return list(heights)
    last = len(heights) - 1
    lowered = [min(height, high - gap * (last - place)) for place, height in enumerate(heights)]
    return [max(height, low + gap * place) for place, height in enumerate(lowered)]


def whole_epochs(axes: "Axes") -> None:
    """Show no fractions on an axis of epochs."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))


def small(axes: "Axes") -> None:
    """Show few ticks in a small panel; their texts take most of the time of a picture."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))


def finished(figure: "Figure", *, grid: bool = True) -> "Figure":
    """Give every panel of the figure the common style. grid: whether panels without bars have grid lines."""
    for text in _texts(figure):  # a dollar sign in the data is no formula
        text.set_parse_math(False)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#b0b7bf")
        axes.tick_params(labelsize=9, color="#b0b7bf")
        if grid and not axes.patches:
            axes.grid(color="#e8ebee", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_title(axes.get_title(), y=1.0)  # else the place of titles is found from the boxes of all ticks
    return figure


def _texts(figure: "Figure") -> "Iterator[Text]":
    """Yield every text that may come from data, which ticks of numbers do not."""
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
    """Write the figure as PNG, atomically."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.image import imsave

    path.parent.mkdir(parents=True, exist_ok=True)
    canvas, picture = FigureCanvasAgg(figure), io.BytesIO()
    canvas.draw()  # type: ignore[no-untyped-call]  # once: figure.savefig draws twice
    pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    quickly = {"compress_level": 1}  # a third of the time for 1.3 times the size
    imsave(picture, pixels, format="png", dpi=DPI, pil_kwargs=quickly)
    atomic_write_bytes(path, picture.getvalue())
