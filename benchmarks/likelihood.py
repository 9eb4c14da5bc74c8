"""References by likelihood against frozen r_0, Eq. 15 and ROLeR's table: held-out error, and what policies make of it.

    DARLR_DATA=<folder that holds coat/> OMP_NUM_THREADS=1 python -m benchmarks.likelihood --out FOLDER

It goes on where it was stopped. Each split has seeds of its own for the log, the world model and the agents. The world
model is the posterior of one chain, fitted to the training part alone. Errors are in the unit of the log, on held-out
events. Sessions are greedy, on all users of the truth (NX_0). Two policies use an estimate: greedy sessions on its
table, and the last of 2 epochs of DARLR+, which starts from r_0 and learns on the estimate as its reward.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from darlr.agents.references import nearest
from darlr.data.scope import within_scope
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import load_truth
from darlr.experiments.finished import FinishedRun, open_run
from darlr.experiments.logs import Logs, open_logs
from darlr.experiments.process import configure
from darlr.experiments.training import train_run
from darlr.experiments.world import fit_into, is_fitted, load_world_model, weighed, world_of
from darlr.io.files import write_json
from darlr.methods import usual
from darlr.options import RunConfig
from darlr.options.names import override
from darlr.policies.fixed import UserGreedy
from darlr.simulation.exits import build_exit, resolve
from darlr.simulation.policy import Policy
from darlr.world.attention import Attention

DATA = ("coat", "synthetic")
TRAINED = {"epochs": 2, "steps": 20_000, "keep": "last"}
RUNS = 5  # the splits on which DARLR+ is trained
REWARDS = {
    "reward": {},
    "likelihood": {"selector.objective": "likelihood"},
    "r_0": {"selector.kind": "none"},
}


def options(data: str, split: int) -> RunConfig:
    """DARLR+ on the posterior of one chain, without a refit."""
    seeds = {"seed": split, "split.seed": split, "model.seed": split}
    model = {"model.kind": "bayesian", "model.members": 1, "split.refit": False, "data": data}
    return override(usual("darlr+"), {**model, **seeds, **TRAINED})


def told(found: Attention, reward: Tensor) -> Tensor:
    """What likelihood estimates for all users and items at the start of a session."""
    users, items = (side.flatten() for side in torch.meshgrid(*map(torch.arange, reward.shape), indexing="ij"))
    shift = [
        found.attend(u, i, torch.full((len(u), 1), -1), torch.zeros(len(u), 1)).shift
        for u, i in zip(users.split(1 << 14), items.split(1 << 14), strict=True)
    ]
    return reward + torch.cat(shift).view_as(reward)


def earned(policy: Policy, config: RunConfig, logs: Logs) -> float:
    """The mean return of greedy sessions on the truth."""
    truth = load_truth(config.data, options=config.synthetic)
    assert truth is not None
    session = resolve(config.train.session, logs.whole)
    rule = build_exit(session, logs.catalogue)
    played = play(policy, truth, len(logs.scope.items), rule, mode="NX_0", turns=session.turns)
    return float(played.returns.mean())


def trained(config: RunConfig, folder: Path, world: Path) -> FinishedRun:
    """The run in a folder, trained where it is not there."""
    train_run(replace(config, world=str(world)), folder, resume=(folder / "config.json").exists(), watch=False)
    return open_run(folder)


def measured(data: str, split: int, out: Path) -> dict[str, object]:
    """All numbers of one split."""
    config, begun = options(data, split), time.process_time()
    logs, place = open_logs(config), out / f"{data}-{split}"
    world = place / "world"
    fitted = (
        load_world_model(world, logs, config.split)
        if is_fitted(world)
        else fit_into(world, logs, config.split, config.world_model)
    )
    tables, r0 = world_of(fitted, logs, config.train), fitted.reward.whole()
    found = weighed(fitted, logs, config.train.selector.folds)
    near = nearest(tables, config.train.selector.picks).users
    estimates = {
        "r_0": r0,
        "likelihood": told(found, r0).clamp(*fitted.reward_range),
        "Eq. 15, nearest users": r0[near].mean(1),
        "ROLeR's table": tables.neighbour_reward(config.train.tables).whole(),
    }
    events = within_scope(logs.held_out, logs.scope)
    user, item, reward = (torch.from_numpy(part) for part in (events.user, events.item, events.reward))
    errors, returns = {}, {}
    for name, table in estimates.items():
        missed = (table[user, item] - reward) * logs.unit.scale
        errors[name] = [float(missed.square().mean().sqrt()), float(missed.abs().mean())]
        returns[name] = earned(UserGreedy(table), config, logs)
    learned = {}
    for name in REWARDS if split < RUNS else ():
        run = trained(override(config, REWARDS[name]), place / name, world)
        learned[name] = [earned(run.policy, config, logs), float(run.rows[-1]["held_out_dynamic"])]
    weights = {"gain": found.gain, "strength": float(found.strength), "events": len(logs.train)}
    spent = time.process_time() - begun
    return {"errors": errors, "greedy": returns, "learned": learned, "weights": weights, "seconds": spent}


def line(name: str, values: list[float], base: list[float]) -> str:
    """A mean, and the mean difference to the base with its standard error over splits."""
    change = np.array(values) - np.array(base)
    error = change.std(ddof=1) / len(change) ** 0.5 if len(change) > 1 else float("nan")
    return f"| {name} | {np.mean(values):.4f} | {change.mean():+.4f} ± {error:.4f} |"


def report(data: str, found: list[dict[str, dict[str, list[float]]]]) -> None:
    """Print the tables of one data set."""
    gains, runs = np.array([one["weights"]["gain"] for one in found]), [one for one in found if one["learned"]]
    risen = f"{gains.mean():.1f} nats on average, above 0 in {(gains > 0).sum()}"
    print(f"\n## {data}: {len(found)} splits; gain of the log likelihood {risen}")
    for place, measure in enumerate(("RMSE", "MAE")):
        print(f"\n| held-out {measure} | mean | less r_0 |\n|---|---:|---:|")
        for name in found[0]["errors"]:
            values, base = ([one["errors"][which][place] for one in found] for which in (name, "r_0"))
            print(line(name, values, base))
        if measure == "MAE":
            values = [one["learned"]["reward"][1] for one in runs]
            base = [one["errors"]["r_0"][1] for one in runs]
            print(line(f"Eq. 15, learned selector, {len(runs)} splits", values, base))
    print("\n| R_tra, greedy on a table | mean | less r_0 |\n|---|---:|---:|")
    for name in found[0]["greedy"]:
        values, base = ([one["greedy"][which] for one in found] for which in (name, "r_0"))
        print(line(name, values, base))
    print(f"\n| R_tra, last epoch of DARLR+, {len(runs)} splits | mean | less reward |\n|---|---:|---:|")
    for name in runs[0]["learned"]:
        values, base = ([one["learned"][which][0] for one in runs] for which in (name, "reward"))
        print(line(name, values, base))
    print(f"\nCPU-seconds: {sum(one['seconds'] for one in found):.0f}")


def main() -> None:
    """Measure the splits that are missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    configure(1)
    for split in range(asked.splits):
        for data in asked.data:
            done = asked.out / f"{data}-{split}.json"
            if not done.exists():
                asked.out.mkdir(parents=True, exist_ok=True)
                write_json(done, measured(data, split, asked.out))
    for data in asked.data:
        report(data, [json.loads((asked.out / f"{data}-{k}.json").read_text("utf-8")) for k in range(asked.splits)])


if __name__ == "__main__":
    main()
