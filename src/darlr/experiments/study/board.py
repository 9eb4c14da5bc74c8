"""How far the grid is: bars in a terminal or a notebook, and a line a finished cell elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from darlr.experiments.progress import clock, console, say, shows_bars
from darlr.experiments.study.schedule import State, title
from darlr.io.text import one_line


class Board:
    """The display of a grid. Use it in a `with` block, and call `show` with the state of the grid."""

    def __init__(self) -> None:
        self._live = Live(console=console, refresh_per_second=4, transient=True) if shows_bars() else None
        self._state: State | None = None
        self._shown = 0.0

    def show(self, state: State) -> None:
        """Show the newest state, at most once a second."""
        self._state = state
        if self._live is not None and time.monotonic() - self._shown > 1:
            self._shown = time.monotonic()
            self._live.update(self._bars(state))

    def line(self, message: str) -> None:
        """Show the message of a finished or failed cell."""
        state = self._state
        if state is None or self._live is not None:
            say(message)
            return
        left = f", {clock(state.seconds_left)} left" if state.seconds_left is not None else ""
        say(f"[{len(state.done) + len(state.failed)}/{state.total}{left}] {message}")

    def _bars(self, state: State) -> Group:
        finished = len(state.done) + len(state.failed)
        left = "" if state.seconds_left is None else f"{clock(state.seconds_left)} left"
        failed = f", {len(state.failed)} failed" if state.failed else ""
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1, min_width=8)
        grid.add_column(no_wrap=True, justify="right")
        grid.add_row(
            Text(f"cells {finished}/{state.total}{failed}", style="bold"),
            ProgressBar(total=1.0, completed=state.share),
            left,
        )
        for worker in state.workers:
            seconds = clock(time.monotonic() - worker.started)
            epochs = (
                f"epoch {worker.epoch}/{worker.cell.config.train.epochs}  " if worker.cell.kind == "learned" else ""
            )
            bar = ProgressBar(total=1.0, completed=worker.share)
            grid.add_row(Text(f"  {one_line(title(worker.cell))}"), bar, f"{epochs}{seconds}")
        return Group(grid)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
