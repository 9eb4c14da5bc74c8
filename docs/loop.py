"""The whole loop on a small world: serve, log, evaluate, update, promote and roll back.

python docs/loop.py FOLDER  # a new folder; half a minute

It needs the extra `serve`, and symbolic links.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from darlr.cli.main import main

WORLD = "--data synthetic --synthetic.users 40 --synthetic.items 20 --synthetic.categories 4"
TRAINING = "--method darlr+ --epochs 1 --steps 200 --sessions 8 --model.kind deepfm --model.members 2 --model.epochs 5"


def stars(user: int, item: int) -> int:
    """The users' answers."""
    return (user + 3 * item) % 5 + 1


def darlr(words: str) -> int:
    """Run one command."""
    print("$ darlr", words, flush=True)
    code = main(words.split())
    assert code in (0, 3), f"exit code {code}"  # 3: the update is not promoted
    return code


def send(url: str, body: object = None) -> Any:
    """Ask the server."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=20) as answer:
        return json.load(answer)


def link(current: Path, run: str) -> None:
    """Point the name that is served to a run, at once."""
    draft = current.with_name("draft")
    draft.symlink_to(run)
    draft.replace(current)


def loop(folder: Path, visits: int = 240) -> list[str]:
    """Go through the loop, and return the versions that were served: the run's, the update's, and the run's again."""
    first, second, current = (folder / name for name in ("shop-1", "shop-2", "current"))
    darlr(f"train {WORLD} {TRAINING} --out {first}")
    link(current, first.name)
    log = folder / "decisions"
    serve = f"-m darlr serve {current} --strategy explore --epsilon 0.5 --port 0 --no-page --decisions {log}"
    with subprocess.Popen([sys.executable, *serve.split()], stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            url = next(line.split()[2].rstrip(";") for line in server.stderr if line.startswith("serving at"))

            def reloaded() -> str:
                send(f"{url}/v1/model:reload", {"arm": None})
                return str(send(f"{url}/v1/model")["arms"][0]["model"]["version"])

            versions = [reloaded()]
            requests = [{"user": n % 40, "count": 2, "request_id": f"visit-{n}"} for n in range(visits)]
            replies = send(f"{url}/v1/recommend:batch", {"requests": requests})["answers"]
            for request, reply in zip(requests, replies, strict=True):
                shown = [item["item"] for item in reply["body"]["items"]]
                about = {"request_id": request["request_id"]}
                answers = [about | {"item": item, "reward": stars(request["user"], item)} for item in shown]
                assert send(f"{url}/v1/feedback", answers)["accepted"] == len(shown)
            time.sleep(0.5)  # until all of it is on disk

            darlr(f"replay {first} --decisions {log}")
            darlr(f"evaluate {first} --decisions {log} --strategy greedy --no-pictures")
            darlr(f"data check {log} --against {first}")
            promoted = darlr(f"update {first} --log {log} --out {second} --epochs 1") == 0
            print("promoted" if promoted else "not promoted; it is served all the same, to show how")

            link(current, second.name)
            versions.append(reloaded())
            link(current, first.name)
            versions.append(reloaded())
        finally:
            server.terminate()
    assert server.returncode == 0
    return versions


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True)
    print("served:", *loop(place))
