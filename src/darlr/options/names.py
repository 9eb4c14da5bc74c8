"""Names of options on the command line: set options by name, and write options as a command."""

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from darlr.errors import ConfigError, RunError
from darlr.io.hints import perhaps
from darlr.options.checks import spelt
from darlr.options.json import differences, from_json, to_json
from darlr.options.training import RunConfig

Overrides = Mapping[str, Any]
SHORT = {"train": "", "world_model": "model"}  # prefixes that differ from the name of the field


def option_name(where: str, field: str) -> str:
    """The name of a field on the command line. where: the prefix of its group of options."""
    name = SHORT.get(field, field)
    return spelt(where, name) if name else where


def named(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options in JSON by their names on the command line."""
    return {name: _at(stored, path) for name, path in _paths(stored).items()}


def changed(where: str, config: Any, usual: Any) -> list[str]:
    """The options of a group that differ from the usual ones, as the command line spells them."""
    return [f"--{spelt(where, name)}" for name in differences(to_json(usual), to_json(config))]


def flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of Python as names on the command line.

    `selector={"picks": 30}`, `selector=SelectorConfig(picks=30)`, `selector__picks=30` and `{"selector.picks": 30}` set
    the same option. A number of numpy counts as the number of Python.
    """
    found: dict[str, Any] = {}
    for key, value in options.items():
        name = key.replace("__", ".").replace("_", "-")
        name = "model" if name == "world-model" else name
        inside = to_json(value) if is_dataclass(value) and not isinstance(value, type) else value
        if isinstance(inside, Mapping) and inside:
            found |= {f"{name}.{inner}" if name != "train" else inner: one for inner, one in flat(inside).items()}
        else:
            found[name] = inside.item() if hasattr(inside, "item") and not getattr(inside, "shape", ()) else inside
    return found


def override(config: RunConfig, options: Overrides) -> RunConfig:
    """The same with other values of some options, by name, as in {"reward.lambda-u": 0.5}.

    Raises ConfigError with a hint for an unknown name, and for a value that its option refuses.
    """
    if not options:
        return config
    stored = to_json(config)
    paths = _paths(stored)
    for name, value in options.items():
        if name not in paths and any(path.startswith(f"{name}.") for path in paths):
            if value == {}:
                continue
            example = next(path for path in paths if path.startswith(f"{name}.")).removeprefix(f"{name}.")
            raise ConfigError(
                f"option {name}: is a group of options; give a mapping, such as {name}={{{example!r}: ...}}, "
                f"not {value!r}"
            )
        if name not in paths:
            hint = perhaps(name, paths)
            raise ConfigError(f"no option is called {name}" + f"; {hint}" * bool(hint))
        *path, last = paths[name]
        inside = stored
        for key in path:
            inside = inside[key]
        inside[last] = to_json(value)
    try:
        return from_json(RunConfig, stored, "options")
    except RunError as error:
        names = {".".join(path): name for name, path in paths.items()}
        problem = str(error).removeprefix("options: ")
        raise ConfigError(re.sub(r"option ([\w.]+)", lambda k: f"option {names.get(k[1], k[1])}", problem)) from error


def command_line(config: RunConfig, out: Path, usual: RunConfig | None = None) -> str:
    """The `darlr train` command that gives these options. It names those that differ from their defaults.

    usual: the defaults of the method, where it has its own.
    """
    stored, default = to_json(config), to_json(RunConfig() if usual is None else usual)
    default["train"]["method"] = RunConfig().train.method  # it decides the other defaults
    words = ["darlr", "train", "--out", quote(str(out))]
    for name, path in _paths(stored).items():
        value, usual = _at(stored, path), _at(default, path)
        if value == usual or value is None:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--{_negated(name)}")
        else:
            words += [f"--{name}", *(quote(str(part)) for part in (value if isinstance(value, list) else [value]))]
    return " ".join(words)


def _negated(name: str) -> str:
    """The spelling of an option that is off."""
    prefix, dot, last = name.rpartition(".")
    return f"{prefix}{dot}no-{last}"


def _paths(stored: Mapping[str, Any], path: tuple[str, ...] = (), name: str = "") -> dict[str, tuple[str, ...]]:
    """Name on the command line -> path in the JSON, for every option."""
    found: dict[str, tuple[str, ...]] = {}
    for key, value in stored.items():
        here = option_name(name, key)
        found |= _paths(value, (*path, key), here) if isinstance(value, dict) else {here: (*path, key)}
    return found


def _at(stored: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        stored = stored[key]
    return stored
