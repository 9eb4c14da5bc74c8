"""Write dataclasses of options as JSON, and read them back with every name and type checked."""

import contextlib
import dataclasses
import reprlib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from darlr.errors import ConfigError, RunError
from darlr.io.hints import perhaps

Config = TypeVar("Config")


def to_json(config: Any) -> Any:
    """Options as JSON values: dataclasses become objects, tuples arrays, paths strings."""
    if dataclasses.is_dataclass(config):
        return {field.name: to_json(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, (tuple, list)):
        return [to_json(value) for value in config]
    if isinstance(config, Mapping):
        return {key: to_json(value) for key, value in config.items()}
    return str(config) if isinstance(config, Path) else config


def from_json(kind: type[Config], data: Any, source: str) -> Config:
    """The dataclass of which `to_json` gave `data`. source: the file that errors name.

    Raises RunError for an option that is unknown, missing, of a wrong type, or refused by the dataclass.
    """
    return typing.cast(Config, _value(kind, data, "", source))


def differences(old: Any, new: Any) -> dict[str, tuple[Any, Any]]:
    """The old and the new values that differ between two outputs of `to_json`, by dotted name; None where absent."""
    before, after, absent = dict(_flat(old)), dict(_flat(new)), object()
    names = [name for name in before | after if before.get(name, absent) != after.get(name, absent)]
    return {name: (before.get(name), after.get(name)) for name in names}


def _flat(data: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, data


def _value(kind: Any, data: Any, where: str, source: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, data, where, source)
    if origin is Literal:
        if not any(data == choice and type(data) is type(choice) for choice in arguments):
            _refuse(data, f"one of {', '.join(map(repr, arguments))}", where, source)
        return data
    if origin in (typing.Union, types.UnionType):
        return _union(arguments, data, where, source)
    if origin is tuple:
        return _tuple(arguments, data, where, source)
    if kind is Path and isinstance(data, str):
        return Path(data)
    data = float(data) if kind is float and type(data) is int else data
    if type(data) is not kind:  # isinstance would take True for an int
        _refuse(data, getattr(kind, "__name__", str(kind)), where, source)
    return data


def _dataclass(kind: Any, data: Any, where: str, source: str) -> Any:
    if not isinstance(data, Mapping):
        _refuse(data, "an object", where, source)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in data:
        if name not in fields:
            hint = perhaps(str(name), fields, prefix=_join(where, ""))
            raise RunError(f"{source}: unknown option {_join(where, name)}" + f"; {hint}" * bool(hint))
    for name in fields:
        if name not in data:
            raise RunError(
                f"{source}: option {_join(where, name)} is missing; "
                "it was written by another version of darlr: add the option, or make the folder anew"
            )
    values = {name: _value(hints[name], data[name], _join(where, name), source) for name in fields}
    try:
        return kind(**values)
    except ConfigError as error:
        raise RunError(f"{source}: {error}") from error


def _union(choices: tuple[Any, ...], data: Any, where: str, source: str) -> Any:
    if data is None and type(None) in choices:
        return None
    others = [choice for choice in choices if choice is not type(None)]
    if len(others) == 1:
        return _value(others[0], data, where, source)
    for choice in others:
        with contextlib.suppress(RunError):
            return _value(choice, data, where, source)
    _refuse(data, " or ".join(getattr(choice, "__name__", str(choice)) for choice in choices), where, source)


def _tuple(kinds: tuple[Any, ...], data: Any, where: str, source: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        _refuse(data, "an array", where, source)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(data)
    if len(kinds) != len(data):
        _refuse(data, f"an array of {len(kinds)}", where, source)
    return tuple(
        _value(kind, value, f"{where}[{place}]", source)
        for place, (kind, value) in enumerate(zip(kinds, data, strict=True))
    )


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else str(name)


def _refuse(data: Any, expected: str, where: str, source: str) -> typing.NoReturn:
    raise RunError(
        f"{source}: {f'option {where}' if where else 'the content'} must be {expected}, not {reprlib.repr(data)}"
    )
