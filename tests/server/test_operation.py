"""Keys, arms, reloads, a full queue, a full disk, and the end of a server."""

import asyncio
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pytest

from darlr.cli.main import main
from darlr.decisions.records import Decision
from darlr.errors import ConfigError, DataError
from darlr.options import ServeConfig, StrategyConfig
from darlr.server.arms import Arm, Arms, open_arms
from darlr.server.engine import BusyError, Engine, Job
from darlr.server.keys import read_keys
from darlr.server.messages import Wanted
from darlr.server.metrics import Metrics
from darlr.server.service import Service, UnavailableError
from darlr.server.sink import Memory
from darlr.serving.folder import read_policy
from darlr.serving.versions import add_version, point
from tests import forked
from tests.server.conftest import Running, policy_at
from tests.serving.tiny import POLICIES

KEY = "a key of enough letters"


def test_only_keys_open_the_door(run: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{KEY.replace(' ', '-')}\nanother-key-of-this-server\n", "utf-8")
    running = Running(ServeConfig((run,), keys=tmp_path / "keys"))
    try:
        good = {"Authorization": "Bearer another-key-of-this-server"}
        for headers, status in (({}, 401), ({"Authorization": "Bearer another"}, 401), (good, 200)):
            assert running.post("/v1/recommend", {"user": "u1"}, **headers).status == status
            assert running.get("/metrics", **headers).status == status
        refused = running.get("/v1/model")
        assert (refused.headers["www-authenticate"], refused.body["title"]) == ("Bearer", "Unauthorized")
        assert running.get("/livez").status == running.get("/readyz").status == 200
    finally:
        running.end()


def test_keys_come_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DARLR_KEYS", raising=False)
    assert not read_keys(None, "127.0.0.1").needed
    assert not read_keys(None, "::1").needed
    with pytest.raises(ConfigError, match=r"option keys: others can reach 0\.0\.0\.0; give a file of keys"):
        read_keys(None, "0.0.0.0")
    with pytest.raises(DataError, match="the keys cannot be read"):
        read_keys(tmp_path / "none", "127.0.0.1")
    monkeypatch.setenv("DARLR_KEYS", "short")
    with pytest.raises(ConfigError, match="at least 16 characters"):
        read_keys(None, "127.0.0.1")
    monkeypatch.setenv("DARLR_KEYS", "0123456789abcdef 0123456789abcdeF")
    keys = read_keys(None, "0.0.0.0")
    assert keys.admit("Bearer 0123456789abcdeF")
    for wrong in ("", "Bearer", "Bearer 0123456789abcde", "Basic 0123456789abcdef"):
        assert not keys.admit(wrong)


def test_arms_have_the_shares_that_are_asked_for(run: Path, tmp_path: Path) -> None:
    other = policy_at(tmp_path / "list", "list")
    arms = open_arms([run, other, other], [6, 3, 1])
    assert [arm.name for arm in arms.arms] == ["shop", "list", "list-2"]
    users = [f"user {number}" for number in range(20_000)]
    found = [arms.of(user).name for user in users]
    for name, share in (("shop", 0.6), ("list", 0.3), ("list-2", 0.1)):
        assert abs(found.count(name) / len(users) - share) < 0.01
    assert [arms.of(user).name for user in users[:100]] == found[:100]
    for weights in ([1], [1, 0, 2], [1, 2, float("inf")]):
        with pytest.raises(ConfigError, match="option weights: give a positive number for each of the 3 runs"):
            open_arms([run, other, other], weights)
    running = Running(ServeConfig((run, other)))
    try:
        replies = [running.post("/v1/recommend", {"user": f"user {number}"}).body for number in range(12)]
        both = open_arms([run, other], [])
        assert [reply["arm"] for reply in replies] == [both.of(f"user {number}").name for number in range(12)]
        assert {decision.arm for decision in running.sink.decisions} == {"shop", "list"}
    finally:
        running.end()


def test_a_reload_under_load_fails_no_answer(tmp_path: Path) -> None:
    folder = policy_at(tmp_path / "shop", "learned")
    first = read_policy(folder).version
    running = Running(ServeConfig((folder,)))
    try:
        ending, seen = threading.Event(), []

        def ask() -> None:
            while not ending.is_set():
                reply = running.post("/v1/recommend", {"user": "u1", "count": 3})
                items = tuple(one["item"] for one in reply.body["items"])
                seen.append((reply.status, reply.body["model"]["version"], items))

        with ThreadPoolExecutor(2) as many:
            asking = [many.submit(ask) for _ in range(2)]
            for name in ("table", "learned", "list"):
                policy_at(folder, name)
                assert running.post("/v1/model:reload", {}).status == 200
            ending.set()
            for one in asking:
                one.result()
        assert {status for status, *_ in seen} == {200}
        for version in {version for _, version, _ in seen}:
            assert len({items for _, found, items in seen if found == version}) == 1  # never a mixture
        served = running.get("/v1/model").body["arms"][0]["model"]["version"]
        assert served == read_policy(folder).version != first
        (folder / "policy" / "policy.json").write_text("{", "utf-8")
        refused = running.post("/v1/model:reload", {"arm": "shop"})
        assert refused.status == 409
        assert "damaged" in refused.body["detail"]
        assert running.post("/v1/recommend", {"user": "u1"}).body["model"]["version"] == served
    finally:
        running.end()


def test_a_reload_follows_the_pointer(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    names = [
        add_version(shop, POLICIES[name], lambda folder: read_policy(folder).version) for name in ("list", "table")
    ]
    point(shop, names[0])
    running = Running(ServeConfig((shop,)))

    def served() -> tuple[str, str]:
        found = running.post("/v1/recommend", {"user": "u1"}).body
        return found["model"]["run"], found["model"]["version"]

    try:
        assert served() == ("shop", names[0])
        point(shop, names[1])
        assert served() == ("shop", names[0])
        for name in (names[1], names[0]):
            point(shop, name)
            assert running.post("/v1/model:reload", {}).status == 200
            assert served() == ("shop", name)
        (shop / "current").write_text("gone", "utf-8")
        assert running.post("/v1/model:reload", {}).status == 409
        assert served() == ("shop", names[0])
    finally:
        running.end()


class Slow:
    """A policy that answers when it is told to, and never user 1."""

    def __init__(self, run: Path) -> None:
        self.real, self.go, self.sizes = read_policy(run), threading.Event(), list[int]()
        self.asked = threading.Event()

    def scored(self, some: Any) -> Any:
        self.asked.set()
        self.go.wait(10)
        self.sizes.append(len(some))
        if any(one.code == 1 for one in some):
            raise ZeroDivisionError
        return self.real.scored(some)


def test_a_full_queue_refuses_and_a_bad_job_costs_others_nothing(run: Path) -> None:
    slow = Slow(run)
    engine = Engine(waiting=4, together=3)
    jobs = [Job(slow, slow.real.read(f"u{user}", ()), 3, StrategyConfig()) for user in (0, 1, 2, 3, 4)]  # type: ignore[arg-type]
    first = engine.submit(jobs[0])
    while engine.length:
        time.sleep(0.001)
    others = [engine.submit(job) for job in jobs[1:]]
    with pytest.raises(BusyError):
        engine.submit(jobs[0])
    others[3].cancel()
    slow.go.set()
    assert len(first.result(5).codes) == 3
    assert isinstance(others[0].exception(5), ZeroDivisionError)
    assert [len(others[place].result(5).codes) for place in (1, 2)] == [3, 3]
    engine.close()
    assert slow.sizes == [1, 3, 1, 1, 1]


def test_refusals_name_a_time_to_come_back(run: Path) -> None:
    running = Running(ServeConfig((run,), waiting=1))
    slow = Slow(run)
    arm = running.app.state.service.arms.arms[0]
    slow.read, slow.seed, slow.items = arm.policy.read, arm.policy.seed, arm.policy.items  # type: ignore[attr-defined]
    slow.unit, slow.version = arm.policy.unit, arm.policy.version  # type: ignore[attr-defined]
    running.app.state.service.arms = Arms((Arm("shop", 1.0, run, slow),))  # type: ignore[arg-type]
    try:
        with ThreadPoolExecutor(6) as many:
            asked = [many.submit(running.post, "/v1/recommend", {"user": "u2"})]
            assert slow.asked.wait(10)  # the first one left the queue, which has room for one
            asked += [many.submit(running.post, "/v1/recommend", {"user": "u2"}) for _ in range(5)]
            next(as_completed(asked))
            slow.go.set()
            replies = [one.result() for one in asked]
        statuses = sorted(reply.status for reply in replies)
        assert statuses[:2] == [200, 200]
        assert statuses[-1] == 429
        assert all(reply.headers["retry-after"] == "1" for reply in replies if reply.status == 429)
    finally:
        running.end()


class Full(Memory):
    def decided(self, decision: Decision) -> None:
        raise OSError(28, "No space left on device")

    def rewarded(self, rewards: Any) -> None:
        raise OSError(28, "No space left on device")


def test_what_cannot_be_logged_is_not_shown(run: Path) -> None:
    async def ask() -> None:
        engine = Engine(4, 4)
        service = Service(open_arms([run], []), engine, Full(), StrategyConfig(), Metrics())
        for _ in range(2):  # a failure is not remembered
            with pytest.raises(UnavailableError, match="decisions cannot be logged"):
                await service.recommend(Wanted(user="u1", request_id="r"))
        with pytest.raises(UnavailableError):
            service.take([])
        engine.close()

    asyncio.run(ask())


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM there")
def test_sigterm_finishes_what_is_under_way(run: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from darlr.server.engine import Engine\n"
        "answer = Engine._answer\n"
        "Engine._answer = lambda self, group: (time.sleep(0.3), answer(self, group))\n"
        "from darlr.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    said = tmp_path / "said"
    with said.open("w") as file:
        command = [sys.executable, "-c", code, "serve", str(run), "--port", "0"]
        process = forked.Popen(command, forked.PIPE, file, file, dict(os.environ))
    try:
        while "openapi" not in said.read_text("utf-8"):
            assert process.poll() is None, said.read_text("utf-8")
            time.sleep(0.02)
        client = Running.__new__(Running)
        client.port = int(said.read_text("utf-8").split("127.0.0.1:")[1].split(";")[0])
        with ThreadPoolExecutor(1) as one:
            asked = one.submit(client.post, "/v1/recommend", {"user": "u1"})
            time.sleep(0.15)
            os.kill(process.pid, signal.SIGTERM)
            assert asked.result().status == 200
        process.wait()
        assert process.poll() == 0, said.read_text("utf-8")
    finally:
        process.kill()
        process.stdin.close()


def test_options_that_cannot_work(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, code, message in (
        ([str(tmp_path)], 1, "no trained policy here"),
        ([str(run), "--port", "70000"], 2, "option --port: must be from 0 to 65535"),
        ([str(run), "--host", "0.0.0.0"], 2, "option --keys: others can reach 0.0.0.0"),
        ([str(run), "--weights", "1", "2"], 2, "option --weights: give a positive number for each of the 1 runs"),
        ([str(run), "--host", "203.0.113.1", "--keys", str(tmp_path / "k")], 1, "cannot be read"),
    ):
        assert main(["serve", *words]) == code
        assert message in capsys.readouterr().err
