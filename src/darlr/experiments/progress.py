"""Progress of a long stage: bars with the time left in a terminal or a notebook, and lines elsewhere.

Everything goes to standard error. A notebook shows that in red, so there the lines go to standard output.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from darlr.data.unit import Unit
from darlr.io.text import visible

console = Console(stderr=True)
# The format of each metric that is shown. All fit beside a bar in 80 columns; metrics.jsonl has the other metrics.
SHOWN = {"estimate": "reward {:.4g} a turn", "turns": "{:.1f} turns", "held_out_rmse": "held-out RMSE {:.3f}"}
PATIENCE = 10.0  # seconds that a stage which is usually short runs before its progress is shown
UNKNOWN = "-:--:--"  # the time left, before it can be estimated


def say(message: str) -> None:
    """Show one message. It is never wrapped, so that paths and commands in it can be copied."""
    if not console.is_jupyter:
        console.print(visible(message), soft_wrap=True, markup=False, highlight=False, emoji=False)
    elif not console.quiet:
        print(visible(message), flush=True)


def shows_bars() -> bool:
    """Return whether progress is shown as a bar. A notebook can show one where ipywidgets is installed."""
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
    """Return the metrics that are shown, as a short text."""
    values = {name: metrics.get(name) for name in SHOWN}
    return ", ".join(SHOWN[name].format(value) for name, value in values.items() if value is not None)


def watched(metrics: Mapping[str, float], unit: Unit) -> dict[str, float | None]:
    """Return the metrics that are shown: the mean estimated reward of a turn, in the log's unit, and the turns."""
    return {"estimate": unit.show(metrics["estimate"]), "turns": metrics["turns"]}


def clock(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


class Meter:
    """The display of a stage: a bar with bars of its parts below it, or lines. Use it in a `with` block."""

    def __init__(self, name: str, every: int = 1) -> None:
        """every: the number of epochs between two lines where there is no bar."""
        self.begin(name, every=every)
        self._far = ""
        self._bars: Progress | None = None
        self._parts: list[TaskID] = []
        if shows_bars():
            texts = ("{task.fields[count]}", "{task.fields[left]}", "{task.fields[numbers]}")
            self._bars = Progress(
                TextColumn("[bold]{task.description}", table_column=Column(no_wrap=True)),
                BarColumn(None, table_column=Column(ratio=1, min_width=4)),
                *(TextColumn(text, table_column=Column(no_wrap=True)) for text in texts),
                console=console,
                expand=True,
                redirect_stdout=not console.is_jupyter,
                redirect_stderr=not console.is_jupyter,
            )
            self._task = self._bars.add_task(name, total=None, count="", left="", numbers="")

    def begin(self, name: str, unit: str = "epoch", *, every: int = 1, after: float = 0.0) -> None:
        """Begin the next part of the stage. unit: what it counts. after: seconds before its first line."""
        self.name, self.unit, self.every = name, unit, every
        self._first: tuple[float, float] | None = None
        self._shown, self._quiet = -1, time.monotonic() + after

    def show(
        self, done: float, total: int, metrics: Mapping[str, float | None] | None = None, count: int | None = None
    ) -> None:
        """Show the progress of the stage.

        done: finished epochs, and the finished share of the next one; the time left is estimated from it. metrics: the
        newest values. count: the number that is shown as finished; None = `done` without its fraction.
        """
        now, count = time.monotonic(), int(done) if count is None else count
        if self._first is None:
            self._first = now, done
        start, before = self._first
        left = clock((now - start) / (done - before) * (total - done)) if done > before else ""
        self._far = f"{count}/{total}" + f", {left} left" * bool(left)
        values = numbers(metrics or {})
        if self._bars is not None:
            fields: dict[str, Any] = {"count": f"{count}/{total}", "left": left or UNKNOWN, "numbers": values}
            self._bars.update(self._task, description=self.name, total=total, completed=done, **fields)
        elif count != self._shown and not count % self.every and now >= self._quiet:
            self._shown = count
            begins = "" if left else ", begins"
            say(f"{self.name}: {self.unit} {self._far}{begins}, {values}".removesuffix(", "))

    def show_parts(self, running: Sequence[tuple[str, float, str, float]]) -> None:
        """Show a bar for each part that runs now: its name, its finished share, a text, and its seconds so far."""
        if self._bars is None:
            return
        while len(self._parts) > len(running):
            self._bars.remove_task(self._parts.pop())
        while len(self._parts) < len(running):
            self._parts.append(self._bars.add_task("", total=1.0, count="", left="", numbers=""))
        for task, (name, share, text, seconds) in zip(self._parts, running, strict=True):
            self._bars.update(task, description=f"  {name}", completed=share, count=text, left=clock(seconds))

    def note(self, message: str) -> None:
        """Show a message. Where there is no bar, the progress of the stage stands before it."""
        say(message if self._bars is not None or not self._far else f"[{self._far}] {message}")

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.refresh()  # stopping does not show the last state in a notebook
            self._bars.stop()
