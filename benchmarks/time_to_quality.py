"""Which sessions and minibatches reach the default's final return soonest, in CPU-seconds of training?

    DARLR_DATA=<folder> python -m benchmarks.time_to_quality --data coat --methods mbpo --seeds 3 --out curves.jsonl

Quality is the greedy policy's mean return over all users on the world model's own r0, never on the truth: it says how
far learning has come, not how good the world model is. The mark is what the default ends with, mean over seeds, minus
one standard error; a setting's time is when its mean curve over seeds first reaches that. Evaluation is not timed.
Every setting trains for the same number of steps. One line of JSON for each evaluation goes to --out, where finished
runs are found again.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.hot_loop import prepare, quick_world
from benchmarks.limit import train_options
from darlr.agents.learner import learn
from darlr.agents.policy import RecommenderPolicy
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import Truth
from darlr.experiments.logs import Logs
from darlr.experiments.process import configure
from darlr.options import TrainConfig, WorldModelConfig
from darlr.world.fitted import FittedWorldModel

DEFAULT = ""
SETTINGS = (
    DEFAULT,
    "--sessions 32 --recommender.a2c.minibatch 960",
    "--sessions 64 --recommender.a2c.minibatch 960",
    "--sessions 256",
    "--recommender.a2c.minibatch 512",
    "--recommender.a2c.minibatch 256",
    "--sessions 100",  # the predecessors'
)


@dataclass(frozen=True)
class Seen:
    """One evaluation: after `steps` steps, `cpu` and `wall` seconds of training; value: the greedy return on r0."""

    method: str
    setting: str
    seed: int
    steps: int
    cpu: float
    wall: float
    value: float


def run(
    logs: Logs, fitted: FittedWorldModel, config: TrainConfig, budget: int, every: int
) -> Iterator[dict[str, float]]:
    """Train for `budget` steps at least, evaluating after every `every` steps, about."""
    learner, simulator, world = prepare(logs, fitted, config)
    own = Truth(np.arange(world.n_users), np.arange(world.n_items), world.reward.whole())
    rule, turns = simulator.environment.exit, simulator.environment.turns
    rollout = config.sessions * turns
    cpu = wall = 0.0
    due = 0
    for steps in range(rollout, budget + rollout, rollout):
        start_cpu, start_wall = time.process_time(), time.perf_counter()
        learn(learner, simulator, config.sessions)
        cpu, wall = cpu + time.process_time() - start_cpu, wall + time.perf_counter() - start_wall
        if steps >= due or steps >= budget:
            due += every
            policy = RecommenderPolicy(learner.recommender)
            played = play(policy, own, world.n_items, rule, mode="NX_0", turns=turns)
            yield {"steps": steps, "cpu": cpu, "wall": wall, "value": float(played.returns.mean())}


def mark(finals: Sequence[float]) -> float:
    """What a setting must reach: the mean of the default's final returns less one standard error (0 of one seed)."""
    error = np.std(finals, ddof=1) / np.sqrt(len(finals)) if len(finals) > 1 else 0.0
    return float(np.mean(finals) - error)


def curve(rows: Sequence[Seen]) -> list[tuple[float, float, float]]:
    """Means over seeds: CPU-seconds, wall seconds and return at each number of steps that all seeds have."""
    seeds = len({row.seed for row in rows})
    points = []
    for steps in sorted({row.steps for row in rows}):
        same = [(row.cpu, row.wall, row.value) for row in rows if row.steps == steps]
        if len(same) == seeds:
            cpu, wall, value = np.mean(same, axis=0)
            points.append((float(cpu), float(wall), float(value)))
    return points


def reached(points: Sequence[tuple[float, float, float]], least: float) -> tuple[float, float] | None:
    """CPU and wall seconds at the first point of a curve that is not below `least`; None where there is none."""
    return next(((cpu, wall) for cpu, wall, value in points if value >= least), None)


def report(rows: Sequence[Seen]) -> list[str]:
    """A Markdown table for each method."""
    lines = []
    for method in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == method]
        finals = {name: _finals([row for row in mine if row.setting == name]) for name in {r.setting for r in mine}}
        least = mark(finals[DEFAULT])
        lines += ["", f"{method}: a mean return of {least:.2f} on r0, the default's final less one standard error", ""]
        lines += [
            "| setting | seeds | final return | CPU-s to the mark | wall s | CPU-s in all |",
            "|---|---|---|---|---|---|",
        ]
        for setting in dict.fromkeys(row.setting for row in mine):
            points, last = curve([row for row in mine if row.setting == setting]), finals[setting]
            found = reached(points, least)
            when = f"{found[0]:.1f} | {found[1]:.1f}" if found else "not reached | "
            error = np.mean(last) - mark(last)
            name = setting or "default"
            lines.append(
                f"| `{name}` | {len(last)} | {np.mean(last):.2f} ± {error:.2f} | {when} | {points[-1][0]:.1f} |"
            )
    return lines


def _finals(rows: Sequence[Seen]) -> list[float]:
    longest = {row.seed: row for row in sorted(rows, key=lambda row: row.steps)}
    return [row.value for row in longest.values()]


def main() -> None:
    """Run what is missing, then print a table for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="coat")
    parser.add_argument("--methods", nargs="+", default=["mbpo", "darlr"])
    parser.add_argument("--settings", nargs="+", default=SETTINGS, help="options of `darlr train`, each in quotes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=TrainConfig.epochs * TrainConfig.steps)
    parser.add_argument("--every", type=int, default=10_000, help="steps between evaluations")
    parser.add_argument("--quick-world", action="store_true", help="a world model of one epoch")
    parser.add_argument("--out", type=Path, default=Path("curves.jsonl"))
    given = parser.parse_args()
    configure(1)
    known = [Seen(**json.loads(line)) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(row.method, row.setting, row.seed) for row in known if row.steps >= given.steps}
    rows = [row for row in known if (row.method, row.setting, row.seed) in done]
    logs, fitted = quick_world(given.data, 1 if given.quick_world else WorldModelConfig.epochs)
    with given.out.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
        for seed in range(given.seeds):
            for method in given.methods:
                for setting in dict.fromkeys((DEFAULT, *given.settings)):
                    if (method, setting, seed) in done:
                        continue
                    options = ["--method", method, "--seed", str(seed), *setting.split()]
                    for point in run(logs, fitted, train_options(given.data, options), given.steps, given.every):
                        rows.append(Seen(method, setting, seed, **point))  # type: ignore[arg-type]
                        out.write(json.dumps(asdict(rows[-1])) + "\n")
                    out.flush()
                    last = rows[-1]
                    print(
                        f"{method}, seed {seed}, {setting or 'default'}: {last.value:.2f}, {last.cpu:.1f} s", flush=True
                    )
    print("\n".join(report(rows)))


if __name__ == "__main__":
    main()
