"""What one step of training costs against the number of users and items: `python -m benchmarks.step_cost`.

The worlds are random factors, as their quality costs no time. Each size trains in a process of its own, in turn with
the others, on one thread, with slates and a pool at every size. It prints the median of the microseconds per step, the
slope between the smallest and the largest world on logarithmic axes, and the peak memory, and can draw a picture.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from darlr.agents.learner import Learner, build_learner, build_simulator, learn
from darlr.agents.rollout import Simulator
from darlr.data.log import InteractionLog
from darlr.experiments.process import configure
from darlr.methods import usual
from darlr.options.names import override
from darlr.simulation.exits import CategoryExit
from darlr.world.entropy import build_entropy
from darlr.world.estimates import Constant
from darlr.world.feedback import standardise
from darlr.world.fold_in import FoldIn
from darlr.world.logged import histories
from darlr.world.low_rank import LowRank
from darlr.world.tables import World

SIZES = ("10000x10000", "100000x30000", "1000000x100000")
FACTORS, VECTOR, CATEGORIES, EVENTS, NEAR = 64, 8, 20, 20, 48
OPTIONS = {"recommender.slate": 400, "selector.candidates": 64, "session.exit": "category"}


def random_world(n_users: int, n_items: int) -> World:
    """A world of random factors, neighbours and logged events."""
    draw, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    strength = 0.3 / (1 + torch.arange(FACTORS))
    factors = torch.randn(n_items, FACTORS, generator=draw) * strength
    theta = torch.randn(n_users, FACTORS, generator=draw)
    fold = FoldIn(2 + 0.5 * torch.randn(n_items, generator=draw), factors, 0.5, (1.0, 5.0))
    reward, vectors = LowRank(fold, theta), theta * factors.norm(dim=0)
    user = np.repeat(np.arange(n_users), EVENTS)
    item = rng.integers(n_items, size=len(user))
    ids = tuple(range(n_users)), tuple(range(n_items))
    log = InteractionLog("random", user, item, np.ones(len(user), np.float32), *ids)
    world = World(
        reward=reward,
        risk=Constant(0.5, reward),
        user_features=standardise(vectors),
        unit=vectors / vectors.norm(dim=1, keepdim=True),
        item_vectors=torch.randn(n_items, VECTOR, generator=draw),
        entropy=build_entropy(log),
        reward_range=(1.0, 5.0),
        categories=(1 << torch.randint(CATEGORIES, (n_items, 1), generator=draw)),
        preference=factors,
        histories=histories(log),
    )
    near = torch.randint(n_users, (n_users, NEAR), generator=draw)  # finding neighbours is no part of a step
    world._ranked[:] = [(near, torch.ones(n_users, NEAR))]
    return world


def prepare(n_users: int, n_items: int, method: str) -> tuple[Learner, Simulator, int]:
    """A learner in a random world, and the number of its sessions."""
    config = override(usual(method), OPTIONS).train
    world = random_world(n_users, n_items)
    learner = build_learner(world, config)
    assert world.categories is not None
    simulator = build_simulator(world, learner.tables, CategoryExit(world.categories), config)
    return learner, simulator, config.sessions


def measure(size: str, method: str, rollouts: int) -> None:
    """Train, and print the microseconds per step, the share of updates in them and the peak memory as JSON."""
    configure(1)
    n_users, n_items = map(int, size.split("x"))
    learner, simulator, sessions = prepare(n_users, n_items, method)
    learn(learner, simulator, sessions)
    taken = []
    for _ in range(rollouts):
        began = time.process_time()
        learn(learner, simulator, sessions)
        taken.append((time.process_time() - began) / (sessions * simulator.environment.turns) * 1e6)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps({"microseconds": median(taken), "peak": peak}))


def draw(found: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draw microseconds per step against the number of pairs, a line for each method."""
    from matplotlib.figure import Figure

    from darlr.evaluation.pictures import canvas

    figure: Figure = canvas.blank(4.2)
    axes = figure.add_subplot()
    for place, (method, sizes) in enumerate(found.items()):
        pairs = [math.prod(map(int, size.split("x"))) for size in sizes]
        colour, style = canvas.line_look(place)
        axes.plot(pairs, [median(taken) for taken in sizes.values()], marker="o", color=colour, ls=style, label=method)
    axes.set(xscale="log", yscale="log", xlabel="users times items", ylabel="CPU microseconds per step")
    axes.set_ylim(bottom=50, top=5000)
    axes.legend(frameon=False)
    canvas.head(figure, "The cost of a training step by the size of the world")
    canvas.save(canvas.finished(figure), path)


def main() -> None:
    """Measure every size and method in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), help="users x items, the smallest first")
    parser.add_argument("--methods", nargs="+", default=["darlr", "darlr+"])
    parser.add_argument("--rollouts", type=int, default=10, help="rollouts in a measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--one", action="store_true", help="measure the first size and method in this process")
    options = parser.parse_args()
    if options.one:
        measure(options.sizes[0], options.methods[0], options.rollouts)
        return
    found: dict[str, dict[str, list[float]]] = {one: {size: [] for size in options.sizes} for one in options.methods}
    peaks: dict[str, float] = {}
    for _ in range(options.repeats):
        for method in options.methods:
            for size in options.sizes:
                more = ["--sizes", size, "--methods", method, "--rollouts", str(options.rollouts)]
                command = [sys.executable, "-m", "benchmarks.step_cost", "--one", *more]
                answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                found[method][size].append(answer["microseconds"])
                peaks[size] = max(peaks.get(size, 0.0), answer["peak"])
    print("| users x items | " + " | ".join(f"{one}, microseconds per step" for one in found) + " | peak GB |")
    print("|---|" + "---:|" * (len(found) + 1))
    for size in options.sizes:
        costs = " | ".join(f"{median(one[size]):.0f}" for one in found.values())
        print(f"| {size.replace('x', ' x ')} | {costs} | {peaks[size]:.1f} |")
    first, last = options.sizes[0], options.sizes[-1]
    pairs = [math.prod(map(int, size.split("x"))) for size in (first, last)]
    for method, sizes in found.items():
        ratio = median(sizes[last]) / median(sizes[first])
        slope = math.log(ratio) / math.log(pairs[1] / pairs[0])
        print(f"{method}: the largest takes {ratio:.2f} times the smallest; slope by users times items {slope:.3f}")
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
