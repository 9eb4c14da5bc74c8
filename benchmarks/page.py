"""Measures what fits in 10 minutes on idle cores and writes docs/benchmarks.md with its pictures: `make bench`.

    DARLR_DATA=<folder that holds coat/ and kuairec_binary/> python -m benchmarks.page [--compiled] [--only NAME]

Finished rows are kept in runs/bench.json, so that an interrupted call goes on; --fresh forgets them, and so does
another commit. --compiled adds rows of compiled training, another 5 minutes: `make bench ARGS=--compiled`. --only
prints one row and writes nothing. What other commands measured stands at the end of the page and is kept as it is.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import growth, machine, other_rows, training_rows
from benchmarks.growth import Point
from benchmarks.training_rows import Measure, Result
from darlr.agents.fast import twins
from darlr.agents.references import EVERYONE
from darlr.experiments.process import provenance
from darlr.io.files import atomic_write_text

ROOT = Path(__file__).parents[1]
STATE, PAGE = ROOT / "runs" / "bench.json", ROOT / "docs" / "benchmarks.md"
TIME, MEMORY = "bench-time.png", "bench-memory.png"
STEPS = 10_000
GROWTH = "growth"
APART = "## Measured apart"  # the heading of what this program keeps


def rows(*, compiled: bool = True) -> Iterator[tuple[str, Measure]]:
    """Name and measuring function of every row of the tables."""
    yield from training_rows.rows(STEPS)
    if compiled:
        yield from training_rows.compiled_rows(STEPS)
    yield from other_rows.rows()


def load(commit: object, *, fresh: bool) -> dict[str, Any]:
    """What was measured at this commit; nothing of code that was never committed."""
    if fresh or not STATE.exists():
        return {"commit": commit}
    state: dict[str, Any] = json.loads(STATE.read_text(encoding="utf-8"))
    clean = isinstance(commit, dict) and not commit["changed"]
    return state if clean and state.get("commit") == commit else {"commit": commit}


def keep(state: dict[str, Any]) -> None:
    """Write the state, whole or not at all."""
    STATE.parent.mkdir(exist_ok=True)
    atomic_write_text(STATE, json.dumps(state, indent=1))


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def cells(result: Result) -> list[str]:
    """Goal, median, range, floor and ratio of a row, as text."""
    goal = f"{'≥' if result.unit == 'steps/s' else '≤'} {result.goal}" if result.goal else ""
    if not result.values:
        return [goal, "", "", "", ""]
    middle = median(result.values)
    spread = f"{number(min(result.values))} to {number(max(result.values))}" if len(result.values) > 1 else ""
    floor = "" if result.floor is None else number(result.floor)
    ratio = "" if result.floor is None else f"{middle / result.floor:.1f}"
    return [goal, number(middle), spread, floor, ratio]


def number(value: float) -> str:
    """Three figures, thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(results: Sequence[Result]) -> list[str]:
    """A Markdown table of rows."""
    lines = ["| what | unit | goal | median | range | floor | median / floor |", "|---|---|---|---|---|---|---|"]
    for result in results:
        note = f" ({result.note})" if result.note else ""
        lines.append(f"| {result.name}{note} | {result.unit} | {' | '.join(cells(result))} |")
    return lines


def commands(results: Sequence[Result]) -> list[str]:
    """The command of each row."""
    return [f"    {command}" for command in dict.fromkeys(result.command for result in results)]


def verdict(results: Sequence[Result]) -> str:
    """How many goals the medians meet. A goal in steps a second is a lower bound, and any other is an upper bound."""
    aimed = [(one, median(one.values), float(one.goal.replace(",", ""))) for one in results if one.goal and one.values]
    met = sum(found >= goal if one.unit == "steps/s" else found <= goal for one, found, goal in aimed)
    return f"{met} of {len(aimed)} goals are met on this machine."


def gaps(results: Sequence[Result]) -> list[str]:
    """The shares of the longest parts of each profile."""
    shown = [result for result in results if result.parts]
    return [f"- **{one.name}**: {', '.join(f'{part} {share:.0%}' for part, share in one.parts)}" for one in shown]


def slopes(points: dict[str, Point]) -> list[str]:
    """The growth as a table of slopes."""
    lines = ["| method | along | time | memory |", "|---|---|---|---|"]
    for method in growth.METHODS:
        for axis, name in growth.NAMES.items():
            found = growth.series(points, method, axis)
            if len(found) > 1:
                sizes = [size for size, _ in found]
                spent = growth.exponent(sizes, [point.seconds for _, point in found])
                held = growth.exponent(sizes, [point.peak for _, point in found])
                lines.append(f"| {method.upper()} | {name} | {spent:.2f} | {held:.2f} |")
    return lines


def apart(text: str) -> str:
    """What other commands measured: the end of a page, from its heading on; nothing without it."""
    return text[text.index(f"{APART}\n") :] if f"{APART}\n" in text else ""


def page(state: dict[str, Any], load_average: float, kept: str = "") -> str:
    """The whole page. kept: what `apart` found on the page of before."""
    results = [Result(**state[name]) for name, _ in rows() if name in state]
    points = {name: Point(**values) for name, values in state[GROWTH].items()}
    facts = provenance(seed=0)
    commit = state["commit"] or {"commit": "unknown", "changed": False}
    versions = ", ".join(f"{name} {facts['versions'][name]}" for name in ("python", "torch", "numpy"))
    base = ", ".join(f"{growth.NAMES[name]} {value:,}" for name, value in growth.BASE.items())
    spent = [result for result in results if result.unit != "steps/s"]
    rates = [result for result in results if result.unit == "steps/s"]
    by = " (oneDNN's; MKL leaves AVX-512 unused here)" if twins.ONEDNN else ""
    return "\n".join(
        (
            "# Benchmarks",
            "",
            f"**{verdict(results)}** This page was written by `make bench` at commit "
            f"{commit['commit'][:7]}{', with changes' * commit['changed']}, "
            f"{facts['date'][:10]}, on {machine.name()}; {versions}; load average {load_average:.1f}. All runs"
            " have seed 0, and one thread unless a row names another number. Times are CPU-seconds of the "
            "process, so that other programs on the machine count little, although they share its caches. "
            "Training is measured in CPU-seconds for 100,000 simulated steps, updates of all agents included."
            " A measurement has at least 10,000 steps after a warm-up, and the page gives the median of 3. "
            "`make bench ARGS=--compiled` adds compiled rows. They say when the first rollout and update were"
            " over, because PyTorch caches compiled code, here in a folder that was empty before. The page needs "
            "data sets under `DARLR_DATA`.",
            "",
            *table(spent),
            "",
            "The floor is the time that the needed products of matrices and exponentials take on this machine at their "
            "own sizes ([what is counted](../benchmarks/floor.py)): "
            f"{machine.peak_flops() / 1e9:.0f} Gflop/s in large products{by}, {machine.exps_a_second() / 1e9:.2f} G "
            f"exponentials a second, {machine.bytes_a_second() / 1e9:.0f} GB/s.",
            "",
            "## What the time goes to",
            "",
            "These are the longest parts by PyTorch's profiler. Python is the time between operators:",
            "",
            *gaps(results),
            "",
            "## Throughput",
            "",
            "These are simulated steps a second of wall time, updates included. Other programs on the machine "
            "count in full here. Two threads spin while they wait for each other, which helps on idle "
            "cores only.",
            "",
            *table(rates),
            "",
            "## Growth",
            "",
            "The world's tables are random, and each point is measured in a separate process. These sizes hold where "
            f"they are not varied: {base}. The table has slopes in log-log pictures. A slope of 1 means that twice the "
            "size costs twice as much. Memory is the peak of building agents and one rollout with its update,"
            " above that of the process with the world's tables and after a tiny rollout. Beyond "
            f"{EVERYONE:,} users the selector picks from a pool, so that DARLR's lines along users bend there.",
            "",
            f"![Time over sizes](images/{TIME})",
            "",
            f"![Memory over sizes](images/{MEMORY})",
            "",
            *slopes(points),
            "",
            "## GPU",
            "",
            "No GPU was measured, and all rows are for the CPU. `--device cuda` runs the same code with the "
            "world's tables on the device. `--compile on` joins small operators into few launches. "
            "`--recommender.precision bfloat16` is for the products behind the logits of all items; the "
            "selector learned worse with it. Tests check that learning stays on one device, on tensors without "
            "numbers. They check that a rollout reads nothing back, by its operators on the CPU and by PyTorch's own "
            "check where there is a GPU. They check that every compiled part is one graph with the same results. "
            "`python -m benchmarks.gpu` measures a GPU at the sizes of KuaiRec and KuaiRand-Pure, several "
            "seeds in one process and the share of the card's bandwidth included.",
            "",
            "## Commands",
            "",
            *commands(results),
            f"    python -m benchmarks.growth {' '.join(growth.arguments('darlr', growth.BASE))}",
            "",
            kept,
        )
    )


def main() -> None:
    """Measure what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", help="measure the rows of this name and print them")
    parser.add_argument("--compiled", action="store_true", help="measure compiled training too")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    options = parser.parse_args()
    if options.only:
        chosen = [measure for name, measure in rows() if name == options.only]
        if not chosen:
            parser.error(f"no row {options.only!r}; there are: {'; '.join(name for name, _ in rows())}")
        print("\n".join(table([measure() for measure in chosen])))
        return
    with tempfile.TemporaryDirectory() as compiled:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = compiled  # empty, so that compiled rows tell the whole of their start
        state = measured(fresh=options.fresh, compiled=options.compiled)
    growth.draw(
        {name: Point(**values) for name, values in state[GROWTH].items()},
        PAGE.parent / "images" / TIME,
        PAGE.parent / "images" / MEMORY,
    )
    kept = apart(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else ""
    atomic_write_text(PAGE, page(state, os.getloadavg()[0], kept))
    say(f"written: {PAGE.relative_to(ROOT)}")


def measured(*, fresh: bool, compiled: bool) -> dict[str, Any]:
    """All rows and the growth, what is missing measured now."""
    start = time.perf_counter()
    state = load(provenance()["git"], fresh=fresh)
    for name, measure in rows(compiled=compiled):
        if name not in state:
            say(f"[{time.perf_counter() - start:4.0f} s] {name}")
            state[name] = asdict(measure())
            keep(state)
    if GROWTH not in state:
        found = growth.measure(lambda text: say(f"[{time.perf_counter() - start:4.0f} s] {text}"))
        state[GROWTH] = {name: asdict(point) for name, point in found.items()}
        keep(state)
    say(f"[{time.perf_counter() - start:4.0f} s] all measured")
    return state


if __name__ == "__main__":
    main()
