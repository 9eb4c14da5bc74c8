"""What `darlr tune` searches: ranges of options, and the usual ones of each objective."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from darlr.errors import ConfigError

Objective = Literal["world", "policy"]
Sampler = Literal["tpe", "random"]
FORM = "write NAME=int:LOW:HIGH, NAME=float:LOW:HIGH, either with :log behind it, or NAME=choice:ONE,OTHER"

USUAL: Mapping[Objective, tuple[str, ...]] = {
    "world": (
        "model.embedding=int:4:32:log",
        "model.learning-rate=float:0.001:0.03:log",
        "model.embedding-decay=float:5:500:log",
        "model.bias-decay=float:0.1:10:log",
        "model.weight-decay=float:0.001:0.3:log",
        "model.dropout=float:0:0.4",
    ),
    "policy": (
        "selector.picks=int:5:40:log",
        "selector.lambda-s=float:0.5:5:log",
        "selector.lambda-d=float:0.01:0.5:log",
        "reward.lambda-u=float:0.01:1:log",
        "reward.lambda-e=float:0.01:1:log",
        "recommender.a2c.learning-rate=float:0.0003:0.003:log",
    ),
}
"""The ranges that are searched unless the user leaves them out. Those of `policy` are the paper's, and a step size."""


@dataclass(frozen=True)
class Range:
    """The values of an option that are searched. choices: of a choice; else numbers from low to high."""

    name: str
    kind: Literal["int", "float", "choice"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values at the ends, or all choices."""
        return self.choices or tuple(int(end) if self.kind == "int" else end for end in (self.low, self.high))

    def holds(self, value: Any) -> bool:
        """Whether a value is among those that are searched."""
        if self.kind == "choice":
            return value in self.choices
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        """The range as it is written."""
        if self.kind == "choice":
            return f"{self.name}=choice:{','.join(map(str, self.choices))}"
        return f"{self.name}={self.kind}:{self.low:g}:{self.high:g}" + ":log" * self.log


def space(
    objective: Objective, search: Sequence[str], *, usual: bool = True, fixed: Collection[str] = ()
) -> tuple[Range, ...]:
    """The ranges of a search; those in `search` are added to the usual ones, or replace them where names are equal.

    fixed: options that the user set, whose usual ranges are left out. Raises ConfigError for text that is no range, and
    where nothing is left to search.
    """
    found = {one.name: one for one in map(read_range, USUAL[objective] if usual else ()) if one.name not in fixed}
    found |= {one.name: one for one in map(read_range, search)}
    if not found:
        raise ConfigError(f"option search: names no option to search; {FORM}")
    return tuple(found.values())


def read_range(text: str) -> Range:
    """The range that a text names, such as model.embedding=int:4:64:log. Raises ConfigError for any other text."""
    name, equals, rest = text.partition("=")
    kind, _, values = rest.partition(":")
    name = name.strip().replace("_", "-")
    if not (name and equals and values) or kind not in ("int", "float", "choice"):
        raise ConfigError(f"option search: {text!r} is no range; {FORM}")
    if kind == "choice":
        words = dict.fromkeys(one.strip() for one in values.split(","))
        choices = tuple(_value(one) for one in words if one)
        if len(choices) < 2:
            raise ConfigError(f"option search: {text!r} leaves nothing to choose; name two or more values")
        return Range(name, "choice", choices=choices)
    low, _, tail = values.partition(":")
    high, _, log = tail.partition(":")
    try:
        ends = [int(end) if kind == "int" else float(end) for end in (low, high)]
    except ValueError:
        raise ConfigError(f"option search: {text!r} needs two numbers, which are whole after int; {FORM}") from None
    if log not in ("", "log"):
        raise ConfigError(f"option search: {text!r} ends with {log!r}, where only log can stand; {FORM}")
    if not ends[0] < ends[1] < float("inf"):
        raise ConfigError(f"option search: {text!r} needs a lower number before a higher one; {FORM}")
    if log and ends[0] <= 0:
        raise ConfigError(f"option search: {text!r} is searched by its logarithm, so it must begin above 0")
    return Range(name, "int" if kind == "int" else "float", float(ends[0]), float(ends[1]), bool(log))


def _value(text: str) -> Any:
    """A choice as the number or the truth value that it is, or as text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
