"""What a large world takes: prepare, fit, train and export, and evaluate, each in a process of its own.

    python -m benchmarks.scale --users 100000 --items 30000 --events 20 --steps 100000 --out /tmp/scale

It prints CPU seconds, wall seconds and the largest resident memory of each stage, as a table in Markdown. Options that
it does not know are those of `darlr fit`. `--stages evaluate` runs the last stage again on what lies in the folder.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

STAGES = ("prepare", "fit", "train", "evaluate")


def stage(name: str, words: list[str]) -> str:
    """Run one command; returns a row: its name, CPU seconds, wall seconds and peak memory in GB."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "darlr", *words])
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed: darlr {' '.join(words)}")
    seconds = used.ru_utime + used.ru_stime
    return f"| {name} | {seconds:.0f} | {time.monotonic() - began:.0f} | {used.ru_maxrss * 1024 / 1e9:.2f} |"


def main() -> None:
    """Run every stage and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=30_000)
    parser.add_argument("--events", type=int, default=20, help="logged events of a user")
    parser.add_argument("--method", default="darlr")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--judged", type=int, default=0, help="users that are evaluated; 0: as many as usual")
    parser.add_argument("--slate", type=int, help="best items in a slate; without it what the plan decides")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES, help="stages to run")
    parser.add_argument("--out", type=Path, required=True)
    options, more = parser.parse_known_args()
    size = ["--users", str(options.users), "--items", str(options.items), "--events-per-user", str(options.events)]
    size += ["--truth-users", str(options.judged)]
    data, world, run = (str(options.out / name) for name in ("data", "world", "run"))
    steps = ["--epochs", "1", "--steps", str(options.steps), "--method", options.method]
    steps += [] if options.slate is None else ["--recommender.slate", str(options.slate)]
    commands = {
        "prepare": ["data", "prepare", "synthetic", *size, "--out", data],
        "fit": ["fit", "--data", data, "--out", world, *more],
        "train": ["train", "--data", data, "--world", world, *steps, "--out", run],
        "evaluate": ["evaluate", run, "--no-pictures"],
    }
    rows = [stage(name, commands[name]) for name in STAGES if name in options.stages]
    print("| stage | CPU seconds | wall seconds | peak GB |\n|---|---:|---:|---:|", *rows, sep="\n")
    for name, place in (("world model", Path(world)), ("policy", Path(run, "policy"))):
        if place.exists():
            print(f"{name}: {sum(file.stat().st_size for file in place.iterdir()) / 1e9:.3f} GB on disk")


if __name__ == "__main__":
    main()
