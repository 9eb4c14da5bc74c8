"""What the page asks and reads, as types with their bounds. Rewards are in the unit of the log.

Ids are sent to the page as text, because JavaScript rounds whole numbers above 2^53.
"""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from darlr.options.serving import Name
from darlr.server.messages import HISTORY, Event, Id, Message, Request

CARDS, FOUND, QUERY = 24, 50, 100  # the most cards, ids that are found, and letters of a query


class Play(Message):
    """A session so far. user: null is a new user. The history is kept by the page; the server keeps nothing."""

    arm: str | None = None
    user: Id | None = None
    history: Annotated[list[Event], Field(max_length=HISTORY, default_factory=list)]


class WantedTurn(Play):
    """What comes next in a session."""

    count: Annotated[int, Field(ge=1, le=CARDS)] = 6
    strategy: Name = "greedy"
    epsilon: Annotated[float, Field(ge=0, le=1)] = 0.1
    request_id: Request = "page"


class WantedReasons(Play):
    """Why an item has its place in a session."""

    item: Id


class Feature(BaseModel):
    """One feature of an item or a user, as text."""

    name: str
    value: str


class Described(BaseModel):
    """An item or a user with what is known of it."""

    id: str
    categories: list[str] = []
    features: list[Feature] = []
    events: int


class Found(BaseModel):
    """What a search finds, and how many ids there are in all."""

    found: list[Described]
    total: int


class ArmAbout(BaseModel):
    """An arm: its sizes, how rewards are given, and what the page cannot show of it.

    levels: the rewards to choose from. clicks: whether they are two. turns: the most turns of a session.
    """

    arm: str
    run: str
    version: str
    share: float
    method: str | None
    users: int
    items: int
    low: float
    high: float
    levels: list[float]
    clicks: bool
    turns: int | None
    exits: str | None
    believes: bool
    missing: list[str]


class Served(BaseModel):
    """The names of the arms."""

    arms: list[str]
    strategy: Name
    epsilon: float


class Card(Described):
    """A recommended item. expected: its reward before the session. moved: by how much the answers changed that.

    ends: whether it would end the session; null where that is unknown.
    """

    rank: int
    score: float
    propensity: float
    expected: float | None
    moved: float | None
    ends: bool | None


class Taste(BaseModel):
    """By how much the answers moved the expected reward of a category, or of an item."""

    name: str
    moved: float


class Beside(BaseModel):
    """The popularity list in the same session: its items, their rewards, and whether it has lost the user."""

    items: list[str]
    rewards: list[float]
    answered: list[bool]
    lost: bool


class Turn(BaseModel):
    """The next items, and what has been learned of the user. ending: how many items that were not shown would end the
    session now. enders: the most popular ones of these.

    ended: "exit" where the last item made the user leave, "turns" where the session has reached its length.
    """

    user_known: bool
    cards: list[Card]
    shown: list[Described]
    categories: list[Taste]
    taste: list[Taste]
    beside: Beside | None
    ending: int | None
    enders: list[str]
    ended: str | None
    warnings: list[str]


class Reference(BaseModel):
    """A reference user: the cosine of the feedback vectors, and the estimate of its reward."""

    user: str
    similarity: float
    estimate: float


class Reasons(BaseModel):
    """An explanation, see `darlr.api.explain.Explanation`; missing: why there is none."""

    missing: str | None = None
    frozen: float | None = None
    dynamic: float | None = None
    penalty: float | None = None
    bonus: float | None = None
    paid: float | None = None
    references: list[Reference] = []


class Report(BaseModel):
    """An evaluation that was found in a run's folder. rows: as in its table.json, of the first setting."""

    arm: str
    about: dict[str, Any]
    setting: str
    rows: list[dict[str, Any]]
    verdict: list[str]


class Comparison(BaseModel):
    """The evaluations of the arms, and what is missing with the command that makes it."""

    reports: list[Report]
    turns: int | None
    missing: list[str]


class Warned(BaseModel):
    """A failure signature of training, and the epoch in which it was first seen."""

    epoch: int
    signature: str
    message: str


class Curve(BaseModel):
    """One number of training by epoch."""

    name: str
    title: str
    epochs: list[int]
    values: list[float]


class Training(BaseModel):
    """The run of an arm, from the files of its folder."""

    facts: list[Feature]
    curves: list[Curve]
    signatures: list[Warned]
    report: Report | None
    missing: list[str]
