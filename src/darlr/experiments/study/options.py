"""Options by their name on the command line: set them on a configuration, and spell a configuration as a command."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from darlr.errors import ConfigError
from darlr.experiments.checks import option_name
from darlr.options import RunConfig
from darlr.options.json import from_json, to_json

Overrides = Mapping[str, Any]


def override(config: RunConfig, options: Overrides) -> RunConfig:
    """`config` with options set, by their names on the command line without dashes, e.g. {"reward.lambda-u": 0.5}.

    Raises ConfigError for a name that is no option, with a hint, and for a value that its option refuses.
    """
    if not options:
        return config
    stored = to_json(config)
    places = _places(stored)
    for name, value in options.items():
        if name not in places:
            close = difflib.get_close_matches(name, places, n=1)
            raise ConfigError(f"no option is called {name}" + (f"; perhaps {close[0]} is meant" if close else ""))
        *path, last = places[name]
        inside = stored
        for key in path:
            inside = inside[key]
        inside[last] = to_json(value)
    return from_json(RunConfig, stored, "this row's options")


def command_line(config: RunConfig, out: Path) -> str:
    """The `darlr train` command of a configuration: every option that differs from its default."""
    stored, default = to_json(config), to_json(RunConfig())
    words = ["darlr", "train", "--out", quote(str(out))]
    for name, path in _places(stored).items():
        value, usual = _at(stored, path), _at(default, path)
        if value == usual or value is None:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--{_negated(name)}")
        else:
            words += [f"--{name}", *(quote(str(part)) for part in (value if isinstance(value, list) else [value]))]
    return " ".join(words)


def _negated(name: str) -> str:
    """tyro's spelling of an option that is off."""
    prefix, dot, last = name.rpartition(".")
    return f"{prefix}{dot}no-{last}"


def _places(stored: Mapping[str, Any], path: tuple[str, ...] = (), name: str = "") -> dict[str, tuple[str, ...]]:
    """Command-line name -> path in the JSON of a configuration, for every option."""
    found: dict[str, tuple[str, ...]] = {}
    for key, value in stored.items():
        here = option_name(name, key)
        found |= _places(value, (*path, key), here) if isinstance(value, dict) else {here: (*path, key)}
    return found


def _at(stored: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        stored = stored[key]
    return stored
