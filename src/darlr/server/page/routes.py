"""The paths of the page: its files, and what its scripts ask. No text of the data is ever part of the markup."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response

from darlr.server.page.desk import Desk
from darlr.server.page.messages import (
    FOUND,
    QUERY,
    ArmAbout,
    Comparison,
    Found,
    Reasons,
    Served,
    Training,
    Turn,
    WantedReasons,
    WantedTurn,
)

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
Arm = Annotated[str | None, Query(max_length=256)]
Text = Annotated[str, Query(max_length=QUERY)]
Most = Annotated[int, Query(ge=1, le=FOUND)]


@cache
def assets() -> Mapping[str, tuple[bytes, str, str]]:
    """The files of the page: content, media type and ETag, by name."""
    found = {}
    for file in files("darlr.server.page").joinpath("assets").iterdir():
        kind = KINDS.get("." + file.name.rpartition(".")[2])
        if kind is not None:
            content = file.read_bytes()
            found[file.name] = content, f"{kind}; charset=utf-8", f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return found


def _file(name: str, request: Request) -> Response:
    if name not in assets():
        raise HTTPException(404, "the page has no such file")
    content, kind, tag = assets()[name]
    headers = {**HEADERS, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def add_page(
    app: FastAPI,
    desk: Desk,
    security: Sequence[Any],
    documented: Callable[..., dict[int | str, dict[str, Any]]],
) -> None:
    """Add the page to the application. security: what admits a request; the files of the page need none."""
    common: dict[str, Any] = {"dependencies": list(security), "tags": ["page"]}

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        """The page."""
        return _file("index.html", request)

    @app.get("/page/files/{name}", include_in_schema=False)
    async def file(name: str, request: Request) -> Response:
        """A script, a style sheet or a picture of the page."""
        return _file(name, request)

    @app.get("/page/arms", responses=documented(), **common)
    async def arms() -> Served:
        """The names of the arms."""
        return desk.served()

    @app.get("/page/arm", responses=documented(422, 429), **common)
    async def arm(arm: Arm = None) -> ArmAbout:
        """What an arm is, and what the page cannot show of it."""
        return await desk.about(arm)

    @app.get("/page/users", responses=documented(422, 429), **common)
    async def users(arm: Arm = None, query: Text = "", most: Most = 8) -> Found:
        """Search for users."""
        return await desk.users(arm, query, most)

    @app.get("/page/items", responses=documented(422, 429), **common)
    async def items(arm: Arm = None, query: Text = "", most: Most = 8) -> Found:
        """Search for items by id, category or feature."""
        return await desk.items(arm, query, most)

    @app.post("/page/turn", responses=documented(422, 429, 500), **common)
    async def turn(wanted: WantedTurn) -> Turn:
        """The next items of a session, and what has been learned of the user. It is not logged as a decision."""
        return await desk.turn(wanted)

    @app.post("/page/reasons", responses=documented(422, 429), **common)
    async def reasons(wanted: WantedReasons) -> Reasons:
        """Why an item has its place: frozen and dynamic reward, the penalty, the reference users."""
        return await desk.reasons(wanted)

    @app.get("/page/comparison", responses=documented(429), **common)
    async def comparison() -> Comparison:
        """The evaluations of the arms."""
        return await desk.compare()

    @app.get("/page/training", responses=documented(422, 429), **common)
    async def training(arm: Arm = None) -> Training:
        """The run of an arm: curves, failure signatures, and its evaluation."""
        return await desk.training(arm)
