"""DARLR+ trained in the mean world and in drawn worlds: is what it hands over ever worse than its start?

    DARLR_DATA=<folder that holds coat/> OMP_NUM_THREADS=1 python -m benchmarks.drawn_tastes --data coat

Each seed fits one world model, and trains DARLR+ on it twice: with `session.tastes` mean and `keep` best, and with
drawn and sure, its defaults. Start, last epoch and handed-over policy of both play the same sessions in drawn worlds
that training never met, and every user of the truth. The first criterion is of the log alone; the second only reports.
--out FILE keeps the returns of each seed, so that an interrupted command continues.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from darlr.agents.learner import KEPT, build_recommender, derived
from darlr.agents.policy import RecommenderPolicy
from darlr.agents.recommender import Recommender
from darlr.agents.sink import Memory
from darlr.evaluation.protocol import play
from darlr.evaluation.statistics import compare
from darlr.evaluation.truth import load_truth
from darlr.experiments.finished import FinishedRun, handed_over, trained
from darlr.experiments.process import configure
from darlr.experiments.progress import speaking
from darlr.experiments.training import Prepared, prepare, train_agents
from darlr.experiments.watch import drawn_games
from darlr.experiments.world import fit_model
from darlr.methods import usual
from darlr.options import RunConfig
from darlr.options.names import override
from darlr.simulation.exits import build_exit
from darlr.simulation.policy import translated
from darlr.world.drawn import tastes_of
from darlr.world.tables import World

MODES = {"mean": ("mean", "best"), "drawn": ("drawn", "sure")}
Found = dict[str, dict[str, Any]]


def options(asked: argparse.Namespace, seed: int, mode: str) -> RunConfig:
    """The options of one run."""
    tastes, keep = MODES[mode]
    found = {"data": asked.data, "seed": seed, "split.seed": seed, "model.seed": seed, "model.members": asked.members}
    found |= {
        "model.kind": asked.model,
        "epochs": asked.epochs,
        "steps": asked.steps,
        "session.tastes": tastes,
        "keep": keep,
    }
    return override(usual("darlr+"), found)


def measured(prepared: Prepared, world: World, policy: Recommender) -> dict[str, list[float]]:
    """The returns of sessions in drawn worlds, and of every user on the truth."""
    generator = torch.Generator().manual_seed(derived(prepared.config.train.seed, KEPT, 1))
    users, agent = torch.arange(world.n_users), RecommenderPolicy(policy)
    rules: dict[str, Any] = {"mode": "NX_0", "turns": prepared.config.train.session.turns}
    games = drawn_games(world, users, generator)
    drawn = [paid(play(agent, told, world.n_items, prepared.exit_rule, users=users, **rules)) for told, paid in games]
    truth = load_truth(prepared.config.data, options=prepared.config.synthetic)
    assert truth is not None
    rule, logs = build_exit(prepared.config.train.session, prepared.logs.catalogue), prepared.logs
    played = play(translated(agent, logs.unit), truth, world.n_items, rule, **rules)
    return {"drawn worlds": torch.cat(drawn).tolist(), "truth": played.returns.tolist()}


def last(run: FinishedRun) -> Recommender:
    """The policy of the last epoch."""
    checkpoint = run.checkpoint()
    assert checkpoint is not None
    return trained(run.world, run.config.train, handed_over(checkpoint, None).weights)


def one(asked: argparse.Namespace, seed: int) -> Found:
    """Train both ways, and play start, last epoch and handed-over policy."""
    found: Found = {}
    fitted = fit_model(prepare(options(asked, seed, "mean")).logs, options(asked, seed, "mean").world_model)
    for mode in MODES:
        prepared = prepare(options(asked, seed, mode))
        run = train_agents(prepared, fitted, Memory())
        world = replace(run.world, tastes=tastes_of(fitted, prepared.logs.fitted))
        policies = {"start": build_recommender(run.world, run.config.train).eval(), "last": last(run)}
        for name, policy in (policies | {"handed over": run.recommender}).items():
            found[f"{mode}, {name}"] = measured(prepared, world, policy) | {"epoch": run.epoch}
    return found


def main() -> None:
    """Print each policy's return and its difference to the start, paired by session or user and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--model", default="bayesian", help="kind of the world model; DARLR+ has mixed by default")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("drawn-tastes.json"))
    asked = parser.parse_args()
    configure(1)
    done: list[Found] = json.loads(asked.out.read_text("utf-8")) if asked.out.exists() else []
    for seed in range(len(done), asked.seeds):
        with speaking(False):
            done.append(one(asked, seed))
        asked.out.write_text(json.dumps(done), "utf-8")
    table: dict[tuple[str, str], np.ndarray] = {}
    epochs = defaultdict(list)
    for name in done[0]:
        epochs[name] = [found[name]["epoch"] for found in done]
        for where in ("drawn worlds", "truth"):
            table[name, where] = np.array([found[name][where] for found in done])
    print("| tastes, policy | in drawn worlds | minus start [95%] | R_tra on the truth | minus start [95%] | epochs |")
    print("|---|---:|---:|---:|---:|---|")
    for name in done[0]:
        cells = []
        for where in ("drawn worlds", "truth"):
            gain = compare(table[name, where], table["drawn, start", where])
            cells += [f"{table[name, where].mean():.2f}", f"{gain.difference:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"]
        print(f"| {name} | {' | '.join(cells)} | {epochs[name] if 'handed' in name else ''} |")


if __name__ == "__main__":
    main()
