import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darlr.errors import RunError
from darlr.options import SessionConfig, TrainConfig
from darlr.options.json import differences, from_json, to_json


@dataclass(frozen=True)
class Inner:
    widths: tuple[int, ...] = (1, 2)
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    count: int = 3
    share: float = 0.5
    on: bool = True
    pair: tuple[float, str] = (1.0, "x")
    folder: Path | None = None
    either: int | str = 1
    inner: Inner = field(default_factory=Inner)


outers = st.builds(
    Outer,
    count=st.integers(),
    share=st.floats(allow_nan=False, allow_infinity=False),
    on=st.booleans(),
    pair=st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.text()),
    folder=st.none() | st.sampled_from([Path("a"), Path("/b c/d")]),
    either=st.integers() | st.text(),
    inner=st.builds(Inner, widths=st.lists(st.integers()).map(tuple), kind=st.sampled_from(["a", "b"])),
)


@given(outers)
def test_round_trip_through_text(config: Outer) -> None:
    again = from_json(Outer, json.loads(json.dumps(to_json(config))), "f")
    assert again == config
    assert isinstance(again.inner.widths, tuple)
    assert type(again.share) is float


def test_round_trip_of_the_real_options() -> None:
    config = TrainConfig(seed=3, session=SessionConfig(window=4))
    assert from_json(TrainConfig, json.loads(json.dumps(to_json(config))), "f") == config


def _with(name: str, value: Any) -> Any:
    data = to_json(Outer())
    *parents, last = name.split(".")
    place = data
    for parent in parents:
        place = place[parent]
    place[last] = value
    return data


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cuont", 1, r"f: unknown option cuont; perhaps you meant 'count'"),
        ("inner.widhts", [], r"f: unknown option inner\.widhts; perhaps you meant 'inner\.widths'"),
        ("zzz", 1, r"f: unknown option zzz$"),
        ("count", "3", r"option count must be int, not '3'"),
        ("count", True, r"option count must be int, not True"),
        ("count", 3.0, r"option count must be int, not 3\.0"),
        ("share", "x", r"option share must be float"),
        ("share", True, r"option share must be float"),
        ("on", 1, r"option on must be bool"),
        ("pair", [1.0], r"option pair must be an array of 2"),
        ("pair", [1.0, 2], r"option pair\[1\] must be str"),
        ("folder", 3, r"option folder must be Path"),
        ("either", 1.5, r"option either must be int or str"),
        ("inner", 3, r"option inner must be an object"),
        ("inner.widths", [1, "2"], r"option inner\.widths\[1\] must be int"),
        ("inner.kind", "c", r"option inner\.kind must be one of 'a', 'b', not 'c'"),
    ],
)
def test_wrong_content_is_refused_by_name(name: str, value: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        from_json(Outer, _with(name, value), "f")


def test_missing_option_is_refused() -> None:
    data = to_json(Outer())
    del data["inner"]["kind"]
    with pytest.raises(RunError, match=r"option inner\.kind is missing"):
        from_json(Outer, data, "f")


def test_the_dataclass_has_the_last_word() -> None:
    data = to_json(SessionConfig()) | {"turns": 0}
    with pytest.raises(RunError, match=r"f: option session\.turns: must be at least 1"):
        from_json(SessionConfig, data, "f")


def test_integers_are_taken_as_floats() -> None:
    share = from_json(Outer, _with("share", 1), "f").share
    assert share == 1.0
    assert type(share) is float


def test_differences_name_nested_options() -> None:
    config = TrainConfig()
    other = dataclasses.replace(config, seed=1, session=SessionConfig(window=4))
    assert differences(to_json(config), to_json(config)) == {}
    assert differences(to_json(config), to_json(other)) == {"seed": (0, 1), "session.window": (1, 4)}
    assert differences({"a": 1}, {"b": None}) == {"a": (1, None), "b": (None, None)}
