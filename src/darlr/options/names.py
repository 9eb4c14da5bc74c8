"""The names of options: set options by name, and write options as a command."""

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from shlex import quote
from typing import Any

from darlr.errors import ConfigError, RunError
from darlr.io.hints import perhaps
from darlr.options.checks import spelt
from darlr.options.json import differences, from_json, to_json
from darlr.options.training import RunConfig

Overrides = Mapping[str, Any]
SHORT = {"train": "", "world_model": "model"}  # the prefixes that differ from the names of the fields


def option_name(where: str, field: str) -> str:
    """The name of a field on the command line. where: the prefix of its group of options."""
    name = SHORT.get(field, field)
    return spelt(where, name) if name else where


def dotted(path: str) -> str:
    """The name of the option of a dotted path in JSON: that of "world_model.learning_rate" is "model.learning-rate"."""
    return reduce(option_name, path.split("."), "")


def named(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options in JSON, by the names of the options."""
    return {name: reduce(getitem, path, stored) for name, path in _paths(stored).items()}


def changed(where: str, config: Any, usual: Any) -> list[str]:
    """The names of the options of a group that differ from the usual ones."""
    return [spelt(where, name) for name in differences(to_json(usual), to_json(config))]


def flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of Python by the names of the options.

    `selector={"picks": 30}`, `selector=SelectorConfig(picks=30)`, `selector__picks=30` and `{"selector.picks": 30}` set
    the same option. Numbers of numpy become numbers of Python.
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
    """The options with other values for some of them, by name, as in {"reward.lambda-u": 0.5}.

    Raises ConfigError with a hint for an unknown name, and for a value that its option does not take.
    """
    stored = to_json(config)
    paths = _paths(stored)
    for name, value in options.items():
        inner = [path.removeprefix(f"{name}.") for path in paths if path.startswith(f"{name}.")]
        if name in paths:
            *path, last = paths[name]
            reduce(getitem, path, stored)[last] = to_json(value)
        elif not inner:
            hint = perhaps(name, paths)
            raise ConfigError(f"no option is called {name}" + f"; {hint}" * bool(hint))
        elif value != {}:
            example = f"{name}={{{inner[0]!r}: ...}}"
            raise ConfigError(f"option {name}: is a group of options; give a mapping, such as {example}, not {value!r}")
    try:
        return from_json(RunConfig, stored, "options") if options else config
    except RunError as error:
        names = {".".join(path): name for name, path in paths.items()}
        problem = str(error).removeprefix("options: ")
        raise ConfigError(re.sub(r"option ([\w.]+)", lambda k: f"option {names.get(k[1], k[1])}", problem)) from error


def command_line(config: RunConfig, out: Path, usual: RunConfig | None = None) -> str:
    """The `darlr train` command of these options, which names those that differ from their defaults.

    usual: the defaults of the method, where it has its own.
    """
    default = named(to_json(RunConfig() if usual is None else usual))
    default["method"] = RunConfig().train.method  # the method decides the other defaults
    words = ["darlr", "train", "--out", quote(str(out))]
    for name, value in named(to_json(config)).items():
        prefix, dot, last = name.rpartition(".")
        if value == default[name] or value is None:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--{prefix}{dot}no-{last}")
        else:
            words += [f"--{name}", *(quote(str(part)) for part in (value if isinstance(value, list) else [value]))]
    return " ".join(words)


def _paths(stored: Mapping[str, Any], path: tuple[str, ...] = (), name: str = "") -> dict[str, tuple[str, ...]]:
    """The path in JSON of each option, by the option's name."""
    found: dict[str, tuple[str, ...]] = {}
    for key, value in stored.items():
        here = option_name(name, key)
        found |= _paths(value, (*path, key), here) if isinstance(value, dict) else {here: (*path, key)}
    return found
