"""From a CSV of ratings to a trained, evaluated policy in two commands with defaults: time and memory of each stage.

    OMP_NUM_THREADS=1 python benchmarks/own_log.py --folder /tmp/own-log

Makes a log of 3,000 users and 100 items (1 MB: ids, ratings 1 to 5, times; popularity is skewed, users and items have
levels and preferences), then runs `darlr data prepare table` and `darlr train --evaluate`. Each runs in a separate
process that times its stages. Options after `--` go to `darlr train`: `-- --epochs 2` is a tenth of the agents' budget.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

STAGES = {  # function of darlr -> the stage that its time counts for
    "experiments.training.fit_into": "world model",
    "experiments.training.train": "agents",
    "cli.evaluate.report": "evaluation",
    "experiments.unseen.fit_into": "evaluation world model",
}
TIMED = """
import importlib, json, resource, sys, time
from pathlib import Path
from typing import Any
from darlr.cli.main import main

spent, open_stages = {}, []

def planted(name, stage):
    module, function = name.rsplit(".", 1)
    owner = importlib.import_module(f"darlr.{module}")
    original = getattr(owner, function)

    def timed(*arguments, **options):
        begun = time.perf_counter(), time.process_time()
        open_stages.append((0.0, 0.0))
        try:
            return original(*arguments, **options)
        finally:
            took = [now - before for now, before in zip((time.perf_counter(), time.process_time()), begun)]
            inner = open_stages.pop()
            spent[stage] = [whole - part for whole, part in zip(took, inner)]
            if open_stages:
                open_stages[-1] = tuple(before + more for before, more in zip(open_stages[-1], took))

    setattr(owner, function, timed)

if sys.argv[3] == "train":
    for name, stage in json.loads(sys.argv[1]).items():
        planted(name, stage)
code = main(sys.argv[3:])
used = resource.getrusage(resource.RUSAGE_SELF)
found = {"stages": spent, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}
Path(sys.argv[2]).write_text(json.dumps(found))
sys.exit(code)
"""


def write_log(path: Path, users: int, items: int, events: float, seed: int) -> int:
    """A CSV of ratings, about `events` distinct items a user in the mean; returns the number of rows."""
    rng = np.random.default_rng(seed)
    preference, trait = rng.normal(0, 1, (users, 3)), rng.normal(0, 0.35, (items, 3))
    liking = preference @ trait.T
    opinion = 3.4 + rng.normal(0, 0.4, (users, 1)) + rng.normal(0, 0.45, items) + liking
    count = np.clip(rng.lognormal(np.log(events) - 0.25, 0.7, users), 2, items // 2).astype(np.int64)
    fame = -0.9 * np.log(1 + rng.permutation(items))
    order = np.argsort(-(fame + 0.5 * liking + rng.gumbel(size=liking.shape)), axis=1)  # draws without replacement
    user = np.repeat(np.arange(users), count)
    item = order[np.arange(items) < count[:, None]]
    rating = np.clip(np.rint(opinion[user, item] + rng.normal(0, 0.8, len(user))), 1, 5).astype(np.int64)
    frame = pl.DataFrame(
        {
            "uid": [f"u{number:04}" for number in user.tolist()],
            "sku": [f"sku-{number:02}" for number in item.tolist()],
            "stars": rating,
            "ts": 1_700_000_000 + rng.integers(0, 365 * 86_400, len(user)),
        }
    )
    frame.sort("ts").write_csv(path)
    return len(frame)


def measured(command: list[str], note: Path) -> tuple[float, dict[str, Any]]:
    """Run a command of darlr to its end: wall seconds, and what it says of itself."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", TIMED, json.dumps(STAGES), str(note), *command], check=True)
    return time.perf_counter() - begun, json.loads(note.read_text("utf-8"))


def main() -> None:
    """Make the log, run both commands, print one line a stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/own-log"))
    parser.add_argument("--users", type=int, default=3000)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--events", type=float, default=15, help="mean events a user")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("train", nargs="*", help="options of darlr train, after --")
    options = parser.parse_args()
    options.folder.mkdir(parents=True)  # a folder of an earlier run would be resumed, not measured
    csv, data, note = (options.folder / name for name in ("events.csv", "data", "note.json"))
    rows = write_log(csv, options.users, options.items, options.events, options.seed)
    columns = ["--user", "uid", "--item", "sku", "--reward", "stars", "--timestamp", "ts"]
    prepare = ["data", "prepare", "table", "--log", str(csv), *columns, "--out", str(data)]
    train = ["train", "--data", str(data), "--out", str(options.folder / "run"), "--evaluate", *options.train]
    print(f"{rows:,} events, {csv.stat().st_size / 2**20:.2f} MiB of CSV")
    lines = []
    for name, command in (("prepare", prepare), ("train and evaluate", train)):
        wall, found = measured(command, note)
        lines += [(f"  {stage}", *spent) for stage, spent in found["stages"].items()]
        lines.append((f"{name}, in all; peak {found['peak']:,.0f} MiB", wall, found["cpu"]))
    print(f"{'':<46}{'wall s':>10}{'CPU s':>10}")
    for name, wall, cpu in lines:
        print(f"{name:<46}{wall:>10.1f}{cpu:>10.1f}")


if __name__ == "__main__":
    main()
