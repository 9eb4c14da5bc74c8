"""What the server reads and answers, as types with their bounds; FastAPI writes the OpenAPI document from them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict  # that of the library lacks what pydantic reads before Python 3.12

from darlr.options.serving import Name

HISTORY, ITEMS, COUNT, BATCH = 1_000, 10_000, 1_000, 256  # the most of each in one request
Id = Annotated[StrictStr, Field(min_length=1, max_length=256)] | Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
Request = Annotated[str, Field(min_length=1, max_length=128)]


class Message(BaseModel):
    """A JSON object in which every name and type is checked."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Event(Message):
    """An item that the user was shown in this session, and the reward, in the log's unit."""

    item: Id
    reward: float


class Wanted(Message):
    """A request for recommendations. Everything but `user` may be left out; `user` null is a new user."""

    user: Id | None
    count: Annotated[int, Field(ge=1, le=COUNT)] = 10
    history: Annotated[list[Event], Field(max_length=HISTORY, description="The session so far, oldest first.")] = []
    exclude: Annotated[list[Id], Field(max_length=ITEMS, description="Items that do not come back.")] = []
    candidates: Annotated[
        list[Id] | None, Field(max_length=ITEMS, description="The only items that may come back.")
    ] = None
    strategy: Annotated[Name | None, Field(description="The default is the server's.")] = None
    epsilon: Annotated[float | None, Field(ge=0, le=1)] = None
    request_id: Annotated[Request | None, Field(description="Your name of the request; the server makes one up.")] = (
        None
    )


class WantedBatch(Message):
    """Several requests for recommendations, which are answered independently."""

    requests: Annotated[list[Wanted], Field(max_length=BATCH)]


def _text(value: object) -> object:
    """Refuse numbers, which a lax date and time would take for seconds since 1970."""
    if value is not None and not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return value


class Feedback(Message):
    """The reward of an item that was recommended. timestamp: ISO 8601; the default is the time of arrival."""

    request_id: Request
    item: Id
    reward: float
    timestamp: Annotated[datetime | None, Field(strict=False), BeforeValidator(_text)] = None


class Reload(Message):
    """Which arm to load anew; null is all of them."""

    arm: str | None = None


class Model(BaseModel):
    """A policy that is served: the name of its run, and the hash of its content."""

    run: str
    version: str


class Shown(TypedDict):
    """A recommended item; propensity: its probability at this rank, given the items at the ranks before."""

    item: str | int
    rank: int
    score: float
    propensity: float


class Answer(BaseModel):
    """The recommended items. user_known: false for a user who is not in the log, and is answered as a new user."""

    request_id: str
    model: Model
    arm: str
    user_known: bool
    strategy: Name
    items: list[Shown]
    warnings: list[str]


class FieldProblem(BaseModel):
    """One thing that is wrong with a request. pointer: where, as a JSON pointer."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = None


class BatchAnswer(BaseModel):
    """The status and the body of one request of a batch."""

    status: int
    body: Answer | Problem


class BatchAnswers(BaseModel):
    """The answers to a batch, in its order."""

    answers: list[BatchAnswer]


class Rejected(FieldProblem):
    """Feedback that was not taken."""


class Taken(BaseModel):
    """How much feedback was taken, and what was not."""

    accepted: int
    rejected: list[Rejected]


class ArmInfo(BaseModel):
    """An arm: its share of the users, its policy and its catalogue."""

    arm: str
    share: float
    model: Model
    users: int
    items: int
    lowest_reward: float
    highest_reward: float


class Arms(BaseModel):
    """The arms that are served."""

    arms: list[ArmInfo]
    strategy: Name
    epsilon: float


class Health(BaseModel):
    """Whether the server is alive, or ready."""

    status: Literal["ok"] = "ok"


JSON = dict[str, Any]
