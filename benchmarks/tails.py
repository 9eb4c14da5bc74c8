"""Rewards whose range is not their spread: what cutting the tail of the unit is worth (docs/results.md).

    python -m benchmarks.tails                   # about ten minutes on one core

The built-in world's log with its rewards bent into other kinds, and the same for its truth: dwell times with a heavy
tail; revenue of which 99% is zero; one reward of 1e6 by one user; all rewards equal. Each is learned by DARLR+ in the
unit as it is, and by the range alone. R_tra is that of the policy handed over (NX_0, greedy, all users), in the log's
unit; "inner" is how wide the middle 90% of the rewards other than the most frequent one are learned, of 4.
"""

import argparse
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from darlr.cli.export import rows_of
from darlr.cli.main import main as darlr
from darlr.data import unit
from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.synthetic import generate
from darlr.data.store import save
from darlr.evaluation.evaluate import settings, sound
from darlr.evaluation.lists import Entry
from darlr.evaluation.truth import load_truth, whole, write_truth
from darlr.experiments.finished import open_run
from darlr.options import SyntheticConfig

Reals = NDArray[np.float64]
NOISE = 1.5  # deviation of the logarithm of a dwell time


def dwell(reward: Reals) -> Reals:
    """Expected seconds, exponential in the rating."""
    return np.asarray(np.exp(reward - 1))


def revenue(reward: Reals) -> Reals:
    """Nothing below a rating of 4.6, then rising fast."""
    return np.asarray(np.where(reward > 4.6, np.exp(4 * (reward - 4.6)), 0.0))


KINDS: dict[str, Callable[[Reals], Reals]] = {
    "as it is": lambda reward: reward,
    "dwell times": dwell,
    "mostly zeros": revenue,
    "one of 1e6": lambda reward: reward,
    "all equal": lambda reward: np.full_like(reward, 3.0),
}


def prepared(folder: Path, kind: str, config: SyntheticConfig) -> str:
    """The bent log and truth."""
    made, bend = generate(config), KINDS[kind]
    reward = bend(made.log.reward.astype(np.float64))
    if kind == "dwell times":  # log-normal around what is expected
        reward = reward * np.exp(NOISE * np.random.default_rng(0).standard_normal(len(reward)) - NOISE**2 / 2)
    if kind == "one of 1e6":
        reward[7] = 1e6
    limits = (min(0.0, float(reward.min())) if kind == "all equal" else float(reward.min()), float(reward.max()))
    log = replace(made.log, reward=reward, reward_range=limits)
    save(log, folder, PrepareReport("synthetic", rows_read=len(log), rows_kept=len(log)))
    write_truth(whole(torch.from_numpy(bend(made.reward.astype(np.float64)))), folder)
    return str(folder)


def inner(log: InteractionLog) -> float:
    """Width of the middle 90% of learned rewards other than the most frequent one."""
    values, counts = np.unique(log.reward, return_counts=True)
    others = log.reward[log.reward != values[counts.argmax()]]
    return float(np.subtract(*np.quantile(others, [0.95, 0.05]))) if len(others) else 0.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=25_000)
    parser.add_argument("--kinds", default=",".join(KINDS))
    options, config, far = parser.parse_args(), SyntheticConfig(), unit.FAR
    print("| rewards | learned | from | inner | start | last or best | item-mean list | bias-model list |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for kind in options.kinds.split(","):
        with tempfile.TemporaryDirectory() as place:
            data = prepared(Path(place, "data"), kind, config)
            for name, reach in (("as it is done", far), ("by the range alone", math.inf)):
                unit.FAR = reach
                out = Path(place, name.replace(" ", "-"))
                words = ["train", "--data", data, "--out", str(out), "--epochs", "2", "--steps", str(options.steps)]
                if code := darlr([*words, "--no-watch", "--method", "darlr+"]):
                    raise SystemExit(code)
                run, truth = open_run(out), load_truth(data)
                assert truth is not None
                lists = rows_of(run)
                entries = [Entry("start", [run.start], "log"), Entry("kept", [run.policy], "learned")]
                entries += [lists[one] for one in ("item-mean list", "bias-model list") if one in lists]
                first = settings(run.config.train.session, run.logs.catalogue)[:1]
                rows = sound(entries, first, truth, run.logs.train_catalogue)
                span = f"{run.logs.unit.low:.4g} to {run.logs.unit.high:.4g}"
                numbers = [f"{row.mean:.5g}" for row in rows] + ["–"] * (4 - len(rows))
                print(f"| {kind} | {name} | {span} | {inner(run.logs.whole):.2f} | {' | '.join(numbers)} |", flush=True)


if __name__ == "__main__":
    main()
