"""The unit of rewards changes no policy: r -> a r + b, for every method, on a small built-in world (docs/results.md).

    python -m benchmarks.reward_units            # ten minutes on one core

For every unit a log and a truth of its own are prepared; each method is trained for two epochs, the second one resumed,
evaluated, and asked for items after a history. "items": the recommended items are the same; "returns": the largest
relative difference of R_tra of any row to a R_tra + b Length; "bits": whether R_tra differs by no bit from a R_tra.
"""

import json
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.methods import METHODS
from darlr.cli.main import main as darlr
from darlr.data.report import PrepareReport
from darlr.data.sets.synthetic import generate
from darlr.data.store import save
from darlr.evaluation.truth import whole, write_truth
from darlr.options import SyntheticConfig
from darlr.serving.folder import read_policy

ALL = METHODS | {"gt": "--method gt"}
WORLD = SyntheticConfig(users=60, items=40, events_per_user=12)
SMALL = "--steps 1000 --sessions 16 --model.epochs 3 --model.members 2 --selector.picks 5"
UNITS = list(product((0.01, 1.0, 10.0, 1000.0), (-5.0, 0.0, 100.0)))


def prepared(folder: Path, a: float, b: float, world: SyntheticConfig = WORLD) -> str:
    """A built-in world's log and truth with rewards a r + b, as a data set."""
    made = generate(world)
    low, high = (a * bound + b for bound in made.log.reward_range)
    log = replace(made.log, reward=a * made.log.reward.astype(np.float64) + b, reward_range=(low, high))
    save(log, folder, PrepareReport("synthetic", rows_read=len(log), rows_kept=len(log)))
    write_truth(whole(torch.from_numpy(a * made.reward.astype(np.float64) + b)), folder)
    return str(folder)


def run(place: Path, method: str, a: float, b: float) -> tuple[list[Any], list[dict[str, Any]]]:
    """Recommended items, and the rows of the table."""
    data, out = prepared(place / "data", a, b), place / "run"
    words = ["train", "--data", data, "--out", str(out), *SMALL.split(), *ALL[method].split()]
    for command in (
        [*words, "--epochs", "1"],
        ["train", "--out", str(out), "--resume", "--epochs", "2"],
        ["evaluate", str(out), "--no-pictures"],
    ):
        with redirect_stdout(sys.stderr):
            code = darlr(command)
        if code:
            raise SystemExit(code)
    policy = read_policy(out)
    history = [(3, a * 4.5 + b), (7, a * 1.25 + b)]
    items = [policy.recommend(user, 10, history=history)["item"].to_list() for user in range(0, WORLD.users, 5)]
    rows: list[dict[str, Any]] = json.loads((out / "table.json").read_text(encoding="utf-8"))["rows"]
    return items, rows


def main() -> None:
    """Print the table."""
    print("| method | a | b | items | returns | bits |\n|---|---:|---:|---|---:|---|")
    for method in ALL:
        with tempfile.TemporaryDirectory() as folder:
            base_items, base = run(Path(folder, "base"), method, 1.0, 0.0)
            for number, (a, b) in enumerate(UNITS):
                items, rows = run(Path(folder, str(number)), method, a, b)
                wanted = [a * row["mean"] + b * row["length"] for row in base]
                off = max(abs(row["mean"] / value - 1) for row, value in zip(rows, wanted, strict=True))
                exact = all(row["mean"] == a * old["mean"] for row, old in zip(rows, base, strict=True))
                same = "the same" if items == base_items else "OTHERS"
                print(f"| {method} | {a:g} | {b:g} | {same} | {off:.1e} | {'the same' if exact else '–'} |", flush=True)


if __name__ == "__main__":
    main()
