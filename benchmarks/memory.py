"""Memory of a piece of work: what the process held before it, and how much more it held at most. Linux.

    DARLR_DATA=<folder> python -m benchmarks.memory --data coat --world WORLD -- --method darlr

A process of its own, which loads a world model that was fitted before, so that what fitting left behind hides nothing.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from darlr.experiments.process import configure
from darlr.options import RunConfig, SplitConfig


@dataclass(frozen=True)
class Memory:
    """MB. held: resident before the work; peak: at most over that."""

    held: float
    peak: float


def _status(name: str) -> float:
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1e3  # kilobytes there


def peak_of(work: Callable[[], object]) -> Memory:
    """The memory of one call."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak is now what is resident
    held = _status("VmRSS")
    work()
    return Memory(held, max(0.0, _status("VmHWM") - held))


def child(arguments: Sequence[str]) -> dict[str, float]:
    """What a process of this folder's modules prints as JSON in its last line."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def of_training(data: str, world: Path, options: Sequence[str]) -> Memory:
    """Of three rollouts and updates with a fitted world model, its tables not counted."""
    return Memory(**child(["benchmarks.memory", "--data", data, "--world", str(world), "--", *options]))


def main() -> None:
    """Print one line of JSON."""
    from benchmarks.limit import arguments, train_options
    from darlr.agents.learner import build_learner, build_simulator, learn
    from darlr.experiments.logs import open_logs
    from darlr.experiments.plan import decided
    from darlr.experiments.world import world_of
    from darlr.simulation.exits import build_exit
    from darlr.world.fitted import load

    own, train = arguments(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", default="coat")
    parser.add_argument("--world", type=Path, required=True)
    given = parser.parse_args(own)
    configure(1)
    logs = open_logs(RunConfig(data=given.data, split=SplitConfig(refit=False)))
    config = decided(RunConfig(train=train_options(given.data, train)), logs).train
    world = world_of(load(given.world), logs, config)
    rule = build_exit(config.session, logs.catalogue)

    def work() -> None:
        learner = build_learner(world, config)
        simulator = build_simulator(world, learner.tables, rule, config)
        for _ in range(3):
            learn(learner, simulator, config.sessions)

    print(json.dumps(asdict(peak_of(work))))


if __name__ == "__main__":
    main()
