"""Where the cells of a comparison run: what the schedule asks of such a place, and the one that is this machine.

`darlr.experiments.study.on_ray` is the other one.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from darlr.errors import ConfigError
from darlr.experiments.study.cells import LOG, Cell
from darlr.io.files import naming

WORKER = "darlr.experiments.study.worker"
Kind = Literal["local", "ray"]


class Job(Protocol):
    """A cell that was started."""

    def poll(self) -> int | None:
        """Return None while the cell runs, and then its exit code as `worker.main` does; -n where signal n ended it."""

    def stop(self) -> None:
        """End the cell. What it has trained stays in its folder."""


class Executor(Protocol):
    """A place where cells run, each in a process of its own: `python -m darlr.experiments.study.worker FOLDER`."""

    @property
    def at_once(self) -> int:
        """Number of cells that should run at once. It may change while they run."""

    def open(self, cells: Sequence[Cell], place: Path) -> None:
        """Get ready to run these cells, whose folders are in `place`.

        Raises MachineError for a place that cannot run them. `close` has to follow also then.
        """

    def start(self, cell: Cell, folder: Path, source: Path) -> Job:
        """Start a cell. folder: what `cell.write` returned. source: the import path that `cells.snapshot` returned."""

    def close(self) -> None:
        """Stop what `open` has started."""


def variables(cell: Cell) -> dict[str, str]:
    """Return the environment variables of a cell's process. Without them its threads would take time from others."""
    return {
        "OMP_NUM_THREADS": str(cell.config.train.threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
    }


class Local:
    """Processes on this machine; see `Executor`."""

    def __init__(self, jobs: int) -> None:
        self.at_once = jobs

    def open(self, cells: Sequence[Cell], place: Path) -> None:
        """Do nothing."""

    def start(self, cell: Cell, folder: Path, source: Path) -> "Process":
        """Start a process."""
        path = [str(source.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
        with naming(folder / LOG), open(folder / LOG, "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", WORKER, str(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | variables(cell) | {"PYTHONPATH": os.pathsep.join(path)},
                start_new_session=True,  # Ctrl-C reaches this process alone, and it stops its workers
            )
        return Process(process)

    def close(self) -> None:
        """Do nothing."""


class Process:
    """A process on this machine; see `Job`."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def poll(self) -> int | None:
        """Return its exit code once it has ended."""
        code = self._process.poll()
        if code is not None and self._process.stdin is not None:
            self._process.stdin.close()
        return code

    def stop(self) -> None:
        """Kill it, and wait until it is gone."""
        self._process.kill()
        self._process.wait()


def executor(kind: Kind = "local", jobs: int | None = None, address: str | None = None) -> Executor:
    """Return the place where cells run.

    jobs: the number of cells that run at once; None = one, or on a cluster as many as it has cores for. address: of a
    running cluster of Ray. Raises ConfigError for values that do not fit each other, MachineError where Ray is missing.
    """
    if jobs is not None and jobs < 1:
        raise ConfigError(f"option jobs: must be at least 1, not {jobs}")
    if kind == "ray":
        from darlr.experiments.study.on_ray import Ray

        return Ray(jobs, address)
    if address is not None:
        raise ConfigError("option address: names a cluster of Ray; choose the executor ray (option executor)")
    return Local(jobs or 1)
