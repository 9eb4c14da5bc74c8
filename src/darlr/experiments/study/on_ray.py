"""Cells as tasks of Ray, on this machine or on a cluster whose machines share a file system with this one.

A task starts the same process as `darlr.experiments.study.executors.Local` does, and waits for it. That process ends
with the task, which holds its standard input open. Ray carries the functions inside `_run` and `_look` to the other
machines by value, so they use nothing but the standard library.
"""

import contextlib
import importlib
import logging
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from darlr.errors import MachineError
from darlr.experiments.progress import say
from darlr.experiments.study.cells import LOG, Cell
from darlr.experiments.study.executors import WORKER, variables
from darlr.io.files import naming, write_json

RETRIES = 3  # times that a cell is started again after its process or its machine was lost
PATIENCE = 60.0  # seconds in which every machine of a cluster has to answer
STORE = 80 * 2**20  # bytes of Ray's object store, which holds nothing but exit codes
# Ray sends no usage statistics, repeats no `uv run` in its processes, and hides no GPU from a task that asks for none.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}
OWN = {"include_dashboard": False, "object_store_memory": STORE, "_system_config": {"memory_monitor_refresh_ms": 0}}


def _run() -> Callable[..., int]:
    def run(folder: str, source: str, here: str, module: str, changed: dict[str, str]) -> int:
        """Run a cell and return its exit code, -n where signal n ended it."""
        path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
        with open(os.path.join(here, folder, "log.txt"), "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, folder],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | changed | {"PYTHONPATH": path},
                cwd=here if os.path.isdir(here) else None,
                start_new_session=True,
            )
        try:
            return process.wait()
        finally:
            process.kill()

    return run


def _look() -> Callable[..., tuple[str, bool]]:
    def look(probe: str, token: str) -> tuple[str, bool]:
        """Return the name of this machine, and whether it sees the probe file and can write beside it."""
        try:
            with open(probe, encoding="utf-8") as file:
                seen = token in file.read() and os.access(os.path.dirname(probe), os.W_OK)
        except OSError:
            seen = False
        return platform.node(), seen

    return look


def import_ray() -> Any:
    """Import Ray; MachineError with the extra to install when it is missing."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside Ray
        try:
            return importlib.import_module("ray")
        except ImportError as error:
            raise MachineError("option executor: Ray is missing: pip install 'darlr[ray]'") from error


class Ray:
    """Tasks of Ray; see `darlr.experiments.study.executors.Executor`."""

    def __init__(self, jobs: int | None = None, address: str | None = None) -> None:
        """Choose the cluster. MachineError where Ray is not installed.

        jobs: cells at once; None = one, or on a cluster as many as it has cores for. address: of a running cluster, as
        `ray.init` takes it. None starts Ray on this machine, unless the program is connected to a cluster already.
        """
        self.ray = import_ray()
        self.jobs, self.address = jobs, address
        self._threads, self._connected = 1, False
        self._folder: str | None = None  # of the Ray that was started here
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def at_once(self) -> int:
        """Number of cells that should run at once."""
        if self.jobs is None and self._folder is None:
            return max(1, int(self.ray.cluster_resources().get("CPU", 1)) // self._threads)
        return self.jobs or 1

    def open(self, cells: Sequence[Cell], place: Path) -> None:
        """Start Ray or connect to the cluster, and check that its machines can run the cells.

        Raises MachineError where no cluster answers, where none of its machines has the cores or the GPU of a cell, and
        where one of them does not see the folder of the cells.
        """
        self._threads = max((cell.config.train.threads for cell in cells), default=1)
        before = signal.getsignal(signal.SIGTERM)
        options: dict[str, Any] = {"address": self.address, **QUIET}
        try:
            if self.address is None and not self.ray.is_initialized():
                # Paths of sockets are short by law, so it is below /tmp wherever temporary folders are.
                self._folder = tempfile.mkdtemp(prefix="darlr-ray-", dir="/tmp" if os.name == "posix" else None)
                guard = [sys.executable, str(Path(__file__).with_name("guard.py")), self._folder]
                self._guard = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)
                cores = (self.jobs or 1) * self._threads
                options |= {"address": "local", "num_cpus": cores, "_temp_dir": self._folder, **OWN}
            if not self.ray.is_initialized():
                self._connected = True
                self.ray.init(**options)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            where = f"no cluster that can be used at {self.address}" if self.address else "it does not start"
            raise MachineError(f"option executor: Ray: {where}: {error}") from error
        finally:
            if before is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray has one of its own
        self._run = self.ray.remote(_run())
        nodes = [node for node in self.ray.nodes() if node["Alive"]]
        for needed in {tuple(_needs(cell).items()) for cell in cells}:
            words = {"num_cpus": "CPU", "num_gpus": "GPU"}
            if not any(all(node["Resources"].get(words[key], 0) >= n for key, n in needed) for node in nodes):
                listed = ", ".join(f"{words[key]}: {n:g}" for key, n in needed)
                raise MachineError(f"option executor: no machine of the cluster has what a cell needs ({listed})")
        if self._folder is None:
            self._probe(nodes, place)

    def _probe(self, nodes: Sequence[Mapping[str, Any]], place: Path) -> None:
        """Raise MachineError unless every machine reads a file that is written beside the cells."""
        affinity = importlib.import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        token = uuid.uuid4().hex
        probe = Path(os.path.abspath(place), f".probe-{token}.json")
        write_json(probe, {"token": token})
        try:
            look = self.ray.remote(_look())
            for node in nodes:
                where = affinity(node_id=node["NodeID"], soft=False)
                answer = look.options(num_cpus=0, scheduling_strategy=where).remote(str(probe), token)
                try:
                    name, seen = self.ray.get(answer, timeout=PATIENCE)
                except self.ray.exceptions.RayError as error:
                    raise MachineError(f"option executor: {node['NodeManagerAddress']}: no answer: {error}") from error
                if not seen:
                    raise MachineError(
                        f"option executor: {name} ({node['NodeManagerAddress']}) cannot read and write {place}; name a "
                        "folder on a file system that all machines of the cluster share, under the same path (--cells)"
                    )
        finally:
            probe.unlink(missing_ok=True)
        say(f"Ray: {len(nodes)} machines, {self.ray.cluster_resources().get('CPU', 0):g} cores")

    def start(self, cell: Cell, folder: Path, source: Path) -> "Task":
        """Hand a cell to Ray, which starts it as soon as cores are free."""
        task = self._run.options(name=folder.name, max_retries=RETRIES, **_needs(cell))
        where = (str(folder), os.path.abspath(source), os.getcwd())
        return Task(self.ray, lambda: task.remote(*where, WORKER, variables(cell)), folder)

    def close(self) -> None:
        """Disconnect from the cluster, or end the Ray that was started here."""
        if self._connected:
            self.ray.shutdown()
            self._connected = False
        if self._guard is not None:
            self._guard.communicate()  # ends its input
            self._guard, self._folder = None, None


def _needs(cell: Cell) -> dict[str, float]:
    """Return what a cell takes of a machine, as options of a task."""
    train = cell.config.train
    return {"num_cpus": float(train.threads)} | ({} if train.device == "cpu" else {"num_gpus": 1.0})


class Task:
    """A task of Ray that runs a cell; see `darlr.experiments.study.executors.Job`."""

    def __init__(self, ray: Any, submit: Callable[[], Any], folder: Path) -> None:
        """Hand the task to Ray. submit: does that, and returns the reference of the answer."""
        self._ray, self._submit, self._folder = ray, submit, folder
        self._answer, self._left = submit(), RETRIES
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code once the task has ended; where Ray gave up, 1, and the log of the cell says why.

        Ray itself starts a task again whose machine or process of Ray was lost. Here it starts again where the cell's
        process alone was killed.
        """
        if self._code is None and self._ray.wait([self._answer], timeout=0)[0]:
            self._code = self._ended()
            if self._code < 0 and self._left > 0:
                self._answer, self._left, self._code = self._submit(), self._left - 1, None
        return self._code

    def _ended(self) -> int:
        try:
            return int(self._ray.get(self._answer))
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            with naming(self._folder / LOG), open(self._folder / LOG, "a", encoding="utf-8") as log:
                log.write(f"darlr: {' '.join(str(cause).split())}\n")
            return 1

    def stop(self) -> None:
        """Kill the task, and wait until Ray says that it is gone."""
        self._ray.cancel(self._answer, force=True)
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.get(self._answer, timeout=10)
