"""For r -> a r + b every method learns the same policy, and what is told of it is the same up to the unit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.reward_units import prepared
from darlr.cli.main import main
from darlr.options import SyntheticConfig
from darlr.serving.folder import read_policy

WORLD = SyntheticConfig(users=24, items=16, categories=4, events_per_user=8)
PLUS = "--model.kind mixed --model.embedding 2 --reward.start frozen --recommender.prior 10 --recommender.belief 1 "
PLUS += "--recommender.caution 9"
METHODS = {name: ["--method", name] for name in ("mbpo", "mopo", "ips", "dorl", "roler", "gt", "darlr")}
METHODS["darlr+"] = ["--method", "darlr", *PLUS.split()]
A, B = 0.01, -100.0
REWARDS = ("mean", "interval", "iqm", "iqm_interval", "each")  # of table.json, in the log's unit


def trained(folder: Path, a: float, b: float, options: list[str]) -> Path:
    data, run = prepared(folder / "data", a, b, WORLD), folder / "run"
    interrupted = "frozen" in options  # one method shows what resuming does
    assert main(["train", "--data", data, "--out", str(run), *options, "--epochs", "1"]) == 0
    if interrupted:
        assert main(["train", "--out", str(run), "--resume", "--epochs", "2"]) == 0
    if interrupted or "mbpo" in options:  # lists, sessions and their rewards are the same code for all methods
        assert main(["evaluate", str(run), "--no-pictures"]) == 0
    return run


@pytest.fixture(scope="module")
def plus(tmp_path_factory: pytest.TempPathFactory, tiny: list[str]) -> Path:
    """A run of DARLR+ on rewards as they are; tests only read it."""
    return trained(tmp_path_factory.mktemp("plus"), 1.0, 0.0, [*tiny, *METHODS["darlr+"]])


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory, tiny: list[str]) -> tuple[Path, Path]:
    """Runs of MBPO in both units. Other methods learn in their world models."""
    one, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    options = [*tiny, *METHODS["mbpo"]]
    return trained(one, 1.0, 0.0, options), trained(other, A, B, options)


def rows(run: Path) -> list[dict[str, Any]]:
    table = run / "table.json"
    found: list[dict[str, Any]] = json.loads(table.read_text("utf-8"))["rows"] if table.exists() else []
    return found


def epochs(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


def recommended(run: Path, a: float, b: float) -> list[Any]:
    history = [(3, a * 4.5 + b), (7, a * 1.25 + b)]
    return read_policy(run).recommend(5, 6, history=history).rows()


@pytest.mark.parametrize("name", METHODS)
def test_the_unit_of_rewards_changes_no_policy(
    name: str, plus: Path, simple: tuple[Path, Path], tmp_path: Path, tiny: list[str]
) -> None:
    options, (first, other) = [*tiny, *METHODS[name]], simple
    if name == "darlr+":
        first, other = plus, trained(tmp_path, A, B, options)
    elif name != "mbpo":
        own = name == "ips"  # its world model is weighted
        given = [[] if own else ["--world", str(run / "world")] for run in simple]
        first = trained(tmp_path / "first", 1.0, 0.0, [*options, *given[0]])
        other = trained(tmp_path / "other", A, B, [*options, *given[1]])
    assert recommended(first, 1.0, 0.0) == recommended(other, A, B)
    for one, two in zip(rows(first), rows(other), strict=True):
        assert one["name"] == two["name"]
        assert (one["length"], one["coverage"]) == (two["length"], two["coverage"]), one["name"]
        # a sum over L turns is a sum of a r, and L times b
        assert two["mean"] == pytest.approx(A * one["mean"] + B * one["length"], rel=1e-5), one["name"]
    for one, two in zip(epochs(first), epochs(other), strict=True):
        for column in ("reward", "estimate", "penalty", "turns", "value_error", "grad_norm", "greedy_gain", "kept"):
            assert one[column] == two[column], column
        assert two["R_tra"] == pytest.approx(A * one["R_tra"] + B * one["Length"], rel=1e-5)
        assert two["greedy_return"] == pytest.approx(A * one["greedy_return"] + B * length(one), rel=1e-4)
        if "held_out_frozen" in one:
            assert two["held_out_frozen"] == pytest.approx(A * one["held_out_frozen"], rel=1e-5)


def length(row: dict[str, Any]) -> float:
    """Turns of the greedy sessions by which the best epoch is chosen."""
    return float(row["greedy_length"])


def test_a_power_of_two_moves_not_a_bit(plus: Path, tmp_path: Path, tiny: list[str]) -> None:
    first, other = plus, trained(tmp_path / "1024", 1024.0, 0.0, [*tiny, *METHODS["darlr+"]])
    assert recommended(first, 1.0, 0.0) == recommended(other, 1024.0, 0.0)
    for one, two in zip(rows(first), rows(other), strict=True):
        for column in REWARDS:
            assert np.array_equal(1024 * np.asarray(one[column]), np.asarray(two[column])), (one["name"], column)
    for one, two in zip(epochs(first), epochs(other), strict=True):
        assert 1024 * one["R_tra"] == two["R_tra"]
        assert 1024 * one["greedy_return"] == two["greedy_return"]
