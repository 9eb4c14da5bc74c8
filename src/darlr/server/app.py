"""The HTTP interface: paths, keys, counting."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import HTTPBearer

from darlr import __version__
from darlr.server.arms import Arms
from darlr.server.direct import Direct
from darlr.server.keys import Keys
from darlr.server.limits import Counted, Limits
from darlr.server.messages import (
    BATCH,
    Answer,
    ArmInfo,
    BatchAnswer,
    BatchAnswers,
    Feedback,
    Health,
    Model,
    Reload,
    Taken,
    Wanted,
    WantedBatch,
)
from darlr.server.messages import Arms as ArmList
from darlr.server.metrics import CONTENT_TYPE
from darlr.server.page.desk import Desk
from darlr.server.page.routes import add_page
from darlr.server.problems import KIND, STATUS, handle_errors, of_error, problem
from darlr.server.service import Service, UnavailableError

PROBLEM: dict[str, Any] = {"content": {KIND: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a path, for the OpenAPI document."""
    return {status: {**PROBLEM, "description": problem(status, "").title} for status in (400, 401, 413, *statuses)}


def make_app(service: Service, keys: Keys, desk: Desk | None = None) -> FastAPI:
    """The application of a service. keys: who may use it; all may ask whether it lives. desk: of the page, if any."""

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        yield
        if desk is not None:
            desk.close()
        await asyncio.to_thread(service.engine.close)
        await asyncio.to_thread(service.sink.close)

    async def admitted(request: Request) -> None:
        if keys.needed and not keys.admit(request.headers.get("authorization", "")):
            detail = "send a key of this server: Authorization: Bearer KEY"
            raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})

    security = [Depends(admitted), Depends(HTTPBearer(auto_error=False))] if keys.needed else []
    app = FastAPI(
        title="DARLR", version=__version__, lifespan=living, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.service = service
    handle_errors(app)

    app.add_middleware(Direct, service=service, keys=keys)
    app.add_middleware(Limits)  # around the one before
    app.add_middleware(Counted, metrics=service.metrics)

    @app.post("/v1/recommend", responses=documented(409, 422, 429, 500, 503), dependencies=security)
    async def recommend(wanted: Wanted) -> Answer:
        """Recommend items to a user."""
        return await service.recommend(wanted)

    @app.post("/v1/recommend:batch", responses=documented(422), dependencies=security)
    async def recommend_batch(batch: WantedBatch) -> BatchAnswers:
        """Answer several requests, each with a status of its own."""

        async def one(wanted: Wanted) -> BatchAnswer:
            try:
                return BatchAnswer(status=200, body=await service.recommend(wanted))
            except tuple(STATUS) as error:
                found = of_error(error)
                return BatchAnswer(status=found.status, body=found)

        return BatchAnswers(answers=await asyncio.gather(*map(one, batch.requests)))

    @app.post("/v1/feedback", status_code=202, responses=documented(422, 503), dependencies=security)
    async def feedback(events: Annotated[list[Feedback], Body(max_length=BATCH)]) -> Taken:
        """Take the rewards of items that were recommended."""
        accepted, rejected = service.take(events)
        return Taken(accepted=accepted, rejected=rejected)

    @app.get("/v1/model", responses=documented(), dependencies=security)
    async def model() -> ArmList:
        """The policies that are served."""
        return _listed(service.arms, service)

    @app.post("/v1/model:reload", responses=documented(409, 422), dependencies=security)
    async def reload(which: Reload | None = None) -> ArmList:
        """Read policies anew, try them, and serve them; where one cannot be served, all stay as they were."""
        return _listed(await service.reload(which.arm if which else None), service)

    @app.get("/livez")
    async def live() -> Health:
        """Whether the server is alive."""
        return Health()

    @app.get("/readyz", responses={503: {**PROBLEM, "description": "Service Unavailable"}})
    async def ready() -> Health:
        """Whether each arm answers a real request now, and decisions can be logged."""
        try:
            await service.answers()
        except UnavailableError:
            raise
        except Exception as error:
            logging.getLogger("uvicorn.error").error("an arm does not answer: %r", error)
            raise HTTPException(503, "an arm does not answer") from error
        return Health()

    @app.get("/metrics", dependencies=security, response_class=Response)
    async def metrics() -> Response:
        """Counters for Prometheus."""
        service.metrics.waiting.set(service.engine.length)
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    if desk is not None:
        add_page(app, desk, security, documented)

    return app


def _listed(arms: Arms, service: Service) -> ArmList:
    found = [
        ArmInfo(
            arm=arm.name,
            share=arm.share,
            model=Model(run=arm.run, version=arm.policy.version),
            users=len(arm.policy.users.ids),
            items=len(arm.policy.items.ids),
            lowest_reward=arm.policy.unit.bounds[0],
            highest_reward=arm.policy.unit.bounds[1],
        )
        for arm in arms.arms
    ]
    return ArmList(arms=found, strategy=service.usual.strategy, epsilon=service.usual.epsilon)
