"""Memory and time of reading a large log of several files, beside a bare polars scan of the same files.

    POLARS_MAX_THREADS=1 python benchmarks/read_table.py --rows 20000000 --files 4 --folder /tmp/read-table
    POLARS_MAX_THREADS=1 python benchmarks/read_table.py --rows 50000000 --files 5 --items 100000 --kind parquet \
        --only prepare --folder /tmp/read-parquet

Generates the files once (ids as text, a dwell time, a time in seconds), then runs each reader in a process of its own.
Linux: the peak is VmHWM of /proc/self/status, in MiB, less what the process held once its imports were done.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

SCAN = """
import polars as pl
baseline = peak()
scan = pl.scan_parquet if glob.glob(folder + "/*.parquet") else pl.scan_csv
frame = scan(sorted(glob.glob(folder + "/*"))).select(pl.len(), pl.col("dwell").mean())
rows = frame.collect(engine="streaming")["len"][0]
"""
WHOLE = """
import polars as pl
baseline = peak()
read = pl.read_parquet if glob.glob(folder + "/*.parquet") else pl.read_csv
rows = read(folder + "/*").height
"""
OURS = """
from pathlib import Path
from darlr.options import TableConfig
from darlr.data.tabular.read_table import read_table
baseline = peak()
log, report = read_table(TableConfig(Path(folder), user="uid", item="sku", reward="dwell"{extra}))
rows = report.rows_read
"""
PREPARE = """
from pathlib import Path
from darlr.options import TableConfig
from darlr.data.sources import prepare
baseline = peak()
config = TableConfig(Path(folder), user="uid", item="sku", reward="dwell", timestamp="ts")
rows = prepare(config, Path(folder).with_name(Path(folder).name + "-prepared")).rows_read
"""
FRAME = """
import glob, resource, sys, time
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
folder = sys.argv[1]
{body}
spent = resource.getrusage(resource.RUSAGE_SELF)
print(f"{{rows:>12,}} rows {{peak() - baseline:>8.0f}} MiB {{spent.ru_utime + spent.ru_stime:>8.1f}} s CPU", flush=True)
"""


def generate(folder: Path, rows: int, files: int, items: int, kind: str, seed: int) -> None:
    """Files of `rows` events in all: 1 million users, about 35 bytes a row as CSV."""
    import numpy as np
    import polars as pl

    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    for part in range(files):
        n = rows // files
        frame = pl.DataFrame(
            {
                "uid": generator.integers(1_000_000, size=n),
                "sku": generator.zipf(1.2, size=n) % items,
                "dwell": generator.exponential(30, size=n).round(2),
                "ts": 1_700_000_000 + np.arange(part * n, (part + 1) * n),
            }
        ).with_columns(pl.format("u{}", "uid").alias("uid"), pl.format("item-{}", "sku").alias("sku"))
        file = folder / f"events-{part}.{kind}"
        frame.write_parquet(file) if kind == "parquet" else frame.write_csv(file)


def main() -> None:
    """Print one line for each reader."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--kind", choices=("csv", "parquet"), default="csv")
    parser.add_argument("--only", default="", help="run only the readers whose name begins so")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/read-table"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not options.folder.exists():
        generate(options.folder, options.rows, options.files, options.items, options.kind, options.seed)
    size = sum(file.stat().st_size for file in options.folder.iterdir()) / 2**20
    print(f"{size:,.0f} MiB of {options.kind} in {options.folder}")
    bodies = {
        "polars, streaming count and mean": SCAN,
        "polars, read whole": WHOLE,
        "read_table, no times": OURS.format(extra=""),
        "read_table, times": OURS.format(extra=', timestamp="ts"'),
        "prepare, times": PREPARE,
    }
    for name, body in bodies.items():
        if not name.startswith(options.only):
            continue
        begun = time.perf_counter()
        print(f"{name:<34}", end="", flush=True)
        subprocess.run([sys.executable, "-c", FRAME.format(body=body), str(options.folder)], check=True)
        print(f"{'':<34}{time.perf_counter() - begun:>12.1f} s wall")


if __name__ == "__main__":
    main()
