"""The rows of the benchmark page on training: time beside its goal and its floor, throughput, memory."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import limit, memory, rate
from benchmarks.floor import sizes_of
from benchmarks.hot_loop import costs, prepare, quick_world
from benchmarks.parts import profile
from darlr.agents.learner import learn
from darlr.experiments.process import configure
from darlr.options import TrainConfig

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
        profile = "" if self.config.compile == "on" else "--profile "
        return f"python -m benchmarks.limit --data {self.data} {profile}-- {self.options}"

    @property
    def config(self) -> TrainConfig:
        """What `darlr train` would make of it."""
        return limit.train_options(self.data, self.options.split())

    @property
    def title(self) -> str:
        """Its name on the page."""
        return f"{self.data}: {self.name}"

    @property
    def compiled(self) -> "Training":
        """The same through PyTorch's compiler."""
        return replace(self, name=f"{self.name}, compiled", options=f"{self.options} --compile on")

    def rate_title(self, threads: int) -> str:
        """The name of its throughput."""
        return f"{self.title}, {threads} thread{'s' * (threads > 1)}"

    @property
    def memory_title(self) -> str:
        """The name of its memory."""
        return f"{self.title}, peak memory over the world's tables"


def only(name: str) -> str:
    """The command that measures one row of the page."""
    return f'python -m benchmarks.page --only "{name}"'


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
COMPILED = tuple(row.compiled for row in (COAT[0], *COAT[3:]))
KUAIREC = (
    Training("DORL", "20,000", "kuairec_binary", "--method dorl"),
    Training("DARLR, K_sel = 10, all 1,411 users", "5,000", "kuairec_binary", "--method darlr"),
    Training("DARLR, pool of 64", "10,000", "kuairec_binary", "--method darlr --selector.candidates 64"),
)


def training(row: Training, steps: int) -> Result:
    """CPU-seconds for 100,000 steps on one thread, the floor, and what the time goes to.

    Of a compiled row no parts are told, but how long its first rollout and update took, compiling included.
    """
    configure(1)
    config, goal = row.config, row.goal if row.data == "coat" else ""
    learner, simulator, world = prepare(*quick_world(row.data), config)
    least = limit.limit(sizes_of(world), config).least
    start = time.perf_counter()
    learn(learner, simulator, config.sessions)
    first = time.perf_counter() - start
    taken = costs(learner, simulator, config.sessions, steps)
    result = Result(row.title, goal, "CPU-s", row.command, taken, least)
    if config.compile == "on":
        return replace(result, note=f"ready after {first:.0f} s")
    found = profile(learner, simulator, config.sessions, median(taken), rollouts=1)
    shares = sorted(
        ((name, sum(spent) / median(taken)) for name, spent in found.parts.items()), key=lambda one: -one[1]
    )
    return replace(result, parts=shares[:LONGEST])


def throughput(row: Training, threads: int, steps: int) -> Result:
    """Simulated steps a second of wall time, updates included."""
    found = rate.rates(row.data, row.options.split(), threads, steps)
    command = f"python -m benchmarks.rate --data {row.data} --threads {threads} -- {row.options}"
    command = command if threads == 1 else f"OMP_WAIT_POLICY=ACTIVE OMP_NUM_THREADS={threads} {command}"
    goal = row.goal if row.data != "coat" else ""  # Coat's are of CPU-seconds
    return Result(row.rate_title(threads), goal, "steps/s", command, found)


def training_memory(row: Training) -> Result:
    """Peak memory of training over what the process holds with the world's tables, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "world"
        quick_world(row.data)[1].save(place)
        found = memory.of_training(row.data, place, row.options.split())
    held = f"the process held {found.held:,.0f} MB before"
    return Result(row.memory_title, "1,000", "MB", only(row.memory_title), [found.peak], note=held)


def rows(steps: int) -> Iterator[tuple[str, Measure]]:
    """Name and measuring function of every row."""
    for row in (*COAT, *KUAIREC):
        yield row.title, partial(training, row, steps)
    for row in (*COAT, *KUAIREC):
        for threads in (1, 2):
            yield row.rate_title(threads), partial(throughput, row, threads, steps)
    for row in KUAIREC[:2]:
        yield row.memory_title, partial(training_memory, row)


def compiled_rows(steps: int) -> Iterator[tuple[str, Measure]]:
    """The same of the rows that are compiled, which takes minutes."""
    pool = KUAIREC[2].compiled
    for row in (*COMPILED, pool):
        yield row.title, partial(training, row, steps)
    yield pool.rate_title(2), partial(throughput, pool, 2, steps)
