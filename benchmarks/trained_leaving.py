"""DARLR+ trained in sessions that users leave after a reward below 2, by the rule itself and by the one the log taught.

    OMP_NUM_THREADS=1 python -m benchmarks.trained_leaving --out trained-leaving.json

The built-in world, whose log follows the same rule, 5 seeds of the split, the world model and the agents, 2 epochs of
10,000 steps in drawn worlds. Start, last epoch and handed-over policy are played by all users of the log on their
true rewards with the noise of the log, as in `benchmarks.leaving --known`, and in drawn worlds that training never met,
where users leave by the rule that training knew. It goes on after the seeds that FILE holds.
"""

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.drawn_tastes import last
from benchmarks.leaving import RULES, Player, of_turn, options, tastes
from darlr.agents.policy import RecommenderPolicy
from darlr.agents.sink import Memory
from darlr.evaluation.statistics import compare, interval, resampled, shared_samples
from darlr.evaluation.truth import load_truth
from darlr.experiments.progress import speaking
from darlr.experiments.training import prepare, train_agents
from darlr.experiments.watch import criterion_of
from darlr.experiments.world import fit_model
from darlr.io.files import write_json
from darlr.options import SessionConfig
from darlr.options.names import override
from darlr.simulation import environment
from darlr.simulation.environment import Environment
from darlr.simulation.exits import build_exit
from darlr.simulation.policy import translated

SEEDS, RULE = 5, "below 2"
TRAINED = {"epochs": 2, "steps": 10_000, "split.hidden": 0.0, "split.fold": 0}
Returns = dict[str, list[float]]


def measured(seed: int) -> dict[str, Returns]:
    """The returns of each user and of each drawn session by each row, where training knows the rule and where not."""
    threshold, patience, chance = RULES[RULE]
    world = {"boredom": 0.0, "leave": threshold, "leave-patience": patience, "leave-chance": chance}
    asked = override(options(seed, "synthetic", world), TRAINED)
    rule = SessionConfig("felt", threshold=threshold, patience=patience, chance=chance, turns=asked.train.session.turns)
    found, fitted = {}, None
    truth = load_truth("synthetic", options=asked.synthetic)
    assert truth is not None
    rows, offered = tastes(truth)
    noise = asked.synthetic.noise * torch.randn((rule.turns, len(rows)), generator=torch.Generator().manual_seed(seed))
    for kind in ("felt", "learned"):
        session = replace(rule, exit=kind, tastes=asked.train.session.tastes)
        prepared = prepare(replace(asked, train=replace(asked.train, session=session)))
        logs, config = prepared.logs, prepared.config
        fitted = fit_model(logs, config.world_model) if fitted is None else fitted
        run = train_agents(prepared, fitted, Memory())
        players = {"start": run.untrained, "last epoch": last(run), "handed over": run.recommender}
        drawn = criterion_of(run.world, prepared.exit_rule, run.config.train, logs, fitted)
        rules = Environment(build_exit(rule, logs.catalogue), rule.turns, rows.shape[1], False, rows.shape[1])
        on_truth, in_worlds = {}, {}
        for name, recommender in players.items():
            player = Player(translated(RecommenderPolicy(recommender), logs.unit), rows, offered)
            with torch.inference_mode():
                over, _ = environment.play(rules, player, torch.arange(len(rows)), partial(of_turn, noise))
                on_truth[name] = over.rewards.double().sum(1).tolist()
                in_worlds[name] = [logs.unit.scale * one for one in drawn(recommender).sessions]
        found |= {f"{kind}|truth": on_truth, f"{kind}|drawn worlds": in_worlds}
    return found


def main() -> None:
    """Measure the seeds that are missing, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    done = json.loads(asked.out.read_text("utf-8")) if asked.out.exists() else []
    for seed in range(len(done), SEEDS):
        with speaking(False):
            done.append(measured(seed))
        write_json(asked.out, done)
    print("| training knows | sessions | row | return [95%] | minus the start |\n|---|---|---|---:|---:|")
    for place in done[0]:
        for name in done[0][place]:
            values, start = (np.array([one[place][row] for one in done]) for row in (name, "start"))
            low, high = interval(resampled(values, shared_samples(values.shape)))
            change = compare(values, start)
            less = "–" if name == "start" else f"{change.difference:+.2f} [{change.low:+.2f}, {change.high:+.2f}]"
            print(f"| {' | '.join(place.split('|'))} | {name} | {values.mean():.2f} [{low:.2f}, {high:.2f}] | {less} |")


if __name__ == "__main__":
    main()
