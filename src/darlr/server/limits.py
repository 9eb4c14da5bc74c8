"""What surrounds every request: it is counted, and its body is bounded in size and time."""

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from darlr.server.metrics import Metrics
from darlr.server.problems import problem, response

BODY = 1 << 20  # the most bytes of a request
PATIENCE = 10.0  # seconds in which a body must arrive


class Counted:
    """Counts requests by path and status, and the time that they take."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and look at the status."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def seen(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, seen)
        finally:
            path = str(scope.get("darlr.path") or getattr(scope.get("route"), "path", "other"))
            self.metrics.answered(path, status, time.perf_counter() - began)


class Limits:
    """Refuses bodies that are too large, or that do not arrive in time."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body before anything else is done, and pass it on as one piece."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(PATIENCE):
                body = await _body(receive)
        except TimeoutError:
            refused = problem(408, f"the body did not arrive within {PATIENCE:g} seconds")
        else:
            if body is None:
                return  # the client has gone
            if len(body) <= BODY:
                await self.app(scope, given(body, receive), send)
                return
            refused = problem(413, f"the body is longer than {BODY:,} bytes")
        await response(refused, {"Connection": "close"})(scope, receive, send)


async def _body(receive: Receive) -> bytes | None:
    """The body, as far as it may go; None where the client went away."""
    parts, length, more = [], 0, True
    while more and length <= BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        more = message.get("more_body", False)
    return b"".join(parts)


def given(body: bytes, receive: Receive) -> Receive:
    """A body that was read, as what gives it once more."""
    sent = False

    async def given() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given
