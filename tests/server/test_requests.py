"""What the server answers, and what it refuses."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from darlr.serving.folder import read_policy
from darlr.serving.ids import NEW
from tests.server.conftest import Running
from tests.serving.tiny import ITEMS


@pytest.mark.parametrize("strategy", ["greedy", "sample", "explore"])
@pytest.mark.parametrize("user", ["u3", "stranger", None])
def test_an_answer_is_that_of_the_policy(server: Running, run: Path, user: str | None, strategy: Any) -> None:
    policy, name = read_policy(run), f"{user} {strategy}"
    wanted = {"user": user, "count": 4, "exclude": [1], "candidates": list(range(12)), "strategy": strategy}
    history = [{"item": 5, "reward": 4.5}, {"item": "7", "reward": 1}]
    reply = server.post("/v1/recommend", {**wanted, "history": history, "request_id": name, "epsilon": 0.5})
    assert reply.status == 200, reply.text
    found = reply.body
    assert found["request_id"] == name
    assert found["model"] == {"run": "shop", "version": policy.version}
    assert (found["arm"], found["strategy"], found["user_known"]) == ("shop", strategy, user == "u3")
    assert found["warnings"] == []
    answer = policy.recommend(
        NEW if user is None else user,
        4,
        history=[(5, 4.5), (7, 1.0)],
        exclude=[1],
        only=range(12),
        strategy=strategy,
        epsilon=0.5,
        request_id=name,
    )
    assert found["items"] == answer.select("item", "rank", "score", "propensity").to_dicts()
    assert not {1, 5, 7} & {one["item"] for one in found["items"]}


def test_the_short_way_answers_as_fastapi_does(server: Running) -> None:
    wanted = {"user": "u3", "count": 4, "exclude": [1], "history": [{"item": "7", "reward": 1}], "strategy": "explore"}
    replies = []  # the last goes the long way
    for kind in (
        "application/json",
        "application/json; charset=utf-8",
        "application/x+json",
    ):
        body = json.dumps({**wanted, "request_id": "both"}).encode()
        reply = server.ask("POST", "/v1/recommend", body, {"Content-Type": kind})
        replies.append((reply.status, reply.headers["content-type"], reply.text))
    assert replies[0][:2] == (200, "application/json")
    assert replies[0] == replies[1] == replies[2]
    assert server.ask("POST", "/v1/recommend", body, {"Content-Type": "text/plain"}).status == 422


def test_unknown_items_are_warnings_and_defaults_are_few(server: Running) -> None:
    wanted = {"user": "u1", "history": [{"item": "hat", "reward": 2}], "exclude": ["cap"]}
    found = server.post("/v1/recommend", wanted).body
    assert len(found["items"]) == 10
    assert found["strategy"] == "greedy"
    assert [one["propensity"] for one in found["items"]] == [1.0] * 10
    assert found["warnings"] == [
        "history: items that the log does not hold were left out: 'hat'",
        "exclude: items that the log does not hold were left out: 'cap'",
    ]
    assert server.post("/v1/recommend", {"user": "u1", "candidates": []}).body["items"] == []


def test_a_request_that_comes_twice_is_one_decision(server: Running) -> None:
    wanted = {"user": "u2", "strategy": "sample", "request_id": "twice"}
    with ThreadPoolExecutor(8) as many:
        replies = list(many.map(lambda _: server.post("/v1/recommend", wanted), range(8)))
    assert len({reply.text for reply in replies}) == 1
    assert sum(decision.request_id == "twice" for decision in server.sink.decisions) == 1
    other = server.post("/v1/recommend", {**wanted, "count": 3})
    assert (other.status, other.body["title"]) == (409, "Conflict")
    assert server.post("/v1/recommend", wanted).text == replies[0].text


WANTED = {"user": "u1"}


@pytest.mark.parametrize(
    ("path", "body", "status", "pointer"),
    [
        ("/v1/recommend", b"{", 400, None),
        ("/v1/recommend", b"\xff\xfe", 400, None),
        ("/v1/recommend", b"[" * 200_000, 400, None),
        ("/v1/recommend", b'{"user": ' + b"9" * 6000 + b"}", 400, None),
        ("/v1/recommend", b'{"user": "' + b"a" * (1 << 20) + b'"}', 413, None),
        ("/v1/recommend", {}, 422, "/user"),
        ("/v1/recommend", [], 422, ""),
        ("/v1/recommend", b"", 422, ""),
        ("/v1/recommend", {"user": 1.5}, 422, "/user"),
        ("/v1/recommend", {"user": True}, 422, "/user"),
        ("/v1/recommend", {"user": "\ud800"}, 422, "/user"),
        ("/v1/recommend", {**WANTED, "cuont": 3}, 422, "/cuont"),
        ("/v1/recommend", {**WANTED, "count": 0}, 422, "/count"),
        ("/v1/recommend", {**WANTED, "count": "3"}, 422, "/count"),
        ("/v1/recommend", {**WANTED, "count": 10**6}, 422, "/count"),
        ("/v1/recommend", {**WANTED, "strategy": "best"}, 422, "/strategy"),
        ("/v1/recommend", {**WANTED, "epsilon": 1.5}, 422, "/epsilon"),
        ("/v1/recommend", {**WANTED, "history": [{"item": 3, "reward": "4"}]}, 422, "/history/0/reward"),
        ("/v1/recommend", {**WANTED, "history": [{"item": 3, "reward": 1}] * 1001}, 422, "/history"),
        ("/v1/recommend", {**WANTED, "exclude": [3] * 10_001}, 422, "/exclude"),
        ("/v1/recommend", {**WANTED, "history": [{"item": 3, "reward": 400}]}, 422, None),
        ("/v1/recommend:batch", {"requests": [WANTED] * 257}, 422, "/requests"),
        ("/v1/feedback", [{"request_id": "r", "item": 1}], 422, "/0/reward"),
        ("/v1/feedback", [{"request_id": "r", "item": 1, "reward": 1, "timestamp": 0}], 422, "/0/timestamp"),
        ("/v1/model:reload", {"arm": "nobody"}, 422, None),
        ("/v1/nothing", {}, 404, None),
        ("/livez", {}, 405, None),
    ],
)
def test_errors_are_problem_documents(server: Running, path: str, body: Any, status: int, pointer: str | None) -> None:
    reply = server.post(path, body)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert reply.body["status"] == status
    assert reply.body["type"] == "about:blank"
    assert reply.body["title"]
    assert reply.body["detail"]
    assert pointer is None or reply.body["errors"][0]["pointer"] == pointer


def test_numbers_that_are_no_json_are_refused(server: Running) -> None:
    reply = server.post("/v1/recommend", b'{"user": "u1", "history": [{"item": 1, "reward": NaN}]}')
    assert reply.status == 422


def test_a_batch_has_a_status_for_each(server: Running) -> None:
    wrong = {**WANTED, "history": [{"item": 3, "reward": 400}]}
    found = server.post("/v1/recommend:batch", {"requests": [WANTED, wrong, {"user": None}]}).body["answers"]
    assert [one["status"] for one in found] == [200, 422, 200]
    assert "outside the log's range of 1 to 5" in found[1]["body"]["detail"]
    assert found[0]["body"]["items"] == server.post("/v1/recommend", WANTED).body["items"]


def test_feedback_is_kept(server: Running) -> None:
    assert server.post("/v1/recommend", {"user": "u1", "request_id": "r"}).status == 200
    events = [
        {"request_id": "r", "item": 3, "reward": 4, "timestamp": "2026-03-01T12:00:00+02:00"},
        {"request_id": "r", "item": 4, "reward": 40},
        {"request_id": "r", "item": 5, "reward": 1, "timestamp": "0001-01-01T00:00:00+14:00"},
        {"request_id": "r", "item": 6, "reward": 1},
        {"request_id": "never asked", "item": 6, "reward": 1},
    ]
    reply = server.post("/v1/feedback", events)
    assert reply.status == 202
    assert reply.body["accepted"] == 2
    assert [one["pointer"] for one in reply.body["rejected"]] == ["/1/reward", "/2/timestamp", "/4/request_id"]
    assert 'darlr_feedback_total{result="unknown"} 1.0' in server.get("/metrics").text
    kept = list(server.sink.rewards)[-2:]
    assert [(one.item, one.reward) for one in kept] == [(3, 4.0), (6, 1.0)]
    assert kept[0].time.isoformat() == "2026-03-01T10:00:00+00:00"


def test_decisions_made_together_can_be_repeated_alone(server: Running, run: Path) -> None:
    def ask(number: int) -> None:
        user = [f"u{number % 12}", None, "guest"][number % 3]
        history = [{"item": (number + turn) % ITEMS, "reward": 1 + turn % 5} for turn in range(number % 19)]
        wanted = {"user": user, "history": history, "count": 5, "strategy": ["sample", "explore"][number % 2]}
        assert server.post("/v1/recommend", {**wanted, "request_id": f"n{number}"}).status == 200

    with ThreadPoolExecutor(16) as many:
        list(many.map(ask, range(160)))
    policy = read_policy(run)
    logged = [one for one in server.sink.decisions if one.request_id.startswith("n")]
    assert len(logged) == 160
    for one in logged:
        user: Any = NEW if one.user is None else one.user
        again = policy.recommend(
            user,
            5,
            history=one.history,
            strategy=one.strategy,  # type: ignore[arg-type]
            epsilon=one.epsilon,
            request_id=one.request_id,
        )
        assert again["item"].to_list() == list(one.items)
        assert again["propensity"].to_list() == list(one.propensities)
        assert one.seed == policy.seed(one.request_id, policy.read(user, ()))


def test_health_and_metrics(server: Running) -> None:
    assert server.get("/livez").body == server.get("/readyz").body == {"status": "ok"}
    server.post("/v1/recommend", {"user": "stranger"})
    text = server.get("/metrics").text
    for line in (
        'darlr_requests_total{path="/v1/recommend",status="200"}',
        'darlr_decisions_total{arm="shop",strategy="greedy"}',
        'darlr_unknown_users_total{arm="shop"}',
        'darlr_request_seconds_bucket{le="0.025",path="/v1/recommend"}',
        'darlr_model_info{arm="shop",run="shop",version="',
    ):
        assert line in text
    paths = server.get("/openapi.json").body["paths"]
    assert {path for path in paths if not path.startswith("/page/")} == {
        *("/v1/recommend", "/v1/recommend:batch", "/v1/feedback", "/v1/model", "/v1/model:reload"),
        *("/livez", "/readyz", "/metrics"),
    }
    (arm,) = server.get("/v1/model").body["arms"]
    assert (arm["users"], arm["items"], arm["lowest_reward"], arm["highest_reward"]) == (12, ITEMS, 1.0, 5.0)


def test_half_a_request_costs_others_nothing(server: Running) -> None:
    halves = []
    head = b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
    for text in (b"POST /v1/recom", head, head + b"{", b"\x00" * 50):
        halves.append(socket.create_connection(("127.0.0.1", server.port)))
        halves[-1].sendall(text)
    assert server.post("/v1/recommend", WANTED).status == 200
    for one in halves:
        one.close()
    assert server.post("/v1/recommend", WANTED).status == 200


def test_a_failure_shows_no_trace(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darlr.server.service._asked", lambda *_: 1 / 0)
    reply = server.post("/v1/recommend", WANTED)
    assert (reply.status, reply.headers["content-type"]) == (500, "application/problem+json")
    assert "division" not in reply.text
    assert "Traceback" not in reply.text
