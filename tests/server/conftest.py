"""A server on a free port, with a policy of each of two kinds, and a client of a few lines."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from darlr.decisions.log import DecisionLog
from darlr.options import ServeConfig
from tests.serving.tiny import POLICIES

pytest.importorskip("fastapi", reason="the server needs the extra `serve`")
pytest.importorskip("uvicorn", reason="the server needs the extra `serve`")

import uvicorn

from darlr.server.run import application, settings
from darlr.server.sink import Memory


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


class Running:
    """A server in a thread."""

    def __init__(self, config: ServeConfig) -> None:
        self.sink: Any = Memory() if config.decisions is None else DecisionLog(config.decisions)
        self.app = application(config, self.sink)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.server = uvicorn.Server(settings(self.app, config))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listening]})
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Reply:
        client = HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        client.request(method, path, sent, {"Content-Type": "application/json", **(headers or {})})
        answer = client.getresponse()
        reply = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())
        client.close()
        return reply

    def post(self, path: str, body: object, **headers: str) -> Reply:
        return self.ask("POST", path, body, headers)

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, None, headers)

    def end(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.listening.close()


def policy_at(folder: Path, name: str) -> Path:
    POLICIES[name](folder / "policy")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a learned policy."""
    return policy_at(tmp_path_factory.mktemp("runs") / "shop", "learned, prior and belief")


@pytest.fixture(scope="session")
def shop_run(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The run folder of a learned policy, with its log and world model; see `tests.server.shop`."""
    from tests.server.shop import make_shop

    return once("page-shop", make_shop)


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[Running]:
    running = Running(ServeConfig((run,)))
    yield running
    running.end()
