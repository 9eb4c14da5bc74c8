"""The short way to a recommendation: what FastAPI does for every path costs as much as the recommendation itself.

A request that is as it should be is read, answered and written here. Every other one goes on to FastAPI, which answers
it with the documented error, and describes the path in the OpenAPI document.
"""

import logging

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from darlr.errors import RunError
from darlr.server.keys import Keys
from darlr.server.limits import given
from darlr.server.messages import Wanted
from darlr.server.problems import STATUS, of_error, response
from darlr.server.service import Service

PATH, NAME = "/v1/recommend", "darlr.path"  # the path, and where the scope of a request names it for the counters
JSON = [(b"content-type", b"application/json")]


class Direct:
    """Answers POST /v1/recommend. It stands behind `Limits`, which gives it the body in one piece."""

    def __init__(self, app: ASGIApp, service: Service, keys: Keys) -> None:
        self.app, self.service, self.keys = app, service, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body = (await receive())["body"]
        wanted = self._read(Headers(scope=scope), body)
        if wanted is None:
            await self.app(scope, given(body, receive), send)
            return
        scope[NAME] = PATH
        try:
            answer = await self.service.recommend(wanted)
        except tuple(STATUS) as error:
            if isinstance(error, RunError):
                logging.getLogger("uvicorn.error").error("%s", error)
            await response(of_error(error))(scope, receive, send)
            return
        content = answer.model_dump_json().encode()
        headers = [*JSON, (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _read(self, headers: Headers, body: bytes) -> Wanted | None:
        """The request; None for what is refused."""
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return None
        if self.keys.needed and not self.keys.admit(headers.get("authorization", "")):
            return None
        try:
            return Wanted.model_validate_json(body)
        except ValidationError:
            return None
