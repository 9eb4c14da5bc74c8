"""How far a long stage is, on stderr: a bar with the time left in a terminal, a line an epoch elsewhere."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from darlr.data.unit import Unit
from darlr.io.text import visible

console = Console(stderr=True)
# metric -> how it is shown, short enough that all fit beside a bar in 80 columns; metrics.jsonl has the others
SHOWN = {
    "estimate": "reward {:.4g} a turn",
    "turns": "{:.1f} turns",
    "held_out_rmse": "held-out RMSE {:.3f}",
}


PATIENCE = 10.0  # seconds of a part that is mostly short, before it shows how far it is


def say(message: str) -> None:
    """One message on stderr, never wrapped, so that paths and commands in it can be copied."""
    console.print(visible(message), soft_wrap=True, markup=False, highlight=False, emoji=False)


@contextlib.contextmanager
def speaking(wanted: bool) -> Iterator[None]:
    """Show messages and progress meanwhile, or, where they are not wanted, nothing."""
    before, console.quiet = console.quiet, not wanted
    try:
        yield
    finally:
        console.quiet = before


def numbers(metrics: Mapping[str, float | None]) -> str:
    """The metrics that people watch, in a few words."""
    values = {name: metrics.get(name) for name in SHOWN}
    return ", ".join(SHOWN[name].format(value) for name, value in values.items() if value is not None)


def watched(metrics: Mapping[str, float], unit: Unit) -> dict[str, float | None]:
    """What people watch of training: the mean estimated reward of a turn, in the log's unit, and sessions' length."""
    return {"estimate": unit.show(metrics["estimate"]), "turns": metrics["turns"]}


def _whole() -> Column:
    """A column that is never squeezed."""
    return Column(no_wrap=True)


def clock(seconds: float) -> str:
    """h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


class Meter:
    """A stage that runs for some epochs; use it in a `with` block and call `show` as often as you like."""

    def __init__(self, name: str, every: int = 1) -> None:
        """every: epochs a line where there is no bar."""
        self.name, self.unit, self.every = name, "epoch", every
        self._first: tuple[float, float] | None = None
        self._epoch, self._quiet = -1, 0.0
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("[bold]{task.description}", table_column=_whole()),
                BarColumn(None, table_column=Column(ratio=1, min_width=4)),
                TextColumn("{task.fields[epoch]}", table_column=_whole()),
                TimeRemainingColumn(table_column=_whole()),
                TextColumn("{task.fields[numbers]}", table_column=_whole()),
                console=console,
                expand=True,
            )
            self._task = self._bar.add_task(name, total=None, epoch="", numbers="")

    def begin(self, name: str, unit: str = "epoch", *, every: int = 1, after: float = 0.0) -> None:
        """The next part of the stage, from its first epoch, or whatever it counts; after: seconds before a line."""
        self.name, self.unit, self.every, self._first, self._epoch = name, unit, every, None, -1
        self._quiet = time.monotonic() + after

    def tell(self, text: str) -> None:
        """A part of the stage that has no epochs."""
        if self._bar is not None:
            self._bar.update(self._task, description=text, total=None, epoch="", numbers="")
        else:
            say(text)

    def show(self, done: float, epochs: int, metrics: Mapping[str, float | None]) -> None:
        """done: finished epochs, with the part of the running one; metrics: the newest."""
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
            self._bar.stop()
