"""The rows of the benchmark page on training: time beside its goal and its floor, throughput, memory."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch

from benchmarks import limit, memory
from benchmarks.floor import sizes_of
from benchmarks.hot_loop import costs, prepare, quick_world
from benchmarks.parts import profile
from darlr.agents.learner import learn
from darlr.config import TrainConfig

NO_POOL = "not measured: this version has no option selector.candidates"
LONGEST = 5  # parts of a profile that are told


@dataclass(frozen=True)
class Result:
    """One row. goal, values: in `unit`. floor: likewise. parts: what the time goes to, longest first, as shares."""

    name: str
    goal: str
    unit: str
    command: str
    values: list[float] = field(default_factory=list)
    floor: float | None = None
    parts: list[tuple[str, float]] = field(default_factory=list)
    note: str = ""


Measure = Callable[[], Result]


@dataclass(frozen=True)
class Training:
    """A method on a data set; options: of `darlr train`."""

    name: str
    goal: str
    data: str
    options: str

    @property
    def command(self) -> str:
        """What measures it alone."""
        return f"python -m benchmarks.limit --data {self.data} --profile -- {self.options}"

    @property
    def config(self) -> TrainConfig:
        """What `darlr train` would make of it."""
        return limit.train_options(self.data, self.options.split())

    @property
    def missing(self) -> bool:
        """Whether this version lacks what it needs."""
        return "--selector.candidates" in self.options and not limit.has_pool()


# The predecessors' own settings: 100 sessions, minibatches of 1,024, no user in the state.
MEAN = "--sessions 100 --recommender.no-user-in-state --recommender.tracker.kind mean"
COAT = (
    Training("MBPO, mean tracker", "0.5", "coat", f"--method mbpo {MEAN}"),
    Training("MOPO, mean tracker", "0.5", "coat", f"--method mopo {MEAN}"),
    Training("DORL, mean tracker", "0.5", "coat", f"--method dorl {MEAN}"),
    Training(
        "ROLeR, Transformer of 2 layers", "1.5", "coat", "--method roler --sessions 100 --recommender.no-user-in-state"
    ),
    Training("DARLR, K_sel = 10, all 290 users", "12", "coat", "--method darlr --sessions 100"),
    Training("DARLR, pool of 64", "6", "coat", "--method darlr --sessions 100 --selector.candidates 64"),
)
KUAIREC = (
    Training("DORL", "20,000", "kuairec_binary", "--method dorl"),
    Training("DARLR, K_sel = 10, all 1,411 users", "5,000", "kuairec_binary", "--method darlr"),
    Training("DARLR, pool of 64", "10,000", "kuairec_binary", "--method darlr --selector.candidates 64"),
)


def training(row: Training, steps: int) -> Result:
    """CPU-seconds for 100,000 steps on one thread, the floor, and what the time goes to."""
    empty = Result(f"{row.data}: {row.name}", row.goal if row.data == "coat" else "", "CPU-s", row.command)
    if row.missing:
        return Result(**{**vars(empty), "note": NO_POOL})
    torch.set_num_threads(1)
    learner, simulator, world = prepare(*quick_world(row.data), row.config)
    least = limit.limit(sizes_of(world), row.config).least
    taken = costs(learner, simulator, row.config.sessions, steps)
    found = profile(learner, simulator, row.config.sessions, median(taken), rollouts=1)
    shares = sorted(
        ((name, sum(spent) / median(taken)) for name, spent in found.parts.items()), key=lambda one: -one[1]
    )
    return Result(**{**vars(empty), "values": taken, "floor": least, "parts": shares[:LONGEST]})


def throughput(row: Training, threads: int, steps: int, repeats: int = 3) -> Result:
    """Simulated steps a second of wall time, updates included."""
    name = f"{row.data}: {row.name}, {threads} thread{'s' * (threads > 1)}"
    command = f'python -m benchmarks.page --only "{name}"'
    if row.missing:
        return Result(name, row.goal, "steps/s", command, note=NO_POOL)
    learner, simulator, _ = prepare(*quick_world(row.data), row.config)
    rollout = row.config.sessions * row.config.session.turns
    count = -(-steps // rollout)
    torch.set_num_threads(threads)
    try:
        learn(learner, simulator, row.config.sessions)
        values = []
        for _ in range(repeats):
            start = time.perf_counter()
            for _ in range(count):
                learn(learner, simulator, row.config.sessions)
            values.append(count * rollout / (time.perf_counter() - start))
    finally:
        torch.set_num_threads(1)
    return Result(name, row.goal, "steps/s", command, sorted(values))


def training_memory(row: Training) -> Result:
    """Peak memory of training over what the process holds with the world's tables, in a process of its own."""
    name = f"{row.data}: {row.name}, peak memory over the world's tables"
    command = f'python -m benchmarks.page --only "{name}"'
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "world"
        quick_world(row.data)[1].save(place)
        found = memory.of_training(row.data, place, row.options.split())
    return Result(name, "1,000", "MB", command, [found.peak], note=f"the process held {found.held:,.0f} MB before")


def rows(steps: int) -> Iterator[tuple[str, Measure]]:
    """Name and measuring function of every row."""
    for row in (*COAT, *KUAIREC):
        yield f"{row.data}: {row.name}", lambda row=row: training(row, steps)  # type: ignore[misc]
    for row in KUAIREC:
        for threads in (1, 2):
            name = f"{row.data}: {row.name}, {threads} thread{'s' * (threads > 1)}"
            yield name, lambda row=row, threads=threads: throughput(row, threads, steps)  # type: ignore[misc]
    for row in KUAIREC[:2]:
        yield f"{row.data}: {row.name}, peak memory over the world's tables", lambda row=row: training_memory(row)  # type: ignore[misc]
