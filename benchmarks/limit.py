"""Measured CPU time of training over the floor of this machine, for one method on one data set.

    DARLR_DATA=<folder> python -m benchmarks.limit --data coat --profile -- --method darlr --selector.picks 10

What follows `--` are options of `darlr train`. The floor is the time that the step's products of matrices take at their
own shapes, plus its exponentials, or, where longer, the time that its bytes take: all at rates measured here, on one
thread (benchmarks/floor.py says what is counted). "At full rate" charges the products at the rate of large ones.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks import machine
from benchmarks.floor import Floor, Sizes, floor, sizes_of
from benchmarks.hot_loop import STEPS, costs, prepare, quick_world
from benchmarks.parts import profile
from darlr.cli.dispatch import parse
from darlr.experiments.process import configure
from darlr.options import TrainConfig


@dataclass(frozen=True)
class Limit:
    """CPU-seconds for 100,000 steps. parts: of the products and exponentials; full: products at the full rate."""

    parts: dict[str, float]
    memory: float
    full: float

    @property
    def least(self) -> float:
        """The floor."""
        return max(sum(self.parts.values()), self.memory)


def train_options(data: str, options: Sequence[str]) -> TrainConfig:
    """The configuration that `darlr train` would make of these options; a misspelt one ends the program."""
    config: TrainConfig = parse(["train", "--out", "unused", "--data", data, *options]).train
    return config


def limit(sizes: Sizes, config: TrainConfig) -> Limit:
    """The floor of a configuration on this machine."""
    work = floor(sizes, config)
    parts: dict[str, float] = defaultdict(float)
    for product in work.products:
        parts[product.part] += product.count * machine.product_seconds(product.m, product.k, product.n) * STEPS
    exps = work.exps / machine.exps_a_second() * STEPS
    parts["exponentials"] = exps
    memory = work.bytes / machine.bytes_a_second() * STEPS
    return Limit(dict(parts), memory, max(work.flop / machine.peak_flops() * STEPS + exps, memory))


def describe(work: Floor, found: Limit) -> list[str]:
    """The work, the rates, and what the floor is made of."""
    return [
        f"a step needs {work.flop / 1e6:.3f} Mflop, {work.exps:,.0f} exponentials, {work.bytes / 1e3:.1f} kB",
        f"{machine.name()}: {machine.peak_flops() / 1e9:.1f} Gflop/s in large products, "
        f"{machine.exps_a_second() / 1e9:.2f} G exponentials/s, {machine.bytes_a_second() / 1e9:.1f} GB/s, one thread",
        "\n| part of the floor | CPU-s per 100,000 steps |\n|---|---|",
        *(f"| {part} | {spent:.3f} |" for part, spent in found.parts.items()),
        f"| (memory, beside it) | {found.memory:.3f} |",
    ]


def arguments(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """What comes before and after `--`."""
    place = list(given).index("--") if "--" in given else len(given)
    return list(given[:place]), list(given[place + 1 :])


def main(given: Sequence[str] | None = None) -> None:
    """Print the floor, the measurement and the ratio."""
    own, train = arguments(sys.argv[1:] if given is None else given)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="coat")
    parser.add_argument("--steps", type=int, default=10_000, help="least steps in a measurement")
    parser.add_argument("--profile", action="store_true", help="also say what the time is spent on")
    options = parser.parse_args(own)
    configure(1)
    config = train_options(options.data, train)
    learner, simulator, world = prepare(*quick_world(options.data), config)
    sizes = sizes_of(world)
    found = limit(sizes, config)
    print("\n".join(describe(floor(sizes, config), found)))
    taken = costs(learner, simulator, config.sessions, options.steps)
    spent = median(taken)
    print("\n| | CPU-s per 100,000 steps | measured is so many times this |\n|---|---|---|")
    print(f"| measured | {spent:.2f} ({taken[0]:.2f} to {taken[-1]:.2f}) | |")
    print(f"| floor | {found.least:.3f} | {spent / found.least:.1f} |")
    print(f"| floor, products at full rate | {found.full:.3f} | {spent / found.full:.1f} |")
    if options.profile:
        print("\n".join(("", *profile(learner, simulator, config.sessions, spent).table())))


if __name__ == "__main__":
    main()
