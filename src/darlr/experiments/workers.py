"""The workers of one run (`darlr train --workers N`): processes that train one learner together (`agents.parallel`).

Worker 0 is the process that trains the run and writes its folder. The others read the folder, follow the updates, and
write nothing: `python -m darlr.experiments.workers FOLDER RANK SIZE MEETING`. Each ends when worker 0 is gone. With
torchrun, which starts all of them, they can be on several machines that share a file system (docs/scale.md).
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from torch import distributed

from darlr.agents.parallel import ALONE, Join, LostWorkerError, Team
from darlr.agents.train import follow
from darlr.errors import DarlrError, MachineError
from darlr.experiments.finished import with_own_log, world_folder
from darlr.experiments.logs import open_logs
from darlr.experiments.process import configure, end_with_parent
from darlr.experiments.runs import read_config
from darlr.experiments.size import Size, require_memory
from darlr.experiments.world import load_world_model, paid_world, world_of
from darlr.options import RunConfig, TrainConfig
from darlr.options.checks import require
from darlr.simulation.exits import build_exit, in_unit

PATIENCE = timedelta(hours=12)  # how long a worker waits for another, which may fit a world model or evaluate meanwhile
SOURCE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Place:
    """Which of the workers of a run this process is: number `rank` of `size`.

    started: whether another program, such as torchrun, has started the workers.
    """

    rank: int = 0
    size: int = 1
    started: bool = False

    @property
    def here(self) -> int:
        """The number of workers on this machine."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", self.size)) if self.started else self.size


ALL = Place()  # one process does everything


def place(workers: int | None) -> Place:
    """This process among the workers; those of torchrun by the environment variables RANK and WORLD_SIZE.

    workers: the number that is asked for; None = as many as torchrun has started, or 1. 1 trains alone even there.
    Raises ConfigError for less than 1, and for another number than torchrun has started.
    """
    if workers == 1 or not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys():
        return Place(0, 1 if workers is None else workers)
    found = Place(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), started=True)
    same = workers is None or workers == found.size
    require(same, "workers", f"{workers} are asked for, but WORLD_SIZE is {found.size}; leave the option out")
    return found


def check(train: TrainConfig, where: Place) -> None:
    """Raise ConfigError where so many workers cannot train with these options, MachineError where they lack a part."""
    require(where.size >= 1, "workers", f"must be at least 1, not {where.size}")
    if where.size == 1:
        return
    if not distributed.is_available():
        raise MachineError("option workers: this PyTorch was built without torch.distributed; use 1")
    few = f"must be at most sessions ({train.sessions}), which the workers share, not {where.size}"
    require(where.size <= train.sessions, "workers", few)
    for name, agent in (("recommender", train.recommender), ("selector", train.selector)):
        needed = "must be 0 with several workers, which would draw other numbers than one"
        require(agent.tracker.dropout == 0, f"{name}.tracker.dropout", needed)
    if train.device == "cpu":
        return
    require(train.device == "cuda", "device", "must be cpu or cuda with several workers; each takes a GPU of its own")
    gpus = torch.cuda.device_count()
    if where.here > gpus:
        raise MachineError(f"option workers: {where.here} on this machine need as many GPUs, and PyTorch finds {gpus}")


def check_memory(size: Size, where: Place) -> None:
    """Raise MachineError where this machine has too little memory for all its workers, as each holds the tables."""
    require_memory(replace(size, memory=size.memory * where.here))


@contextlib.contextmanager
def working(folder: Path, where: Place, device: str) -> Iterator[Join]:
    """Start the other workers of the run in `folder`, unless they are, and end them with the `with` block.

    Raises MachineError when one of them is lost, with what continues.
    """
    if where.size == 1:
        yield lambda: ALONE
        return
    others: list[subprocess.Popen[bytes]] = []
    again = f"darlr train --out {quote(str(folder))} --resume --workers {where.size}"
    with tempfile.TemporaryDirectory() as meeting:
        try:
            if not where.started:
                others.extend(_started(folder, rank, where.size, meeting) for rank in range(1, where.size))

            def join() -> Team:
                for worker in others:
                    assert worker.stdout is not None
                    if not worker.stdout.readline():  # it says when it is ready
                        raise LostWorkerError("a worker could not begin")
                return connect(where, device, None if where.started else meeting)

            yield join
        except LostWorkerError as error:
            how = "the same command and --resume" if where.started else again
            raise MachineError(f"{_lost(others) or error}; continue with: {how}") from error
        finally:
            for worker in others:
                worker.kill()
                worker.communicate()
            if distributed.is_initialized():
                distributed.destroy_process_group()


def _started(folder: Path, rank: int, size: int, meeting: str) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "darlr.experiments.workers", str(folder), str(rank), str(size), meeting]
    path = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C reaches worker 0 alone
    )


def _lost(others: list["subprocess.Popen[bytes]"]) -> str:
    """What happened to the first worker that has failed; empty where none has."""
    for rank, worker in enumerate(others, start=1):
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = worker.wait(1)
            if code:
                how = f"was killed by signal {-code}" if code < 0 else "failed, as its own message says"
                return f"worker {rank} (of 0 to {len(others)}) {how}"
    return ""


def connect(where: Place, device: str, meeting: str | None = None) -> Team:
    """Connect with the other workers, and wait for them. MachineError where that fails.

    device: cpu or cuda. meeting: a folder that workers on one machine share; None = by MASTER_ADDR and MASTER_PORT.
    """
    options: dict[str, Any] = {}
    if meeting is not None:
        path = str(Path(meeting, "store"))
        store = distributed.FileStore(path, where.size)  # type: ignore[attr-defined]
        options = {"store": store, "rank": where.rank, "world_size": where.size}
        local = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
        for name in local:  # what workers on one machine send does not leave it
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    try:
        distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=PATIENCE, **options)
    except (RuntimeError, ValueError) as error:
        raise MachineError(f"option workers: the workers cannot connect ({error})") from error
    return Team(where.rank, where.size, device)


def follow_run(folder: Path, where: Place, join: Join) -> None:
    """Train as one of the other workers of the run in `folder`, whose world model is complete."""
    config = with_own_log(read_config(folder, RunConfig), folder)
    options = config.train
    configure(options.threads)
    if options.device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", where.rank)))
    logs = open_logs(config)
    exit_rule = in_unit(build_exit(options.session, logs.catalogue, options.device), learned=True)
    fitted = load_world_model(world_folder(folder, config), logs, config.split)
    world = paid_world(world_of(fitted, logs, options), logs, config)
    torch.manual_seed(options.seed)
    follow(world, exit_rule, options, join)


def follow_started(folder: Path, where: Place, device: str) -> None:
    """The same for a worker that torchrun has started: it waits until worker 0 has begun to train."""
    team = connect(where, device)
    follow_run(folder, where, lambda: team)
    distributed.destroy_process_group()


def main(folder: Path, where: Place, meeting: str) -> int:
    """Follow the run, and return the exit code."""
    end_with_parent()

    def join() -> Team:
        print("ready", flush=True)
        return connect(where, read_config(folder, RunConfig).train.device, meeting)

    try:
        follow_run(folder, where, join)
    except LostWorkerError:  # worker 0 says which one it was
        return 0
    except (DarlrError, OSError) as error:
        print(f"darlr: worker {where.rank}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), Place(int(sys.argv[2]), int(sys.argv[3]), started=False), sys.argv[4])
    sys.stderr.flush()
    os._exit(code)  # without waiting for the thread that reads standard input
