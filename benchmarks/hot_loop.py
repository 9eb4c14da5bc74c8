"""CPU-seconds for 100,000 simulated steps, updates included: `DARLR_DATA=<folder> python benchmarks/hot_loop.py`.

One thread; the median of three measurements after a warm-up; a world model of one epoch, as its quality costs no time.
"""

import argparse
import time
from dataclasses import replace
from statistics import median

import torch

from darlr.agents.learner import Learner, build_learner, build_simulator, learn
from darlr.agents.rollout import Simulator
from darlr.commands.stages import Logs, open_logs, resolved, world_of
from darlr.config import Method, RunConfig, SplitConfig, TrainConfig
from darlr.simulation.exits import build_exit
from darlr.world.fit import fit_world
from darlr.world.fitted import FittedWorldModel

METHODS: tuple[Method, ...] = ("mbpo", "roler", "darlr")


def prepare(logs: Logs, fitted: FittedWorldModel, method: Method) -> tuple[Learner, Simulator]:
    """A fresh learner of a method, and the world that it is simulated in."""
    config = resolved(TrainConfig(method=method), logs.whole)
    world = world_of(fitted, logs, config)
    learner = build_learner(world, config)
    return learner, build_simulator(world, learner.tables, build_exit(config.session, logs.catalogue), config)


def cost(learner: Learner, simulator: Simulator, sessions: int, steps: int) -> float:
    """CPU-seconds for 100,000 steps, from measurements of at least `steps` each."""
    rollout = sessions * simulator.session.turns
    count = -(-steps // rollout)
    learn(learner, simulator, sessions)
    taken = []
    for _ in range(3):
        start = time.process_time()
        for _ in range(count):
            learn(learner, simulator, sessions)
        taken.append(time.process_time() - start)
    return median(taken) / (count * rollout) * 100_000


def main() -> None:
    """Print one row for each data set and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["coat", "kuairec_binary"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--steps", type=int, default=10_000, help="least steps in a measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| data | method | CPU-s per 100,000 steps |\n|---|---|---|")
    for data in options.data:
        config = RunConfig(data=data, split=SplitConfig(refit=False))
        logs = open_logs(config)
        fitted = fit_world(logs.train, logs.held_out, replace(config.world_model, epochs=1))
        for method in options.methods:
            learner, simulator = prepare(logs, fitted, method)
            print(
                f"| {data} | {method} | {cost(learner, simulator, TrainConfig.sessions, options.steps):.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
