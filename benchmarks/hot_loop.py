"""CPU-seconds for 100,000 simulated steps, updates included: `DARLR_DATA=<folder> python -m benchmarks.hot_loop`.

One thread; the median of three measurements after a warm-up; a world model of one epoch, as its quality costs no time.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from statistics import median

from darlr.agents.learner import Learner, build_learner, build_simulator, learn
from darlr.agents.rollout import Simulator
from darlr.experiments.logs import Logs, open_logs
from darlr.experiments.process import configure
from darlr.experiments.world import world_of
from darlr.options import RunConfig, SplitConfig, TrainConfig
from darlr.simulation.exits import build_exit, resolve
from darlr.world.fit import fit_world
from darlr.world.fitted import FittedWorldModel
from darlr.world.tables import World

METHODS: tuple[str, ...] = ("mbpo", "roler", "darlr")
STEPS = 100_000  # that costs are told for


@cache
def quick_world(data: str, epochs: int = 1) -> tuple[Logs, FittedWorldModel]:
    """The logs of a data set and a world model of one epoch, or at most of so many."""
    config = RunConfig(data=data, split=SplitConfig(refit=False))
    logs = open_logs(config)
    return logs, fit_world(logs.train, logs.held_out, replace(config.world_model, epochs=epochs))


def prepare(logs: Logs, fitted: FittedWorldModel, config: TrainConfig) -> tuple[Learner, Simulator, World]:
    """A fresh learner, the simulator that it learns in, and the tables of both."""
    config = replace(config, session=resolve(config.session, logs.whole))
    world = world_of(fitted, logs, config)
    learner = build_learner(world, config)
    simulator = build_simulator(world, learner.tables, build_exit(config.session, logs.catalogue), config)
    return learner, simulator, world


def costs(
    learner: Learner,
    simulator: Simulator,
    sessions: int,
    steps: int,
    repeats: int = 3,
    clock: Callable[[], float] = time.process_time,
) -> list[float]:
    """CPU-seconds (or those of another clock) for 100,000 steps, sorted, from measurements of at least `steps` each."""
    rollout = sessions * simulator.environment.turns
    count = -(-steps // rollout)
    learn(learner, simulator, sessions)
    taken = []
    for _ in range(repeats):
        start = clock()
        for _ in range(count):
            learn(learner, simulator, sessions)
        taken.append(clock() - start)
    return sorted(spent / (count * rollout) * STEPS for spent in taken)


def main() -> None:
    """Print one row for each data set and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["coat", "kuairec_binary"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--steps", type=int, default=10_000, help="least steps in a measurement")
    options = parser.parse_args()
    configure(1)
    print("| data | method | CPU-s per 100,000 steps |\n|---|---|---|")
    for data in options.data:
        for method in options.methods:
            learner, simulator, _ = prepare(*quick_world(data), TrainConfig(method=method))
            cost = median(costs(learner, simulator, TrainConfig.sessions, options.steps))
            print(f"| {data} | {method} | {cost:.2f} |", flush=True)


if __name__ == "__main__":
    main()
