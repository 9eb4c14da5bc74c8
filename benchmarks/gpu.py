"""What a GPU makes of the inner loop, on made-up tables of KuaiRec's and KuaiRand-Pure's sizes.

    python -m benchmarks.gpu --device cuda --out gpu.json

Prints Markdown and writes the same numbers as JSON: the card's own rates; for each size, method and way to run it
(plain, compiled, in bfloat16 too) simulated steps a second, the seconds until the second rollout begins, peak memory
and the share of the card's bandwidth that the bytes needed at least (benchmarks/floor.py, and every logit written and
read once) amount to; then more sessions side by side, and more seeds in one process, a thread and a stream each.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.floor import FLOAT, floor, sizes_of
from benchmarks.growth import made_up
from benchmarks.hot_loop import STEPS, costs
from darlr.agents.learner import Learner, build_learner, build_simulator, learn
from darlr.agents.rollout import Simulator
from darlr.experiments.process import provenance
from darlr.io.files import atomic_write_text
from darlr.options import Precision, SessionConfig, TrainConfig
from darlr.simulation.exits import never
from darlr.world.tables import World

SIZES = {"KuaiRec": (1411, 3327), "KuaiRand-Pure": (27285, 7583)}
WAYS: dict[str, tuple[bool, Precision]] = {
    "plain": (False, "float32"),
    "compiled": (True, "float32"),
    "compiled, bfloat16": (True, "bfloat16"),
}
PROBE = 2**28, 8192  # numbers that are copied, width of the matrices
METHODS: tuple[str, ...] = ("dorl", "darlr")
SESSIONS, SEEDS = (128, 512, 2048), (1, 2, 4)  # the first everywhere, the others alone
HEADER = "| tables | method | how | sessions | seeds | steps/s | ready after | memory | bandwidth |"


@dataclass(frozen=True)
class Case:
    """One measurement: users, items and name of the tables; `way` is one of WAYS; seeds: learners side by side."""

    tables: str
    users: int
    items: int
    method: str
    way: str
    sessions: int
    seeds: int


@dataclass(frozen=True)
class Found:
    """steps: simulated a second, all seeds together; ready: seconds of the first rollout and update; memory: MB at
    most, 0 where the device does not count it; share: of the bandwidth."""

    steps: float
    ready: float
    memory: float
    share: float


@dataclass(frozen=True)
class Card:
    """A device's own rates. copied: bytes read and written a second; products: flop a second by precision."""

    name: str
    copied: float
    products: dict[str, float]


def wait(device: str) -> None:
    """Until everything asked of the device is done."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: str, repeats: int = 20) -> float:
    """Of one call, the least of three tries."""
    work()
    tries = []
    for _ in range(3):
        wait(device)
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        wait(device)
        tries.append((time.perf_counter() - start) / repeats)
    return min(tries)


def card(device: str, numbers: int, width: int) -> Card:
    """Measured with a copy of so many float32 numbers and products of [width, width] matrices."""
    source = torch.rand(numbers, device=device)
    target = torch.empty_like(source)
    copied = 2 * FLOAT * numbers / seconds(lambda: target.copy_(source), device)
    products = {}
    for name in ("float32", "bfloat16"):
        left = torch.rand(width, width, device=device).to(getattr(torch, name))
        products[name] = 2 * width**3 / seconds(lambda left=left: left @ left, device, 3)
    cuda = torch.device(device).type == "cuda"
    return Card(torch.cuda.get_device_name(device) if cuda else "CPU", copied, products)


def cases(sizes: Mapping[str, tuple[int, int]]) -> Iterator[Case]:
    """Every way on every size; on the first also more sessions, and more seeds."""
    for place, (name, (users, items)) in enumerate(sizes.items()):
        for method in METHODS:
            plain = Case(name, users, items, method, "plain", SESSIONS[0], SEEDS[0])
            for way in WAYS:
                yield replace(plain, way=way)
            if place == 0:
                yield from (replace(plain, sessions=sessions) for sessions in SESSIONS[1:])
                yield from (replace(plain, seeds=seeds) for seeds in SEEDS[1:])


def options(case: Case, device: str, seed: int = 0) -> TrainConfig:
    """Defaults but for what the case says."""
    compiles, precision = WAYS[case.way]
    default = TrainConfig()
    return replace(
        default,
        method=case.method,
        sessions=case.sessions,
        seed=seed,
        device=device,
        compile="on" if compiles else "off",
        session=SessionConfig(exit="none"),
        recommender=replace(default.recommender, precision=precision),
    )


def measure(case: Case, world: World, device: str, copied: float, rollouts: int) -> Found:
    """Build the learners, play a rollout with its update, then time more of them."""
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    configs = [options(case, device, seed) for seed in range(case.seeds)]
    learners = [build_learner(world, config) for config in configs]
    pairs = [
        (learner, build_simulator(world, learner.tables, never, config))
        for learner, config in zip(learners, configs, strict=True)
    ]
    wait(device)
    start = time.perf_counter()
    for pair in pairs:
        learn(*pair, case.sessions)
    wait(device)
    ready = time.perf_counter() - start
    steps = rollouts * case.sessions * configs[0].session.turns

    def clock() -> float:
        wait(device)
        return time.perf_counter()

    if case.seeds == 1:
        rate = STEPS / median(costs(*pairs[0], case.sessions, steps, clock=clock))
    else:
        rate = case.seeds * steps / side_by_side(pairs, case.sessions, rollouts, device)
    work = floor(sizes_of(world), configs[0])
    needed = work.bytes + 2 * FLOAT * work.exps  # every exponential is of one logit
    memory = torch.cuda.max_memory_allocated(device) / 1e6 if cuda else 0.0
    return Found(rate, ready, memory, rate * needed / copied)


def side_by_side(pairs: Sequence[tuple[Learner, Simulator]], sessions: int, rollouts: int, device: str) -> float:
    """Seconds for so many rollouts and updates of every learner, each in a thread and a stream of its own."""
    cuda = torch.device(device).type == "cuda"

    def play(pair: tuple[Learner, Simulator]) -> None:
        with torch.cuda.stream(torch.cuda.Stream(device)) if cuda else nullcontext():
            for _ in range(rollouts):
                learn(*pair, sessions)

    with ThreadPoolExecutor(len(pairs)) as pool:
        start = time.perf_counter()
        list(pool.map(play, pairs))
        wait(device)
        return time.perf_counter() - start


def row(case: Case, found: Found) -> str:
    """One line of the table."""
    size = f"{case.tables}, {case.users:,} x {case.items:,}"
    memory = f"{found.memory:,.0f} MB" if found.memory else ""
    return (
        f"| {size} | {case.method.upper()} | {case.way} | {case.sessions:,} | {case.seeds} | {found.steps:,.0f} | "
        f"{found.ready:.1f} s | {memory} | {found.share:.2%} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every case; what is measured so far is in --out whenever this ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--rollouts", type=int, default=5, help="least in a measurement, of which there are three")
    given = parser.parse_args(arguments)
    found = card(given.device, *PROBE)
    rates = ", ".join(f"{rate / 1e12:.1f} Tflop/s in {name}" for name, rate in found.products.items())
    print(f"{found.name}: copies at {found.copied / 1e9:,.0f} GB/s, products at {rates}\n\n{HEADER}", flush=True)
    print("|---" * HEADER.count(" | ") + "|---|")
    rows: list[dict[str, Any]] = []
    kept = {"provenance": provenance(seed=0), "card": asdict(found), "rows": rows}
    worlds: dict[str, World] = {}
    for case in cases(SIZES):
        if case.tables not in worlds:
            worlds.clear()  # the larger tables do not lie beside the smaller ones
            worlds[case.tables] = made_up(case.users, case.items).to(given.device)
        result = measure(case, worlds[case.tables], given.device, found.copied, given.rollouts)
        print(row(case, result), flush=True)
        rows.append({**asdict(case), **asdict(result)})
        atomic_write_text(given.out, json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
