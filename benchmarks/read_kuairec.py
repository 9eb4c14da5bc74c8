"""What reading KuaiRec at full size costs: `POLARS_MAX_THREADS=1 python -m benchmarks.read_kuairec`.

Writes made-up raw files of the published sizes into a temporary folder (1.6 GB, removed afterwards) and measures, each
in a process of its own: the CSV library alone, every column parsed and summed, on big_matrix.csv and on the three large
files that must be read; the reader, from raw files to a prepared folder; and `darlr data prepare kuairec`, which reads
the truth too, and loads and describes what it wrote.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from benchmarks.raw_kuairec import DATA, Size, write
from darlr.cli.main import main as darlr
from darlr.data.sources import prepare


@dataclass(frozen=True)
class Cost:
    """wall, cpu: seconds of the whole process, imports included; peak: resident memory in MB."""

    wall: float
    cpu: float
    peak: float


def scan(raw: Path, out: Path) -> None:
    """The CSV library alone, on the log."""
    _sum(raw / DATA / "big_matrix.csv")


def scan_all(raw: Path, out: Path) -> None:
    """The CSV library alone, on the three large files."""
    for name in ("big_matrix", "small_matrix", "item_daily_features"):
        _sum(raw / DATA / f"{name}.csv")


def _sum(path: Path) -> None:
    sums = pl.scan_csv(path).select(pl.col(pl.Int64, pl.Float64).sum(), pl.col(pl.String).str.len_bytes().sum())
    sums.collect(engine="streaming")


def read(raw: Path, out: Path) -> None:
    """The reader, to a prepared folder."""
    prepare("kuairec", out, raw=raw)


def command(raw: Path, out: Path) -> None:
    """The whole command."""
    if darlr(["data", "prepare", "kuairec", "--raw", str(raw), "--out", str(out)]):
        raise SystemExit(1)


PARTS: dict[str, Callable[[Path, Path], None]] = {"scan": scan, "scan all": scan_all, "read": read, "command": command}


def measure(part: str, raw: Path, out: Path) -> Cost:
    """The cost of one part, in a new process."""
    start = time.perf_counter()
    arguments = [sys.executable, "-m", "benchmarks.read_kuairec", "--part", part, "--raw", str(raw), "--out", str(out)]
    child = os.posix_spawn(sys.executable, arguments, os.environ)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{part} failed")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def report(folder: Path) -> None:
    """Write the files, measure, and print a Markdown table."""
    start = time.perf_counter()
    write(folder / DATA, Size())
    megabytes = (folder / DATA / "big_matrix.csv").stat().st_size / 1e6
    print(
        f"big_matrix.csv: {Size().events:,} rows, {megabytes:,.0f} MB, written in {time.perf_counter() - start:.0f} s"
    )
    print(f"polars threads: {pl.thread_pool_size()}\n")
    print("| what | wall s | CPU s | peak MB | wall / scan | CPU / scan |\n|---|---|---|---|---|---|")
    alone = None
    for part in PARTS:
        cost = measure(part, folder, folder / f"out-{part.split()[0]}")
        alone = alone or cost
        ratios = f"{cost.wall / alone.wall:.2f} | {cost.cpu / alone.cpu:.2f}"
        print(f"| {part} | {cost.wall:.1f} | {cost.cpu:.1f} | {cost.peak:,.0f} | {ratios} |", flush=True)


def main() -> None:
    """Measure, or (in the child) do one part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--raw", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        PARTS[options.part](options.raw, options.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        report(Path(folder))


if __name__ == "__main__":
    main()
