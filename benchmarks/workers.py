"""What several workers gain in the training of one run, on made-up tables of random rewards (`benchmarks.growth`).

    python -m benchmarks.workers --users 2000 --items 2000 --method darlr --workers 1 2

Each number of workers is measured in turn, one thread a worker. Printed are the median and the range over repeats of
wall seconds for 100,000 steps, of the CPU-seconds of all workers, and of those of the busiest one. The last is what the
wall seconds would be on idle cores if nobody waited. On cores that do other work, wall seconds say little.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.pool import Pool
from statistics import median
from typing import Any

from darlr.methods import usual
from darlr.options import TrainConfig


def trained(
    rank: int, size: int, meeting: str, users: int, items: int, config: TrainConfig, rollouts: int
) -> tuple[float, float]:
    """Train as worker `rank` of `size`; returns wall and CPU seconds of the rollouts and updates after the first."""
    from benchmarks.growth import made_up
    from darlr.agents.learner import build_learner, build_simulator, learn
    from darlr.agents.parallel import ALONE
    from darlr.experiments.process import configure
    from darlr.experiments.workers import Place, connect
    from darlr.simulation.exits import never

    configure(1)
    world = made_up(users, items)
    learner = build_learner(world, config)
    simulator = build_simulator(world, learner.tables, never, config)
    learner.team = ALONE if size == 1 else connect(Place(rank, size), "cpu", meeting)
    learn(learner, simulator, config.sessions)
    wall, cpu = time.monotonic(), time.process_time()
    for _ in range(rollouts):
        learn(learner, simulator, config.sessions)
    return time.monotonic() - wall, time.process_time() - cpu


def measured(size: int, *world: Any) -> tuple[float, float, float]:
    """Wall seconds, CPU-seconds of all, CPU-seconds of the busiest, with `size` workers in new processes."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as meeting, ExitStack() as stack:
        pools: list[Pool] = [stack.enter_context(spawn.Pool(1)) for _ in range(size)]
        answers = [pool.apply_async(trained, (rank, size, meeting, *world)) for rank, pool in enumerate(pools)]
        walls, cpus = zip(*(answer.get() for answer in answers), strict=True)
    return max(walls), sum(cpus), max(cpus)


def spread(values: Sequence[float]) -> str:
    """The median and the range."""
    return f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    """Measure every number of workers in turn, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--method", default="darlr")
    parser.add_argument("--sessions", type=int, default=TrainConfig.sessions)
    parser.add_argument("--candidates", type=int, help="users that the selector picks from")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rollouts", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    usually = usual(given.method).train
    selector = replace(usually.selector, candidates=given.candidates)
    config = replace(usually, sessions=given.sessions, selector=selector, session=replace(usually.session, exit="none"))
    world = given.users, given.items, config, given.rollouts
    scale = 100_000 / (given.rollouts * given.sessions * config.session.turns)
    found: dict[int, list[tuple[float, float, float]]] = {size: [] for size in given.workers}
    for _ in range(given.repeats):
        for size in given.workers:
            found[size].append(measured(size, *world))
    print("| workers | wall seconds | CPU-seconds of all | CPU-seconds of the busiest |\n|---:|---:|---:|---:|")
    for size, rows in found.items():
        columns = zip(*rows, strict=True)
        print(f"| {size} |", " | ".join(spread([one * scale for one in column]) for column in columns), "|")


if __name__ == "__main__":
    main()
