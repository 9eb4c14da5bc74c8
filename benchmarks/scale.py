"""What a large world takes: prepare, fit, train and export, each in a process of its own.

    python -m benchmarks.scale --users 100000 --items 30000 --events 20 --steps 100000 --out /tmp/scale

It prints CPU seconds, wall seconds and the largest resident memory of each stage, as a table in Markdown.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path


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
    parser.add_argument("--out", type=Path, required=True)
    options, more = parser.parse_known_args()
    size = ["--users", str(options.users), "--items", str(options.items), "--events-per-user", str(options.events)]
    data, world, run = (str(options.out / name) for name in ("data", "world", "run"))
    steps = ["--epochs", "1", "--steps", str(options.steps), "--method", options.method]
    rows = [
        stage("prepare", ["data", "prepare", "synthetic", *size, "--out", data]),
        stage("fit", ["fit", "--data", data, "--out", world, *more]),
        stage("train and export", ["train", "--data", data, "--world", world, *steps, "--out", run]),
    ]
    print("| stage | CPU seconds | wall seconds | peak GB |\n|---|---:|---:|---:|", *rows, sep="\n")
    for name, place in (("world model", world), ("policy", f"{run}/policy")):
        print(f"{name}: {sum(file.stat().st_size for file in Path(place).iterdir()) / 1e9:.3f} GB on disk")


if __name__ == "__main__":
    main()
