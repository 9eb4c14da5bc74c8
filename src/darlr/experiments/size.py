"""The memory, disk and time that a run takes, and a refusal where the machine has too little."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from darlr.data.log import InteractionLog
from darlr.data.scope import scope_of
from darlr.errors import MachineError
from darlr.io.memory import free_memory, gigabytes
from darlr.io.places import first_existing
from darlr.methods import find
from darlr.options import RunConfig
from darlr.world.implicit import resolve
from darlr.world.low_rank import COLUMNS, sampled

FACTORS = 250  # numbers for each user and item, where estimates are factors: a count of what is held, not a measurement
SLATE_STEP = 2e-4  # seconds of a step with slates, a guess
TABLE = 4  # bytes of a cell of a table, float32
LOGGED = 150  # bytes of a logged event, with the copies that splitting and fitting make
PROCESS = 400_000_000  # bytes of a process without any table
# Number of tables of users x items at the peak, measured on 4,000 x 4,000: of a fit, and of every method.
FIT, LEAST = 3, 7
PREDICTION = 0.7e-6  # seconds in which a member of the world model predicts a cell


@dataclass(frozen=True)
class Size:
    """users, items: of the scope. memory, disk: bytes. seconds: on one thread, without the fit of the world model."""

    users: int
    items: int
    memory: int
    disk: int
    seconds: float


def size_of(log: InteractionLog, config: RunConfig, tables: int | None = None) -> Size:
    """Return what training on a log takes. tables: number of tables of users x items; None = those of the method."""
    scope, train = scope_of(log), config.train
    method, users, items = find(train.method), len(scope.users), len(scope.items)
    if resolve(config.world_model, log).estimates == "factors":
        numbers, sample = (users + items) * FACTORS, sampled(users, items) * items  # rows that give the directions
        memory = PROCESS + LOGGED * len(log) + TABLE * (4 * numbers + sample)
        predicted = (sample + users * COLUMNS) * config.world_model.members * PREDICTION
        seconds = predicted + train.epochs * train.steps * (method.cost.step + SLATE_STEP)
        return Size(users, items, memory, 3 * TABLE * numbers, seconds)
    cells = users * items
    most = LEAST + method.cost.tables if tables is None else tables
    # the world model, the policy, the checkpoint and its draft
    kept = 3 + 2 * method.references + bool(train.recommender.prior)
    seconds = cells * config.world_model.members * PREDICTION + train.epochs * train.steps * method.cost.seconds(items)
    return Size(users, items, PROCESS + most * cells * TABLE, kept * cells * TABLE, seconds)


def memory_needed(size: Size) -> str:
    """Return the memory that is needed beside the memory that is free, and what to do where too little is free."""
    free, needed = (
        free_memory(),
        f"{size.users:,} users x {size.items:,} items take about {gigabytes(size.memory)} of memory",
    )
    if free is None:
        return needed
    if size.memory <= free:
        return f"{needed}; {gigabytes(free)} are free"
    return (
        f"{needed}, and only {gigabytes(free)} are free: prepare a data set with fewer users or items (leave out those "
        "with few events first), hold estimates as factors (option model.estimates), or use a machine with more memory"
    )


def require_memory(size: Size) -> None:
    """Raise MachineError where less memory is free than is needed."""
    free = free_memory()
    if free is not None and size.memory > free:
        raise MachineError(memory_needed(size))


def require_disk(size: Size, folder: Path) -> None:
    """Raise MachineError where the disk of `folder` has less room than is needed."""
    free = shutil.disk_usage(first_existing(folder.resolve())).free
    if size.disk > free:
        raise MachineError(
            f"{folder}: a run of {size.users:,} users x {size.items:,} items takes about {gigabytes(size.disk)} of "
            f"disk, and {gigabytes(free)} are free; make room or choose another folder (option out)"
        )


def outlook(size: Size) -> str:
    """Return one line on what the run will take."""
    minutes = max(1, round(size.seconds / 60))
    return (
        f"plan: {memory_needed(size)}; {gigabytes(size.disk)} of disk; roughly {minutes:,} minute{'s' * (minutes > 1)} "
        "on an idle core, besides the world model's epochs"
    )
