"""Simulated steps a second of wall time, updates included, with some threads.

    DARLR_DATA=<folder> python -m benchmarks.rate --data kuairec_binary --threads 2 -- --method dorl

Several threads get a process of their own, because how they wait is settled when they start: here they spin, which is
right on idle cores (2.4 times faster than threads that sleep between operators) and wrong on busy ones.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.hot_loop import STEPS, costs, prepare, quick_world
from benchmarks.limit import arguments, train_options
from darlr.experiments.process import configure


def rates(data: str, options: Sequence[str], threads: int, steps: int) -> list[float]:
    """Steps a second, sorted, of measurements of at least `steps` each."""
    if threads == 1:
        return measured(data, options, threads, steps)
    spinning = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    spinning |= {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": str(threads)}
    own = ["--data", data, "--threads", str(threads), "--steps", str(steps)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.rate", *own, "--", *options],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=spinning,
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(data: str, options: Sequence[str], threads: int, steps: int) -> list[float]:
    """The same in this process."""
    configure(1)  # the world model's networks are too small for more
    config = train_options(data, options)
    learner, simulator, _ = prepare(*quick_world(data), config)
    configure(threads)
    taken = costs(learner, simulator, config.sessions, steps, clock=time.perf_counter)
    return sorted(STEPS / spent for spent in taken)


def main() -> None:
    """Print one line of JSON."""
    own, train = arguments(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="coat")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10_000, help="least steps in a measurement")
    given = parser.parse_args(own)
    print(json.dumps(measured(given.data, train, given.threads, given.steps)))


if __name__ == "__main__":
    main()
