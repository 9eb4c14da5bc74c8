"""Clients that send half a request, or take no answer, are cut off after a while, and hold nothing meanwhile."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest

from darlr.server import limits
from tests.server.conftest import Running

HEAD = b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
WAIT = 0.3


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PATIENCE", WAIT)


@pytest.fixture
def connections(server: Running) -> Iterator[list[socket.socket]]:
    found = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(40)]
    yield found
    for one in found:
        one.close()


def ended(one: socket.socket) -> bytes:
    """All that the server sends until it closes."""
    parts = [one.recv(1 << 16)]
    with contextlib.suppress(ConnectionResetError):
        while parts[-1]:
            parts.append(one.recv(1 << 16))
    return b"".join(parts)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"POST /v1/recom", b"HTTP/1.1 408"),
        (HEAD[:-2], b"HTTP/1.1 408"),
        (HEAD, b"HTTP/1.1 408"),
        (HEAD + b'{"user"', b"HTTP/1.1 408"),
        (HEAD + b'{"user": "u1"}\n' + HEAD[:40], b"HTTP/1.1 200"),
    ],
)
def test_half_a_request_is_cut_off(
    server: Running, connections: list[socket.socket], sent: bytes, answer: bytes
) -> None:
    began = time.perf_counter()
    for one in connections:
        one.sendall(sent)
    assert server.post("/v1/recommend", {"user": "u1"}).status == 200
    assert server.app.state.service.engine.length == 0
    for one in connections:
        found = ended(one)
        assert found.startswith(answer)
        if sent == HEAD + b'{"user"':
            head, _, body = found.partition(b"\r\n\r\n")
            assert b"application/problem+json" in head
            assert json.loads(body)["detail"] == f"the body did not arrive within {WAIT:g} seconds"
    assert WAIT * 0.9 < time.perf_counter() - began < WAIT + 3
    assert server.post("/v1/recommend", {"user": "u1"}).status == 200


def test_who_takes_no_answer_is_cut_off(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    size = len(server.get("/openapi.json").text)  # it is made once
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(5)
        one.connect(("127.0.0.1", server.port))
        one.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 400)
        time.sleep(WAIT + 0.7)
        assert len(ended(one)) < 200 * size
    assert not caplog.records
    assert server.get("/livez").status == 200


def test_who_sends_slowly_but_in_time_is_answered(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as one:
        for part in (HEAD[:30], HEAD[30:], b'{"user": ', b'"u1"}\n'):
            one.sendall(part)
            time.sleep(WAIT / 6)
        assert one.recv(1 << 16).startswith(b"HTTP/1.1 200")
