"""What a server writes into its log of decisions, and what it does where the disk is full."""

import errno
import time
from pathlib import Path

import pytest

from darlr.cli.main import main
from darlr.decisions import log as module
from darlr.decisions.read import read_log
from darlr.options import ServeConfig
from darlr.serving.folder import read_policy
from tests.server.conftest import Running

HISTORY = [{"item": 5, "reward": 4.5}]
WANTED = {"user": "u3", "count": 3, "history": HISTORY, "candidates": list(range(12)), "exclude": [2]}


def test_decisions_and_feedback_reach_the_disk(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "log"
    running = Running(ServeConfig((run,), decisions=folder))
    try:
        wanted = [{**WANTED, "request_id": f"r{n}", "strategy": "explore"} for n in range(3)]
        replies = [running.post("/v1/recommend", one) for one in wanted]
        shown = [[(str(i["item"]), i["propensity"]) for i in reply.body["items"]] for reply in replies]
        item = replies[1].body["items"][0]["item"]
        event: dict[str, object] = {
            "request_id": "r1",
            "item": item,
            "reward": 4,
            "timestamp": "2026-11-03T12:00:00+01:00",
        }
        assert running.post("/v1/feedback", [event]).body["accepted"] == 1
        assert main(["serve", str(run), "--port", "0", "--decisions", str(folder)]) == 1
        assert "is writing to this log of decisions" in capsys.readouterr().err
    finally:
        running.end()
    for keep, accepted in ((False, 1), (True, 2)):  # the log of an earlier process knows what was answered
        running = Running(ServeConfig((run,), decisions=folder, keep_unknown=keep))
        events = [{**event, "request_id": name} for name in ("r2", "r9")]
        try:
            assert running.post("/v1/feedback", events).body["accepted"] == accepted
        finally:
            running.end()
    found = read_log(folder)
    rows = found.decisions.rows(named=True)
    assert [list(zip(row["items"], row["propensities"], strict=True)) for row in rows] == shown
    first = rows[0]
    assert (first["request_id"], first["user"], first["history_items"], first["exclude"]) == ("r0", "u3", ["5"], ["2"])
    assert (first["strategy"], first["arm"], first["version"]) == ("explore", "shop", read_policy(run).version)
    assert found.candidates["candidate_items"].to_list() == [[str(item) for item in range(12)]]
    assert str(found.rewards["time"][0]) == "2026-11-03 11:00:00+00:00"


def test_a_full_disk_is_no_silence(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, append = [False], module.append

    def filling(file: int, data: bytes) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(file, data)

    monkeypatch.setattr(module, "append", filling)
    running = Running(ServeConfig((run,), decisions=tmp_path / "log"))
    try:
        assert running.get("/readyz").status == 200
        full[0] = True
        taken = 0
        while (reply := running.post("/v1/recommend", {"user": "u1"})).status == 200:
            taken += 1
        assert (reply.status, reply.headers["content-type"]) == (503, "application/problem+json")
        assert reply.body["detail"] == "decisions cannot be logged, so none is made"
        ready = running.get("/readyz")
        assert (ready.status, ready.body["detail"]) == (503, "decisions cannot be logged (No space left on device)")
        assert running.post("/v1/feedback", [{"request_id": "r", "item": 1, "reward": 2}]).status == 503
        full[0] = False
        while running.get("/readyz").status == 503:
            time.sleep(0.02)
        assert running.post("/v1/recommend", {"user": "u1"}).status == 200
    finally:
        running.end()
    assert len(read_log(tmp_path / "log").decisions) == taken + 1
