"""The page in a large catalogue: seconds and bytes of each of its requests, one after the other.

    darlr train --data synthetic --synthetic.items 100000 ... --out RUN
    python -m benchmarks.page_answers RUN --turns 10

The server runs in this process. The first line opens the run; medians are over the turns of one session.
"""

import argparse
import asyncio
import json
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from darlr.options import ServeConfig
from darlr.server.page.desk import Desk
from darlr.server.page.messages import Play, WantedReasons, WantedTurn
from darlr.server.run import application
from darlr.server.service import Service


def queries(item: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Searches that find much, little, and nothing."""
    for query in ("", item[:1], item, "category 7", "no such thing"):
        yield query, {"query": query, "most": 8}


async def measure(run: Path, turns: int) -> None:
    """Play one session, and print what each kind of request took."""
    service: Service = application(ServeConfig((run,))).state.service
    desk, took, sizes = Desk(service), defaultdict[str, list[float]](list), defaultdict[str, list[int]](list)

    async def timed(name: str, work: object) -> object:
        began = time.perf_counter()
        found = await work  # type: ignore[misc]
        took[name].append(time.perf_counter() - began)
        sizes[name].append(len(found.model_dump_json()))
        return found

    about = await timed("open the run", desk.about(None))
    user, history = (await desk.users(None, "", 1)).found[0].id, []
    await timed("first search for items", desk.items(None, "", 8))
    for _ in range(turns):
        play = Play(user=user, history=history)
        turn = await timed("turn of a user of the log", desk.turn(WantedTurn(**dict(play))))
        await timed("turn of a new user", desk.turn(WantedTurn(user=None, history=history)))
        item = turn.cards[0].id
        await timed("why an item is here", desk.reasons(WantedReasons(**dict(play), item=item)))
        for _, wanted in queries(item):
            await timed("search for items", desk.items(None, wanted["query"], wanted["most"]))
            await timed("search for users", desk.users(None, wanted["query"], wanted["most"]))
        history = [*history, {"item": item, "reward": about.high}]
        history = json.loads(json.dumps(history, allow_nan=False))
    print(f"{about.users:,} users, {about.items:,} items, {about.method}")
    for name, seconds in took.items():
        print(f"{name}: median {1000 * statistics.median(seconds):.1f} ms, {max(sizes[name]):,} bytes at most")
    print(f"resident at the peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    desk.close()
    service.engine.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--turns", type=int, default=10)
    options = parser.parse_args()
    asyncio.run(measure(options.run, options.turns))
