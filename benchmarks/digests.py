"""Digests of small runs: two versions of the code that print the same table compute the same numbers, bit for bit.

    python -m benchmarks.digests                 # about two minutes on one core; needs DARLR_DATA for the rows on Coat
    python -m benchmarks.digests --darlr other/.venv/bin/darlr   # the same table of another checkout

Every run goes through the command line alone, so that the code behind it may change in any way. A digest covers what
training wrote after each epoch and what `darlr evaluate` says of the greedy and the sampled policy in every mode. The
runs are plain, as `--compile auto` leaves runs as short as these alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

SMALL = "--synthetic.users 80 --synthetic.items 60 --epochs 2 --steps 1500 --sessions 16 --model.epochs 2"
COAT = "--data coat --epochs 1 --steps 3000 --sessions 32 --model.epochs 2 --model.members 2"
PLUS = "--model.kind mixed --model.members 2 --reward.start frozen --recommender.prior 10 --recommender.belief 1 "
PLUS += "--recommender.caution 1000"
RUNS = {
    "mbpo": f"{SMALL} --method mbpo",
    "mopo": f"{SMALL} --method mopo",
    "ips": f"{SMALL} --method ips",
    "dorl, mean tracker": f"{SMALL} --method dorl --recommender.tracker.kind mean",
    "roler": f"{SMALL} --method roler",
    "gt": f"{SMALL} --method gt",
    "darlr": f"{SMALL} --method darlr",
    "darlr, pool of 20": f"{SMALL} --method darlr --selector.candidates 20",
    "darlr, written back": f"{SMALL} --method darlr --reward.refine in_place",
    "darlr, nearest references": f"{SMALL} --method darlr --selector.kind nearest",
    "darlr, two heads": f"{SMALL} --method darlr --recommender.tracker.heads 2 --recommender.tracker.window 5",
    "darlr+": f"{SMALL} --method darlr {PLUS}",
    "darlr, bayesian world": f"{SMALL} --method darlr --model.kind bayesian --model.members 2",
    "darlr on coat": f"{COAT} --method darlr",
    "roler on coat": f"{COAT} --method roler",
}
TRAINED = ("epoch", "steps", "reward", "estimate", "penalty", "turns", "value_error", "R_tra", "Length", "CV")
PLAYED = ("mode", "window", "sampled", "mean", "length", "coverage")


def digest(darlr: str, options: str, folder: Path) -> str:
    """Train and evaluate one run; the digest of its numbers."""
    run = folder / "run"
    words = [darlr, "train", "--out", str(run), *options.split()]
    help_text = subprocess.run([darlr, "train", "--help"], capture_output=True, text=True, check=True).stdout
    if "--keep" in help_text:
        words += ["--keep", "last"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    for command in (words, [darlr, "evaluate", str(run), "--no-pictures"]):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    table = json.loads((run / "table.json").read_text(encoding="utf-8"))["rows"]
    learned = [row for row in table if row["kind"] in ("learned", "truth") and not row["name"].startswith("best")]
    numbers = [[row.get(name) for name in TRAINED] for row in rows]
    numbers += [[row.get(name) for name in PLAYED] for row in learned if ", start" not in row["name"]]
    return sha256(json.dumps(numbers).encode()).hexdigest()[:16]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--darlr", default=str(Path(sys.executable).with_name("darlr")), help="which darlr to run")
    options = parser.parse_args()
    print("| run | digest |\n|---|---|")
    for name, words in RUNS.items():
        if "coat" in words and not os.environ.get("DARLR_DATA"):
            print(f"| {name} | left out: DARLR_DATA is not set |")
            continue
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {name} | {digest(options.darlr, words, Path(folder))} |", flush=True)


if __name__ == "__main__":
    main()
