"""Run cells on an executor: world models first, then the longest cell. A cell that fails stops no other."""

import contextlib
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from darlr.experiments.progress import Meter
from darlr.experiments.runs import read_metrics
from darlr.experiments.study.cells import LOG, RESULT, Cell, snapshot
from darlr.experiments.study.executors import Executor, Job, Local
from darlr.experiments.study.worker import BUSY
from darlr.methods import Cost, find

PAUSE, BETWEEN = 0.2, 1.0  # seconds between two checks of the workers, and between two updates of the display
AGAIN = 2.0  # seconds before a cell that another process runs is tried again
CATALOGUE = 3000  # items for which a step's cost is taken; only the order of cells and the time left depend on it
FIXED_COST = {"world": 60_000.0, "trivial": 30_000.0, "baseline": 60_000.0, "learned": 20_000.0, "trial": 20_000.0}


@dataclass
class Worker:
    """A cell that runs."""

    cell: Cell
    place: Path
    job: Job
    started: float = field(default_factory=time.monotonic)

    def progress(self) -> tuple[float, str]:
        """Return the finished share of a learned cell, from 0 to 1, and a text on its epochs; 0 and "" for others."""
        if self.cell.kind != "learned":
            return 0.0, ""
        done, epochs = len(read_metrics(self.place / "run")), self.cell.config.train.epochs
        return (min(1.0, done / epochs) if epochs else 0.0), f"epoch {done}/{epochs}"


def cost(cell: Cell) -> float:
    """Return the time that a cell takes, in simulated steps of MBPO."""
    train = cell.config.train
    relative = find(train.method).cost.seconds(CATALOGUE) / Cost().seconds(CATALOGUE)
    trains = cell.kind == "learned" or (cell.kind == "trial" and cell.name != "world")
    steps = train.epochs * train.steps * relative if trains else 0.0
    return FIXED_COST[cell.kind] + steps


def longest_first(cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells in the order in which they run: world models first, then by falling cost."""
    return sorted(cells, key=lambda cell: (cell.kind != "world", -cost(cell)))


def title(cell: Cell) -> str:
    """Return a cell in a few words."""
    window = f" N={cell.windows[0]}" if cell.kind == "learned" and cell.windows else ""
    return f"{cell.name} seed {cell.seed}{window}"


def run_cells(cells: Sequence[Cell], place: Path, executor: Executor | None = None) -> dict[str, str]:
    """Run cells. Returns those that failed: title and folder -> the end of the log.

    executor: where they run; None = one after the other on this machine. Raises MachineError where it cannot run them.
    An interruption stops every cell; what was trained is kept and continued next time.
    """
    if not cells:
        return {}
    with Meter("cells") as meter:
        try:
            return Schedule(cells, place, meter, executor or Local(1)).run()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted; finished cells are kept in {place}; the same command continues the others"
            ) from None


class Schedule:
    """The cells that wait, those that run, and how many are finished."""

    def __init__(self, cells: Sequence[Cell], place: Path, meter: Meter, executor: Executor) -> None:
        self.executor = executor
        self.place, self.meter, self.total, self.cost = place, meter, len(cells), sum(map(cost, cells))
        meter.begin("cells", after=math.inf)  # without bars a line comes at the end of each cell, and at no other time
        self.waiting = longest_first(cells)
        self.later: dict[str, float] = {}  # folder of a waiting cell -> when it may be tried again
        self.workers: list[Worker] = []
        self.failed: dict[str, str] = {}
        self.finished, self.finished_cost, self.shown = 0, 0.0, -math.inf
        self.source = snapshot(place)

    def run(self) -> dict[str, str]:
        """Run all cells; returns those that failed."""
        try:
            self.executor.open(self.waiting, self.place)
            while self.waiting or self.workers:
                for worker in list(self.workers):
                    self.reap(worker)
                while len(self.workers) < self.executor.at_once and (cell := self.next()) is not None:
                    self.waiting.remove(cell)
                    folder = cell.write(self.place)
                    self.workers.append(Worker(cell, folder, self.executor.start(cell, folder, self.source)))
                if time.monotonic() - self.shown > BETWEEN:
                    self.show()
                time.sleep(PAUSE)
        finally:
            try:
                for worker in self.workers:
                    worker.job.stop()
            finally:
                self.executor.close()
        return self.failed

    def show(self) -> None:
        """Show the progress of all cells, and of those that run."""
        self.shown = time.monotonic()
        running = [(worker, *worker.progress()) for worker in self.workers]
        done = self.finished_cost + sum(share * cost(worker.cell) for worker, share, _ in running)
        self.meter.show(min(1.0, done / self.cost) * self.total, self.total, count=self.finished)
        parts = [(title(one.cell), share, text, self.shown - one.started) for one, share, text in running]
        self.meter.show_parts(parts)

    def next(self) -> Cell | None:
        """Return the first cell whose world model is fitted. Cells whose world model failed count as failed too."""
        worlds = {one.folder for one in [*self.waiting, *(worker.cell for worker in self.workers)]}
        for cell in list(self.waiting):
            if self.later.get(cell.folder, 0.0) > time.monotonic():
                continue
            if cell.world is None or (self.place / cell.world.folder / RESULT).exists():
                return cell
            if cell.world.folder not in worlds:
                self.waiting.remove(cell)
                self.finish(cell, "its world model failed")
        return None

    def reap(self, worker: Worker) -> None:
        """Count the worker's cell as finished where it has ended."""
        code, cell = worker.job.poll(), worker.cell
        if code is None:
            return
        self.workers.remove(worker)
        if code == BUSY:  # another comparison runs the same cell
            self.later[cell.folder] = time.monotonic() + AGAIN
            self.waiting.append(cell)
            return
        why = _reason(worker.place / LOG, code) if code else ""
        self.finish(cell, why)
        self.show()
        seconds = time.monotonic() - worker.started
        self.meter.note(f"{title(cell)}: " + (f"failed: {why}" if why else f"done in {seconds:.0f} s"))

    def finish(self, cell: Cell, why: str = "") -> None:
        """Count a cell as finished. why: the reason where it failed."""
        self.finished += 1
        self.finished_cost += cost(cell)
        if why:
            self.failed[f"{title(cell)} ({self.place / cell.folder})"] = why


def _reason(log: Path, code: int) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if code > 0 and lines:
            return lines[-1].removeprefix("darlr: ")
    if code < 0:
        return f"killed by signal {-code}"
    return f"ended with code {code}, and its log does not say why; is the disk full?"
