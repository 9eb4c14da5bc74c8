"""How far a long stage is: a bar with the time left in a terminal or a notebook, and a line an epoch elsewhere.

Everything goes to standard error. A notebook shows that in red, so there the lines go to standard output.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from darlr.data.unit import Unit
from darlr.io.text import visible

console = Console(stderr=True)
# The format of each metric that is shown. All fit beside a bar in 80 columns; metrics.jsonl has the other metrics.
SHOWN = {
    "estimate": "reward {:.4g} a turn",
    "turns": "{:.1f} turns",
    "held_out_rmse": "held-out RMSE {:.3f}",
}
PATIENCE = 10.0  # seconds that a stage which is usually short runs before it shows how far it is


def say(message: str) -> None:
    """Show one message. It is never wrapped, so that paths and commands in it can be copied."""
    if not console.is_jupyter:
        console.print(visible(message), soft_wrap=True, markup=False, highlight=False, emoji=False)
    elif not console.quiet:
        print(visible(message), flush=True)


def shows_bars() -> bool:
    """Whether progress is shown as a bar. A notebook can show one where ipywidgets is installed."""
    if console.is_jupyter:
        return not console.quiet and find_spec("ipywidgets") is not None
    return console.is_terminal


@contextlib.contextmanager
def speaking(wanted: bool) -> Iterator[None]:
    """Show messages and progress in the `with` block, or show neither where they are not wanted."""
    before, console.quiet = console.quiet, not wanted
    try:
        yield
    finally:
        console.quiet = before


def numbers(metrics: Mapping[str, float | None]) -> str:
    """The metrics that are shown, as a short text."""
    values = {name: metrics.get(name) for name in SHOWN}
    return ", ".join(SHOWN[name].format(value) for name, value in values.items() if value is not None)


def watched(metrics: Mapping[str, float], unit: Unit) -> dict[str, float | None]:
    """The metrics of training that are shown: the mean estimated reward of a turn, in the log's unit, and the turns."""
    return {"estimate": unit.show(metrics["estimate"]), "turns": metrics["turns"]}


def _whole() -> Column:
    """A column that is never made narrower than its content."""
    return Column(no_wrap=True)


def clock(seconds: float) -> str:
    """A duration as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


class Meter:
    """The display of one stage that runs for some epochs. Use it in a `with` block, and call `show` often."""

    def __init__(self, name: str, every: int = 1) -> None:
        """every: how many epochs lie between two lines where there is no bar."""
        self.name, self.unit, self.every = name, "epoch", every
        self._first: tuple[float, float] | None = None
        self._epoch, self._quiet = -1, 0.0
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if shows_bars():
            self._bar = Progress(
                TextColumn("[bold]{task.description}", table_column=_whole()),
                BarColumn(None, table_column=Column(ratio=1, min_width=4)),
                TextColumn("{task.fields[epoch]}", table_column=_whole()),
                TimeRemainingColumn(table_column=_whole()),
                TextColumn("{task.fields[numbers]}", table_column=_whole()),
                console=console,
                expand=True,
                redirect_stdout=not console.is_jupyter,
                redirect_stderr=not console.is_jupyter,
            )
            self._task = self._bar.add_task(name, total=None, epoch="", numbers="")

    def begin(self, name: str, unit: str = "epoch", *, every: int = 1, after: float = 0.0) -> None:
        """Begin the next part of the stage. unit: what it counts. after: seconds before its first line."""
        self.name, self.unit, self.every, self._first, self._epoch = name, unit, every, None, -1
        self._quiet = time.monotonic() + after

    def describe(self, text: str) -> None:
        """Begin a part of the stage that counts nothing."""
        if self._bar is not None:
            self._bar.update(self._task, description=text, total=None, epoch="", numbers="")
        else:
            say(text)

    def show(self, done: float, epochs: int, metrics: Mapping[str, float | None]) -> None:
        """Show how far it is. done: finished epochs, and the finished share of the next. metrics: the newest values."""
        if self._bar is not None:
            epoch = f"{int(done)}/{epochs}"
            self._bar.update(
                self._task,
                description=self.name,
                total=epochs,
                completed=done,
                epoch=epoch,
                numbers=numbers(metrics),
            )
            return
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
        if int(done) == self._epoch or int(done) % self.every or now < self._quiet:
            return
        self._epoch = int(done)
        start, before = self._first
        left = f"{clock((now - start) / (done - before) * (epochs - done))} left" if done > before else "begins"
        say(f"{self.name}: {self.unit} {self._epoch}/{epochs}, {left}, {numbers(metrics)}".removesuffix(", "))

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.refresh()  # stopping does not show the last state in a notebook
            self._bar.stop()
