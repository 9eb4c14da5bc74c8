"""How time and memory of training grow with users, items, K_sel and sessions, on made-up tables of random rewards.

    python -m benchmarks.growth --method darlr --users 1000 --items 1000 --picks 10 --sessions 128

prints one line of JSON: CPU-seconds for 100,000 steps on one thread (the least of two rollouts with their updates), and
MB before and over the tables. Each point is a process of its own.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import memory
from darlr.evaluation.pictures import canvas
from darlr.experiments.process import configure

if TYPE_CHECKING:
    from darlr.world.tables import World

BASE = {"users": 1000, "items": 1000, "picks": 10, "sessions": 128}
AXES = {
    "users": (500, 1000, 2000, 4000),
    "items": (500, 1000, 2000, 4000),
    "picks": (5, 10, 20, 40),
    "sessions": (64, 128, 256, 512),
}
NAMES = {"users": "users", "items": "items", "picks": "K_sel", "sessions": "sessions side by side"}
METHODS = ("dorl", "darlr")
TIME, MEMORY = "CPU-seconds per 100,000 steps", "MB over the world's tables"


@dataclass(frozen=True)
class Point:
    """What one size costs. seconds: CPU-seconds for 100,000 steps; held, peak: MB before and over the tables."""

    seconds: float
    held: float
    peak: float


def made_up(users: int, items: int, seed: int = 0) -> "World":
    """A world of random rewards."""
    import torch

    from darlr.world.entropy import EntropyTable
    from darlr.world.estimates import Dense
    from darlr.world.feedback import standardise
    from darlr.world.tables import World

    generator = torch.Generator().manual_seed(seed)
    reward = torch.rand(users, items, generator=generator)
    indicator = reward - reward.mean(0)
    return World(
        reward=Dense(reward),
        risk=Dense(torch.rand(users, items, generator=generator)),
        user_features=standardise(indicator),
        unit=torch.nn.functional.normalize(indicator, dim=1),
        item_vectors=torch.randn(items, 8, generator=generator),
        entropy=EntropyTable(torch.ones(items), torch.zeros(0, dtype=torch.int64), torch.zeros(0)),
        reward_range=(0.0, 1.0),
    )


def arguments(method: str, sizes: Mapping[str, int]) -> list[str]:
    """Of this module's command for one point."""
    return ["--method", method, *(part for name, size in sizes.items() for part in (f"--{name}", str(size)))]


def measure(report: Callable[[str], None] = lambda _: None) -> dict[str, Point]:
    """Every point of every axis, by what it is called: `key`."""
    found: dict[str, Point] = {}
    for method in METHODS:
        for axis, values in AXES.items():
            for value in values:
                sizes = {**BASE, axis: value}
                if key(method, sizes) in found or (axis == "picks" and method != "darlr"):
                    continue
                report(f"growth: {method}, {axis} {value:,}")
                found[key(method, sizes)] = Point(**memory.child(["benchmarks.growth", *arguments(method, sizes)]))
    return found


def key(method: str, sizes: Mapping[str, int]) -> str:
    """A point's name."""
    return " ".join((method, *(str(size) for size in sizes.values())))


def series(points: Mapping[str, Point], method: str, axis: str) -> list[tuple[int, Point]]:
    """Sizes along one axis and what they cost."""
    named = [(value, key(method, {**BASE, axis: value})) for value in AXES[axis]]
    return [(value, points[name]) for value, name in named if name in points]


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The slope in a log-log picture: 1 = twice the size costs twice as much."""
    return round(float(np.polyfit(np.log(sizes), np.log(costs), 1)[0]), 2) + 0.0  # no -0


def draw(points: Mapping[str, Point], time_path: Path, memory_path: Path) -> None:
    """The two log-log pictures."""
    _picture(points, time_path, TIME, lambda point: point.seconds)
    _picture(points, memory_path, MEMORY, lambda point: point.peak)


def _picture(points: Mapping[str, Point], path: Path, title: str, cost: Callable[[Point], float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    figure = canvas.blank(5.6)
    panels = figure.subplots(2, 2, sharey=True).ravel()
    for axes, axis in zip(panels, AXES, strict=True):
        for place, method in enumerate(METHODS):
            found = series(points, method, axis)
            if len(found) < 2:
                continue
            sizes, costs = [size for size, _ in found], [cost(point) for _, point in found]
            label = f"{method.upper()}, slope {exponent(sizes, costs):.2f}"
            axes.plot(sizes, costs, color=canvas.SERIES[place], marker="o", markersize=4, linewidth=1.6, label=label)
        axes.set(xscale="log", yscale="log")
        axes.set_xticks(AXES[axis], [f"{value:,}" for value in AXES[axis]])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_title(NAMES[axis], fontsize=9.5, loc="left", color=canvas.INK)
        axes.legend(loc="upper left", frameon=False, fontsize=8.5)
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(low, high * (high / low) ** 0.25)  # room for the legends
    figure.suptitle(title, fontsize=12, x=0.01, ha="left", color=canvas.INK, fontweight="bold")
    canvas.save(canvas.finished(figure), path)


def main() -> None:
    """Measure one point."""
    from benchmarks.hot_loop import costs
    from darlr.agents.learner import Learner, build_learner, build_simulator, learn
    from darlr.agents.rollout import Simulator
    from darlr.options import SelectorConfig, SessionConfig, TrainConfig
    from darlr.simulation.exits import never
    from darlr.world.tables import World

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=METHODS, default="darlr")
    for name, size in BASE.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    given = parser.parse_args()
    configure(1)
    config = TrainConfig(
        method=given.method,
        sessions=given.sessions,
        session=SessionConfig(exit="none"),
        selector=SelectorConfig(picks=given.picks),
    )

    def work(world: World, config: TrainConfig) -> tuple[Learner, Simulator]:
        learner = build_learner(world, config)
        simulator = build_simulator(world, learner.tables, never, config)
        learn(learner, simulator, config.sessions)
        return learner, simulator

    # what the process needs once, whatever the sizes; so small that it leaves no memory to be used again
    work(made_up(given.picks + 1, 10 + config.session.turns), replace(config, sessions=1))
    world = made_up(given.users, given.items)
    built: list[tuple[Learner, Simulator]] = []
    found = memory.peak_of(lambda: built.append(work(world, config)))
    seconds = costs(*built[0], config.sessions, steps=1, repeats=2)[0]
    print(json.dumps(asdict(Point(seconds, found.held, found.peak))))


if __name__ == "__main__":
    main()
