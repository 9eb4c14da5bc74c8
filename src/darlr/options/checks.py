"""Checks that raise ConfigError and name the option."""

from collections.abc import Mapping
from typing import Any, TypeVar

from darlr.errors import ConfigError
from darlr.io.hints import perhaps


def require(condition: bool, option: str, problem: str) -> None:
    """Raise ConfigError about `option` unless the condition holds."""
    if not condition:
        raise ConfigError(f"option {option}: {problem}")


T = TypeVar("T")


def find_named(name: str, known: Mapping[str, T], option: str, kind: str, otherwise: str = "") -> T:
    """The value of a name; ConfigError about `option`, with a hint, where it is unknown. otherwise: more advice."""
    if name in known:
        return known[name]
    hint = perhaps(name, known, f"choose from {', '.join(known)}" + f", or {otherwise}" * bool(otherwise))
    raise ConfigError(f"option {option}: no {kind} is called {name!r}; {hint}")


def at_least(least: int, config: Any, names: tuple[str, ...], where: str = "") -> None:
    """Raise ConfigError where an option is below `least`."""
    for name in names:
        value = getattr(config, name)
        require(value >= least, spelt(where, name), f"must be at least {least}, not {value}")


def positive(config: Any, names: tuple[str, ...], where: str = "") -> None:
    """Raise ConfigError where an option is not above 0."""
    for name in names:
        value = getattr(config, name)
        require(value > 0, spelt(where, name), f"must be positive, not {value}")


def not_negative(config: Any, names: tuple[str, ...], where: str = "") -> None:
    """Raise ConfigError where an option is below 0."""
    for name in names:
        value = getattr(config, name)
        require(value >= 0, spelt(where, name), f"must not be negative, not {value}")


def spelt(where: str, name: str) -> str:
    """The name of an option, as `darlr train` spells it. Some commands have a shorter name for it."""
    return (f"{where}.{name}" if where else name).replace("_", "-")
