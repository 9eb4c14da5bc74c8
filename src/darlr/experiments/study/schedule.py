"""Run cells in worker processes: world models first, then the longest cell. A cell that fails stops no other."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from darlr.experiments.runs import read_metrics
from darlr.experiments.study.cells import LOG, RESULT, Cell
from darlr.experiments.study.code import snapshot
from darlr.experiments.study.worker import BUSY
from darlr.io.files import naming
from darlr.methods import Cost, find

PAUSE = 0.2  # seconds between two looks at the workers
CATALOGUE = 3000  # items for which a step's cost is taken; only the order of cells and the time left depend on it
FIXED_COST = {"world": 60_000.0, "trivial": 30_000.0, "baseline": 60_000.0, "learned": 20_000.0}


@dataclass
class Worker:
    """A process that runs a cell."""

    cell: Cell
    place: Path
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)

    @property
    def share(self) -> float:
        """Share of the cell that is done, 0 to 1, by its log lines."""
        epochs = self.cell.config.train.epochs
        return min(1.0, self.epoch / epochs) if self.cell.kind == "learned" and epochs else 0.0

    @property
    def epoch(self) -> int:
        """Finished epochs of a learned cell."""
        return len(read_metrics(self.place / "run")) if self.cell.kind == "learned" else 0


@dataclass
class State:
    """How far all cells are. done: cells; failed: title -> reason; costs: in the unit of `cost`."""

    total: int
    total_cost: float
    workers: list[Worker] = field(default_factory=list)
    done: list[Cell] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    done_cost: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def share(self) -> float:
        """Share of the whole cost that is done, 0 to 1."""
        running = sum(worker.share * cost(worker.cell) for worker in self.workers)
        return min(1.0, (self.done_cost + running) / self.total_cost) if self.total_cost else 1.0

    @property
    def seconds_left(self) -> float | None:
        """An estimate of the remaining time; None until something is done."""
        share = self.share
        return (time.monotonic() - self.started) * (1 - share) / share if share > 0 else None


def cost(cell: Cell) -> float:
    """The time that a cell takes, in simulated steps of MBPO."""
    train = cell.config.train
    relative = find(train.method).cost.seconds(CATALOGUE) / Cost().seconds(CATALOGUE)
    steps = train.epochs * train.steps * relative if cell.kind == "learned" else 0.0
    return FIXED_COST[cell.kind] + steps


def title(cell: Cell) -> str:
    """A cell in a few words."""
    window = f" N={cell.windows[0]}" if cell.kind == "learned" and cell.windows else ""
    return f"{cell.name} seed {cell.seed}{window}"


def run_cells(
    cells: Sequence[Cell], place: Path, jobs: int, show: Callable[[State], None], say: Callable[[str], None]
) -> dict[str, str]:
    """Run cells, `jobs` at a time; returns those that failed: title and folder -> the end of the log.

    show: called often, for the display. say: called with one line at the end of each cell. An interruption stops every
    worker; what they trained is kept and continued next time.
    """
    waiting = sorted(cells, key=lambda cell: (cell.kind != "world", -cost(cell)))
    state = State(len(cells), sum(map(cost, cells)))
    later: dict[str, float] = {}
    source = snapshot(place)
    try:
        while waiting or state.workers:
            _reap(state, waiting, later, say)
            while len(state.workers) < jobs and (cell := _next(waiting, state, place, later)) is not None:
                waiting.remove(cell)
                state.workers.append(_start(cell, place, source))
            show(state)
            time.sleep(PAUSE)
    finally:
        for worker in state.workers:
            worker.process.kill()
            worker.process.wait()
    return state.failed


def _next(waiting: list[Cell], state: State, place: Path, later: dict[str, float]) -> Cell | None:
    """The first cell whose world model is fitted. Cells whose world model failed are failed too."""
    worlds = {worker.cell.folder for worker in state.workers} | {c.folder for c in waiting if c.kind == "world"}
    for cell in list(waiting):
        if later.get(cell.folder, 0.0) > time.monotonic():
            continue
        if cell.world is None or (place / cell.world.folder / RESULT).exists():
            return cell
        if cell.world.folder not in worlds:
            waiting.remove(cell)
            state.done_cost += cost(cell)
            state.failed[f"{title(cell)} ({place / cell.folder})"] = "its world model failed"
    return None


def _start(cell: Cell, place: Path, source: Path) -> Worker:
    folder = cell.write(place)
    threads = str(cell.config.train.threads)
    # Idle threads must not take time from the other workers.
    paths = [str(source.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
    }
    with naming(folder / LOG), open(folder / LOG, "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "darlr.experiments.study.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | quiet,
            start_new_session=True,  # Ctrl-C reaches this process alone, and it stops its workers
        )
    return Worker(cell, folder, process)


def _reap(state: State, waiting: list[Cell], later: dict[str, float], say: Callable[[str], None]) -> None:
    for worker in list(state.workers):
        code = worker.process.poll()
        if code is None:
            continue
        state.workers.remove(worker)
        if worker.process.stdin is not None:
            worker.process.stdin.close()
        if code == BUSY:  # another comparison runs the same cell: look again soon
            later[worker.cell.folder] = time.monotonic() + 2.0
            waiting.append(worker.cell)
            continue
        state.done_cost += cost(worker.cell)
        seconds = time.monotonic() - worker.started
        if code == 0:
            state.done.append(worker.cell)
            say(f"{title(worker.cell)}: done in {seconds:.0f} s")
        else:
            why = _reason(worker.place / LOG, code)
            state.failed[f"{title(worker.cell)} ({worker.place})"] = why
            say(f"{title(worker.cell)}: failed: {why}")


def _reason(log: Path, code: int) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if code > 0 and lines:
            return lines[-1].removeprefix("darlr: ")
    return (
        f"killed by signal {-code}"
        if code < 0
        else f"ended with code {code}, and its log does not say why; is the disk full?"
    )
