"""DARLR+ trained with its defaults and in the mean world: is what it hands over ever worse than its start?

    DARLR_DATA=<folder that holds coat/> OMP_NUM_THREADS=1 python -m benchmarks.drawn_tastes --data coat

Each seed fits one world model, and trains DARLR+ on it in each of --modes: `defaults`, which are drawn worlds and
`keep` sure where the world model has a posterior, and `mean`, with `session.tastes` mean and `keep` best. Start, last
epoch and handed-over policy play the same sessions in drawn worlds that training never met, where there are any, and
every user of the truth greedily in NX_0. The first criterion is of the log alone; the second only reports.
--out FILE keeps the returns of each seed, so that an interrupted command continues.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from darlr.agents.learner import KEPT, build_recommender, derived
from darlr.agents.policy import RecommenderPolicy
from darlr.agents.recommender import Recommender
from darlr.agents.sink import Memory
from darlr.evaluation.evaluate import settings, sound
from darlr.evaluation.lists import Entry
from darlr.evaluation.protocol import play
from darlr.evaluation.statistics import compare, random_difference, random_reward
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
from darlr.simulation.policy import translated
from darlr.world.drawn import tastes_of
from darlr.world.fitted import FittedWorldModel
from darlr.world.models.mixture import posterior_of
from darlr.world.tables import World

MODES: dict[str, dict[str, Any]] = {"defaults": {}, "mean": {"session.tastes": "mean", "keep": "best"}}
Found = dict[str, dict[str, Any]]


def options(asked: argparse.Namespace, seed: int, mode: str) -> RunConfig:
    """The options of one run."""
    found = {"data": asked.data, "seed": seed, "split.seed": seed, "model.seed": seed, "model.members": asked.members}
    found |= {"epochs": asked.epochs, "steps": asked.steps} | ({"model.kind": asked.model} if asked.model else {})
    return override(usual("darlr+"), found | MODES[mode])


def in_drawn_worlds(prepared: Prepared, world: World, policy: Recommender) -> list[float]:
    """The returns of sessions in drawn worlds."""
    generator = torch.Generator().manual_seed(derived(prepared.config.train.seed, KEPT, 1))
    users, agent = torch.arange(world.n_users), RecommenderPolicy(policy)
    rules: dict[str, Any] = {"mode": "NX_0", "turns": prepared.config.train.session.turns}
    games = drawn_games(world, users, generator)
    drawn = [paid(play(agent, told, world.n_items, prepared.exit_rule, users=users, **rules)) for told, paid in games]
    return torch.cat(drawn).tolist()


def on_truth(prepared: Prepared, policies: Mapping[str, Recommender]) -> dict[str, dict[str, Any]]:
    """The returns of every user of the truth, and the tallies of random feedback, by the name of the policy."""
    config, logs = prepared.config, prepared.logs
    truth, session = load_truth(config.data, options=config.synthetic), config.train.session
    assert truth is not None
    played = [one for one in settings(session, logs.catalogue, (session.window,)) if one.mode == "NX_0"]
    entries = [
        Entry(name, [translated(RecommenderPolicy(policy), logs.unit)], "learned") for name, policy in policies.items()
    ]
    rows = sound(entries, played, truth, logs.train_catalogue)
    tallies = {row.name: [] if row.tallies is None else row.tallies[0].tolist() for row in rows}
    return {row.name: {"truth": row.returns[0].tolist(), "random": tallies[row.name]} for row in rows}


def last(run: FinishedRun) -> Recommender:
    """The policy of the last epoch."""
    checkpoint = run.checkpoint()
    assert checkpoint is not None
    return trained(run.world, run.config.train, handed_over(checkpoint, None).weights)


def one(asked: argparse.Namespace, seed: int) -> Found:
    """Train in each mode, and play start, last epoch and handed-over policy."""
    found: Found = {}
    fitted: FittedWorldModel | None = None
    for mode in asked.modes.split(","):
        prepared = prepare(options(asked, seed, mode))
        fitted = fit_model(prepared.logs, prepared.config.world_model) if fitted is None else fitted
        run = train_agents(prepared, fitted, Memory())
        start = build_recommender(run.world, run.config.train).eval()
        policies = {"start": start, "last": last(run), "handed over": run.recommender}
        measured = on_truth(prepared, policies)
        drawn = posterior_of(fitted.model) is not None
        world = replace(run.world, tastes=tastes_of(fitted, prepared.logs.fitted)) if drawn else run.world
        for name, policy in policies.items():
            more = {"drawn worlds": in_drawn_worlds(prepared, world, policy)} if drawn else {}
            found[f"{mode}, {name}"] = measured[name] | more | {"epoch": run.epoch}
    return found


def main() -> None:
    """Print each policy's return and its difference to the start, paired by session or user and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--modes", default="defaults,mean")
    parser.add_argument("--model", default="", help="kind of the world model; default: that of DARLR+")
    parser.add_argument("--members", type=int, default=5)
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
    print("| policy | in drawn worlds | minus start | R_tra | minus start [95%] | R_random | minus start | epochs |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    first = f"{asked.modes.split(',')[0]}, start"
    for name in done[0]:
        cells = []
        for where in ("drawn worlds", "truth"):
            if where not in done[0][name]:
                cells += ["–", "–"]
                continue
            own, start = (np.array([found[row][where] for found in done]) for row in (name, first))
            gain = compare(own, start)
            cells += [f"{own.mean():.2f}", f"{gain.difference:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"]
        tallies, before = (np.array([found[row]["random"] for found in done]) for row in (name, first))
        random = ["–", "–"]
        if tallies.size:
            middle, low, high = random_difference(tallies, before)
            random = [f"{random_reward(tallies):.1f}", f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"]
        epochs = [found[name]["epoch"] for found in done] if "handed" in name else ""
        print(f"| {name} | {' | '.join((*cells, *random))} | {epochs} |")


if __name__ == "__main__":
    main()
