"""What is kept of a decision and of feedback, and the lines and columns in which it is written."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import polars as pl

Id = str | int
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc(time: datetime | None) -> datetime:
    """A time in UTC, now where none is given; without a zone it is in UTC. Raises OverflowError outside UTC's years."""
    if time is None:
        return datetime.now(UTC)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer, with all that is needed to repeat it and to use it for off-policy values.

    time: when it was made, in UTC. history: items and rewards, oldest first. exclude, candidates, new_items: the rules,
    as given. seed: of the draws, see `darlr.serving.strategy.seed_of`; None where nothing was drawn. items,
    propensities: by rank. arm, run, version: the arm, the name of its run, and the version of its policy.
    """

    request_id: str
    time: datetime
    user: Id | None
    user_known: bool
    history: tuple[tuple[Id, float], ...]
    exclude: tuple[Id, ...]
    candidates: tuple[Id, ...] | None
    strategy: str
    epsilon: float
    seed: int | None
    items: tuple[Id, ...]
    propensities: tuple[float, ...]
    arm: str
    run: str
    version: str
    new_items: bool = False


@dataclass(frozen=True, slots=True)
class Reward:
    """Feedback for an item of a decision. time: when the user gave it, or when it arrived, in UTC."""

    request_id: str
    item: Id
    reward: float
    time: datetime


class Sink(Protocol):
    """Keeps decisions and feedback. Its methods are quick, and are called from one thread.

    They raise OSError where nothing more can be kept; the server then answers 503, and nothing is shown unlogged.
    """

    def decided(self, decision: Decision) -> None:
        """Keep a decision, before it is shown."""
        ...

    def rewarded(self, rewards: Sequence[Reward]) -> None:
        """Keep feedback, all or nothing."""
        ...

    def check(self) -> None:
        """Raise OSError where a decision could not be kept now."""
        ...

    def close(self) -> None:
        """Write down what is not written yet; nothing comes afterwards."""
        ...


class Frames(NamedTuple):
    """A part of a log as frames.

    decisions: a row for each, with `items` and `propensities` as lists by rank, and `candidates` as a hash, null where
    there was no such rule. rewards: a row for each event of feedback. candidates: the items of each hash.
    """

    decisions: "pl.DataFrame"
    rewards: "pl.DataFrame"
    candidates: "pl.DataFrame"


def schemas() -> dict[str, dict[str, Any]]:
    """The columns of each frame. Ids are text, times are in UTC."""
    import polars as pl

    text, number, time = pl.String, pl.Float64, pl.Datetime("us", "UTC")
    decisions = {"request_id": text, "time": time, "user": text, "user_known": pl.Boolean}
    decisions |= {"history_items": pl.List(text), "history_rewards": pl.List(number)}
    decisions |= {"exclude": pl.List(text), "candidates": text, "new_items": pl.Boolean}
    decisions |= {"strategy": text, "epsilon": number, "seed": pl.UInt64}
    decisions |= {"items": pl.List(text), "propensities": pl.List(number)}
    decisions |= {"arm": text, "run": text, "version": text}
    return {
        "decisions": decisions,
        "rewards": {"request_id": text, "item": text, "reward": number, "time": time},
        "candidates": {"candidates": text, "candidate_items": pl.List(text)},
    }


def line_of_decision(one: Decision, candidates: str | None) -> bytes:
    """A decision as one line of JSON. candidates: the hash of its candidates, which are in a line of their own."""
    return _line(
        {
            "request_id": one.request_id,
            "time": _micros(one.time),
            "user": None if one.user is None else str(one.user),
            "user_known": one.user_known,
            "history_items": [str(item) for item, _ in one.history],
            "history_rewards": [float(reward) for _, reward in one.history],
            "exclude": [str(item) for item in one.exclude],
            "candidates": candidates,
            "new_items": one.new_items,
            "strategy": one.strategy,
            "epsilon": float(one.epsilon),
            "seed": one.seed,
            "items": [str(item) for item in one.items],
            "propensities": [float(chance) for chance in one.propensities],
            "arm": one.arm,
            "run": one.run,
            "version": one.version,
        }
    )


def line_of_reward(one: Reward) -> bytes:
    """An event of feedback as one line of JSON."""
    about = {"request_id": one.request_id, "item": str(one.item), "reward": float(one.reward)}
    return _line(about | {"time": _micros(one.time)})


def line_of_candidates(name: str, candidates: Sequence[Id]) -> bytes:
    """A set of candidates under its hash as one line of JSON."""
    return _line({"candidates": name, "candidate_items": [str(item) for item in candidates]})


def hash_of(candidates: Sequence[Id]) -> str:
    """The hash of a set of candidates, whatever their order: 16 hexadecimal digits of BLAKE2b."""
    text = json.dumps(sorted({str(item) for item in candidates}), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def parsed(text: str) -> Frames:
    """The frames of whole lines. Raises polars' errors where a line is damaged."""
    import polars as pl

    columns: dict[str, Any] = {}
    for schema in schemas().values():
        columns |= schema
    kind = pl.Struct({name: pl.Int64 if name == "time" else kind for name, kind in columns.items()})
    lines = pl.Series("line", [text.removesuffix("\n")] if text else [], dtype=pl.String).str.split("\n").explode()
    found = lines.str.json_decode(kind).struct.unnest()
    found = found.with_columns(pl.col("time").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    which = {"decisions": "items", "rewards": "item", "candidates": "candidate_items"}
    parts = {name: found.filter(pl.col(one).is_not_null()) for name, one in which.items()}
    return Frames(**{name: part.select(list(schemas()[name])) for name, part in parts.items()})


def _micros(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"  # a lone half of a surrogate pair is no text
