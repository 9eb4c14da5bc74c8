"""What every picture shares: a figure, its plain look, its colours, and a file at once or not at all."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from darlr.errors import ConfigError
from darlr.files import atomic_write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, DPI = 8.0, 200  # inches, pixels an inch: the text stays readable when shown 1000 pixels wide
LEARNED, LOGGED, TRUTH, INK = "#1b6ca8", "#9aa5b1", "#d9dde2", "#333a42"
SERIES = ("#1b6ca8", "#d1495b", "#edae49", "#00798c", "#7b5ea7", "#66a182")


def blank(height: float) -> "Figure":
    """A figure without a display; raises ConfigError without matplotlib. height: inches."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("pictures need matplotlib: pip install 'darlr[plots]'") from error
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def whole_epochs(axes: "Axes") -> None:
    """An axis of epochs shows no fractions."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))


def save(figure: "Figure", path: Path) -> None:
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
