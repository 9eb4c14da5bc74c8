"""Exit rules: when a user leaves (method.md section 2). They are built from logs and features alone.

A rule is one object. It says who leaves, given the recent items and the action, and which items would end the session.
A new rule is one file with such a class, and one line in `EXITS` or a call of `register` from outside the package.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.errors import ConfigError
from darlr.options import SessionConfig
from darlr.options.checks import find_named
from darlr.simulation.exits import category, distance, none
from darlr.simulation.exits.category import CategoryExit
from darlr.simulation.exits.distance import DistanceExit
from darlr.simulation.exits.none import Never, never
from darlr.world.tables import World

__all__ = [
    "CategoryExit", "DistanceExit", "Exit", "ExitKind", "Never", "build_exit", "moved", "never", "register", "resolve",
]  # fmt: skip


@runtime_checkable
class Exit(Protocol):
    """An exit rule, a frozen dataclass. recent: the last `window` items, int64 [B, N], newest last, -1 for none."""

    @property
    def window(self) -> int:
        """N: how many recent items the rule looks at."""
        ...

    def leaves(self, recent: Tensor, action: Tensor) -> Tensor:
        """Whether the item `action`, int64 [B], makes the user leave; bool [B]."""
        ...

    def ending(self, recent: Tensor) -> Tensor:
        """Which of all items would make the user leave; bool [B, I]."""
        ...


class ExitKind(NamedTuple):
    """One value of the option `session.exit`.

    build: the rule on a log's items; ConfigError where they lack what it needs. of_world: the rule on a World's items,
    which a policy heeds (`recommender.caution`); None where the World does not hold what it needs.
    """

    build: Callable[[SessionConfig, InteractionLog], Exit]
    of_world: Callable[[SessionConfig, World], CategoryExit | None] = lambda config, world: None


EXITS: dict[str, ExitKind] = {
    "none": ExitKind(none.build),
    "category": ExitKind(category.build, category.of_world),
    "distance": ExitKind(distance.build),
}


def register(name: str, kind: ExitKind) -> None:
    """Make `kind` a value of the option `session.exit`; raises ConfigError for a name that is taken."""
    if name == "auto" or name in EXITS:
        raise ConfigError(f"an exit rule is called {name!r} already; choose another name")
    EXITS[name] = kind


def find(name: str) -> ExitKind:
    """The kind of that name; ConfigError with a hint where there is none."""
    return find_named(name, EXITS, "session.exit", "exit rule")


def resolve(config: SessionConfig, log: InteractionLog) -> SessionConfig:
    """Replace `exit = auto` by what the data set names."""
    return replace(config, exit=log.exit) if config.exit == "auto" else config


def build_exit(config: SessionConfig, log: InteractionLog, device: str | torch.device = "cpu") -> Exit:
    """The rule that `config` names (resolved or not), on `device`.

    Raises ConfigError when the log lacks what the rule needs.
    """
    config = resolve(config, log)
    return moved(find(config.exit).build(config, log), device)


R = TypeVar("R")


def moved(rule: R, device: str | torch.device) -> R:
    """The same rule with its tensors on another device."""
    if not is_dataclass(rule):
        return rule
    tensors: dict[str, Any] = {
        field.name: value.to(device) for field in fields(rule) if isinstance(value := getattr(rule, field.name), Tensor)
    }
    return replace(rule, **tensors) if tensors else rule  # type: ignore[type-var]
