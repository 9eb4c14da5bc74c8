"""docs/method.md names functions and options that exist, and the defaults that darlr.options has."""

import importlib
import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from darlr.options import RunConfig, TrainConfig

TEXT = (Path(__file__).parents[1] / "docs" / "method.md").read_text("utf-8")
CODE = re.findall(r"`([^`\n]+)`", TEXT)
PARTS = {field.name for config in (TrainConfig, RunConfig) for field in fields(config) if field.name != "train"}
FUNCTIONS = sorted({name for name in CODE if name.startswith("darlr.") and name.count(".") > 1})
OPTIONS = sorted({name for name in CODE if "." in name and name.split(".")[0] in PARTS and " " not in name})
READINGS = re.findall(r"^\|[^|]+\| `([^`]+)` \| `([^`]+)` \|", TEXT.split("## Readings")[1], flags=re.MULTILINE)


def resolve(name):
    """The object behind a dotted name: the longest module, then attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def option(name):
    """The default of an option, looked up in TrainConfig and then in RunConfig; AttributeError when there is none."""
    first = name.split(".")[0]
    value = TrainConfig() if hasattr(TrainConfig(), first) else RunConfig()
    for part in re.sub(r"^model\.", "world_model.", name).split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_exist(name):
    assert callable(resolve(name))


@pytest.mark.parametrize("name", OPTIONS)
def test_options_exist(name):
    option(name)


@pytest.mark.parametrize(("name", "default"), READINGS)
def test_defaults_of_readings(name, default):
    value = option(name)
    assert default == (value if isinstance(value, str) else json.dumps(value))


def test_every_option_marked_as_a_reading_is_in_the_table():
    """Help texts of options mark Readings; each is in the table, by the end of its name."""
    folder = Path(__file__).parents[1] / "src" / "darlr" / "options"
    source = "".join(path.read_text("utf-8") for path in sorted(folder.glob("*.py")))
    text = r'"""(?:(?!""").)*The paper leaves this open\."""'
    marked = set(re.findall(rf"^    (\w+): [^\n]*\n    {text}", source, flags=re.MULTILINE | re.DOTALL))
    assert len(marked) >= 11
    assert marked <= {name.rpartition(".")[2] for name, _ in READINGS}


def test_every_option_of_the_reward_is_named():
    for part in ("reward", "tables", "session", "selector", "recommender"):
        for field in fields(getattr(TrainConfig(), part)):
            if not is_dataclass(getattr(getattr(TrainConfig(), part), field.name)):
                assert f"{part}.{field.name}" in OPTIONS


def test_enough_was_found():
    assert len(FUNCTIONS) > 40
    assert len(OPTIONS) > 50
    assert len(READINGS) > 20


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (Path(__file__).parents[1] / "docs" / target).exists(), target
