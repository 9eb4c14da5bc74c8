"""What a large world takes: prepare, fit, train and export, evaluate, and answer, each in a process of its own.

    python -m benchmarks.scale --users 100000 --items 30000 --events 20 --steps 100000 --out /tmp/scale

It prints CPU seconds, wall seconds and the largest resident memory of each stage, as a table in Markdown, and the CPU
milliseconds of one recommendation. Options that it does not know are those of `darlr fit`. `--stages evaluate` runs
that stage again on what lies in the folder. `--run` names the folder of the run, so that there can be several.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from darlr.cli.evaluate import write
from darlr.evaluation.truth import load_truth, part
from darlr.experiments.evaluate import evaluate, open_runs
from darlr.serving.folder import read_policy
from darlr.serving.ids import NEW

STAGES = ("prepare", "fit", "train", "evaluate", "answer")


def stage(name: str, words: list[str]) -> str:
    """Run one Python module; returns a row: its name, CPU seconds, wall seconds and peak memory in GB."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", *words])
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed: {' '.join(words)}")
    seconds = used.ru_utime + used.ru_stime
    return f"| {name} | {seconds:.0f} | {time.monotonic() - began:.0f} | {used.ru_maxrss * 1024 / 1e9:.2f} |"


def answer(run: Path, asked: int = 200) -> None:
    """Read a policy, and print the CPU milliseconds of a recommendation of 10 items after a history of 5."""
    began = time.process_time()
    policy, draw = read_policy(run), np.random.default_rng(0)
    print(f"the policy is read in {time.process_time() - began:.1f} CPU-seconds")
    items, low = policy.items.ids, policy.unit.bounds[0]
    for name, users in (
        ("known", [policy.users.ids[one] for one in draw.integers(len(policy.users.ids), size=asked)]),
        ("new", [NEW] * asked),
    ):
        taken = []
        for user in users:
            history = [(items[one], low) for one in draw.choice(len(items), 5, replace=False)]
            before = time.process_time()
            policy.recommend(user, 10, history=history)
            taken.append(1000 * (time.process_time() - before))
        print(f"a {name} user: median {np.median(taken):.1f} ms, 95% within {np.quantile(taken, 0.95):.1f} ms")


def evaluate_some(run: Path, users: int) -> None:
    """Evaluate a run as `darlr evaluate` does, on the first users of the truth."""
    [one] = open_runs([run])
    truth = load_truth(one.config.data)
    assert truth is not None
    write(evaluate([one], truth=part(truth, np.arange(users))), run, pictures=False)


def main() -> None:
    """Run every stage and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=30_000)
    parser.add_argument("--events", type=int, default=20, help="logged events of a user")
    parser.add_argument("--method", default="darlr")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1, help="epochs of so many steps each")
    parser.add_argument("--judged", type=int, default=0, help="users that are evaluated; 0: as many as usual")
    parser.add_argument("--slate", type=int, help="best items in a slate; without it what the plan decides")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES, help="stages to run")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run", default="run", help="name of the run's folder")
    parser.add_argument("--first", type=int, help="evaluate these many users of the truth, not all")
    parser.add_argument("--here", choices=STAGES[3:], help="run this stage in this process")
    options, more = parser.parse_known_args()
    size = ["--users", str(options.users), "--items", str(options.items), "--events-per-user", str(options.events)]
    size += ["--truth-users", str(options.judged)]
    data, world, run = (str(options.out / name) for name in ("data", "world", options.run))
    if options.here:
        _ = answer(Path(run)) if options.here == "answer" else evaluate_some(Path(run), options.first)
        return
    steps = ["--epochs", str(options.rounds), "--steps", str(options.steps), "--method", options.method]
    steps += [] if options.slate is None else ["--recommender.slate", str(options.slate)]
    same = ["--out", str(options.out), "--run", options.run]
    commands = {
        "prepare": ["darlr", "data", "prepare", "synthetic", *size, "--out", data],
        "fit": ["darlr", "fit", "--data", data, "--out", world, *more],
        "train": ["darlr", "train", "--data", data, "--world", world, *steps, "--out", run],
        "evaluate": ["darlr", "evaluate", run, "--no-pictures"],
        "answer": ["benchmarks.scale", "--here", "answer", *same],
    }
    if options.first:
        commands["evaluate"] = ["benchmarks.scale", "--here", "evaluate", "--first", str(options.first), *same]
    rows = [stage(name, commands[name]) for name in STAGES if name in options.stages]
    print("| stage | CPU seconds | wall seconds | peak GB |\n|---|---:|---:|---:|", *rows, sep="\n")
    for name, place in (("world model", Path(world)), ("policy", Path(run, "policy"))):
        if place.exists():
            print(f"{name}: {sum(file.stat().st_size for file in place.iterdir()) / 1e9:.3f} GB on disk")


if __name__ == "__main__":
    main()
