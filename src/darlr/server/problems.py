"""Errors as problem documents (RFC 9457)."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from darlr.errors import ConfigError, RunError
from darlr.server.engine import BusyError
from darlr.server.messages import FieldProblem, Problem
from darlr.server.service import ConflictError, UnavailableError

STATUS = {ConfigError: 422, ConflictError: 409, BusyError: 429, UnavailableError: 503, RunError: 500}
BUSY = "more requests are waiting than can be answered soon; send it again later"
KIND = "application/problem+json"


def problem(status: int, detail: str, errors: Sequence[FieldProblem] | None = None) -> Problem:
    """The document of an error."""
    return Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors) if errors else None
    )


def response(found: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The document as an answer."""
    more = {"Retry-After": "1"} if found.status in (429, 503) else {}
    content = found.model_dump(exclude_none=True)
    return JSONResponse(content, found.status, {**more, **(headers or {})}, media_type=KIND)


def of_error(error: Exception) -> Problem:
    """The document of an error that was raised on purpose; KeyError for any other."""
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    if status == 500:
        return problem(500, "the policy gives no proper scores; its files are damaged")
    return problem(status, BUSY if status == 429 else str(error).removeprefix("option "))


def of_validation(error: RequestValidationError) -> Problem:
    """What is wrong with a body, and where."""
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return problem(400, f"the body is no JSON: {found[0].get('ctx', {}).get('error', found[0]['msg'])}")
    places: dict[str, list[str]] = {}
    for one in found:
        places.setdefault(_pointer(one["loc"], error.body), []).append(one["msg"])
    fields = [FieldProblem(pointer=place, detail=", or ".join(said)) for place, said in list(places.items())[:20]]
    count = "1 thing is" if len(places) == 1 else f"{len(places)} things are"
    return problem(422, f"{count} wrong with the request", fields)


def _pointer(place: Sequence[Any], body: Any) -> str:
    """The JSON pointer of a place in a body, without pydantic's names of alternatives behind it."""
    pointer = ""
    for part in place[1:]:
        if not isinstance(body, dict | list):
            break
        pointer += "/" + str(part).replace("~", "~0").replace("/", "~1")
        body = body.get(part) if isinstance(body, dict) else body[part] if isinstance(part, int) else None
    return pointer


def handle_errors(app: FastAPI) -> None:
    """Answer every error with its document. No trace of the program leaves the server."""

    async def known(request: Request, error: Exception) -> Response:
        if isinstance(error, RunError):
            logging.getLogger("uvicorn.error").error("%s", error)
        return response(of_error(error))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return response(of_validation(error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return response(problem(error.status_code, str(error.detail)), error.headers)

    async def unknown(request: Request, error: Exception) -> Response:
        return response(problem(500, "the server failed at this request; its operator finds the reason in its log"))

    for kind in STATUS:
        app.add_exception_handler(kind, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unknown)
