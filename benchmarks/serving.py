"""Load on a server: requests a second, latencies and errors, with the generator on the same machine.

    python -m benchmarks.serving RUN --rate 300 --seconds 60 --connections 32 --reloads 0

It starts `darlr serve RUN` on a free port. Requests come at a fixed rate, whatever the answers do (an open loop), so
that a latency counts from the time at which its request was due. Users, histories and strategies are drawn from a seed.
Where RUN is a folder of versions, each reload follows a move of the pointer to the next one. At the end every answer is
compared with what the version that it names recommends for that request.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from darlr.serving.read import open_policy
from darlr.serving.versions import point, versions


@dataclass
class Results:
    """What came back. seconds: from when a request was due to its answer. sent: from when it was sent."""

    seconds: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    answers: list[bytes] = field(default_factory=list)
    ended: float = 0.0


def bodies(run: Path, count: int, seed: int) -> list[bytes]:
    """Requests: known users and one in ten new ones, histories of 0 to 10 events, every strategy."""
    policy, generator = open_policy(run), np.random.default_rng(seed)
    users, items, (low, high) = policy.users.ids, policy.items.ids, policy.unit.bounds
    found = []
    for number in range(count):
        shown = generator.choice(len(items), int(generator.integers(0, min(11, len(items)))), replace=False)
        history = [{"item": items[item], "reward": float(generator.uniform(low, high))} for item in shown]
        user = f"stranger {number}" if generator.random() < 0.1 else users[int(generator.integers(len(users)))]
        strategy = ("greedy", "sample", "explore")[number % 3]
        wanted = {"user": user, "count": 10, "history": history, "strategy": strategy, "request_id": f"{seed}-{number}"}
        found.append(json.dumps(wanted, allow_nan=False).encode())
    return found


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: bytes) -> tuple[int, bytes]:
    """The status and the body of one request on an open connection."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return int(answer[9:12]), await reader.readexactly(length)


async def load(
    port: int, requests: list[bytes], rate: float, connections: int, reloads: int, run: Path | None = None
) -> Results:
    """Send all requests at the rate, on so many connections, with reloads at even distances.

    run: a folder of versions, whose pointer moves before each reload.
    """
    results, due = Results(), iter(enumerate(requests))
    began = time.perf_counter() + 0.1

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, body in due:
            at = began + number / rate
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            sent = time.perf_counter()
            status, answer = await ask(reader, writer, "/v1/recommend", body)
            results.statuses[status] += 1
            results.answers.append(answer)
            now = results.ended = time.perf_counter()
            results.seconds.append(now - at)
            results.sent.append(now - sent)
        writer.close()

    async def reload() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(reloads):
            await asyncio.sleep(max(0.0, began + (number + 0.5) * len(requests) / rate / reloads - time.perf_counter()))
            if run is not None:
                point(run, versions(run)[number % len(versions(run))])
            results.statuses[-(await ask(reader, writer, "/v1/model:reload", b"{}"))[0]] += 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)), reload())
    return results


def wrong(run: Path, requests: list[bytes], answers: list[bytes]) -> tuple[int, Counter[str]]:
    """How many answers are not those of the version that they name, and how many came from each version."""
    folders = [run / name for name in versions(run)] or [run]
    policies = {policy.version: policy for policy in map(open_policy, folders)}
    asked = {one["request_id"]: one for one in map(json.loads, requests)}
    count, served = 0, Counter[str]()
    for found in map(json.loads, answers):
        one, policy = asked[found["request_id"]], policies[found["model"]["version"]]
        served[policy.version] += 1
        history = [(event["item"], event["reward"]) for event in one["history"]]
        again = policy.recommend(
            one["user"], 10, history=history, strategy=one["strategy"], request_id=found["request_id"]
        )
        count += again.select("item", "rank", "score", "propensity").to_dicts() != found["items"]
    return count, served


def computed(pid: int) -> float:
    """The CPU seconds of a process so far, by /proc; NaN where there is none."""
    with contextlib.suppress(OSError):
        ticks = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return float("nan")


def resident(pid: int) -> str:
    """The resident memory of a process, in MB; "unknown" where /proc does not tell."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
        return f"{int(next(line for line in lines if line.startswith('VmRSS')).split()[1]) / 1024:.0f}"
    return "unknown"


def main() -> None:
    """Start a server, load it, and print what came back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--reloads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    requests = bodies(options.run, int(options.rate * options.seconds), options.seed)
    command = [sys.executable, "-m", "darlr", "serve", str(options.run), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        port = int(server.stderr.readline().split("127.0.0.1:")[1].split(";")[0])
        asyncio.run(load(port, requests[:50], options.rate, options.connections, 0))  # warm
        before, cpu = time.process_time(), computed(server.pid)
        began = time.perf_counter()
        moved = options.run if versions(options.run) else None
        results = asyncio.run(load(port, requests[50:], options.rate, options.connections, options.reloads, moved))
        wall, own, cpu = results.ended - began, time.process_time() - before, computed(server.pid) - cpu
        took = [f"{1000 * np.quantile(results.seconds, share):.1f}" for share in (0.5, 0.95, 0.99, 1)]
        print(f"{len(results.seconds) / wall:.0f} requests a second for {wall:.0f} s ({options.rate:g} were due)")
        print(f"latency from when due: median {took[0]}, p95 {took[1]}, p99 {took[2]}, most {took[3]} ms")
        print(f"latency from when sent: p99 {1000 * np.quantile(results.sent, 0.99):.1f} ms")
        print(f"statuses {dict(results.statuses)} (negative: reloads); resident {resident(server.pid)} MB")
        print(
            f"CPU {1000 * cpu / len(results.seconds):.2f} ms a request, reloads included; load {os.getloadavg()[0]:.1f}"
        )
        print(f"the generator used {own / wall:.2f} cores")
        count, served = wrong(options.run, requests, results.answers)
        print(f"wrong answers: {count} of {len(results.answers)}; by version {dict(served)}")
    finally:
        server.terminate()
        print(f"the server ended with exit code {server.wait(40)}")


if __name__ == "__main__":
    main()
