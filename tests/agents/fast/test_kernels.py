"""Compiled kernels: one graph each, and the same numbers."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest
import torch

from darlr.agents.fast.kernels import PLAIN, Fallback, Kernels, evaluate, evaluate_picks, require_compiler
from darlr.agents.learner import learn
from darlr.errors import DarlrWarning, MachineError
from darlr.simulation.environment import turn
from tests import forked
from tests.agents.test_devices import prepared

DROPOUT = {"tracker__dropout": 0.2, "selector_tracker__dropout": 0.2}
LOW = {"recommender__precision": "bfloat16", "selector__candidates": 6}
PRIOR = {"recommender__prior": 1.0}
# Tracing takes seconds a case: these are every kind of agent, reward, reference rule and exit once.
TRACED: list[tuple[str, dict[str, Any]]] = [
    ("dorl", PRIOR | {"recommender__caution": 9.0, "session__exit": "category"}),
    ("roler", {"session__repeats": True, "tracker__kind": "mean", "recommender__user_in_state": False}),
    ("darlr", PRIOR | {"recommender__belief": 1.0, "selector__kind": "random", "session__tastes": "drawn"}),
    ("darlr", DROPOUT | LOW),
]
COMPILED = ("mbpo", {"tracker__kind": "mean", "session__exit": "category"})
COMPILER = shutil.which("g++") is not None
SPACES = any(" " in place for place in (torch.__file__, gettempdir(), os.environ.get("TORCHINDUCTOR_CACHE_DIR", "")))


@pytest.fixture(scope="module")
def metrics(once: Callable[[str, Callable[[Path], object]], Path]) -> list[Any]:
    """[plain, compiled] metrics of two updates, for each case; a graph in pieces fails."""

    def make(folder: Path) -> None:
        cases = [("eager", *case) for case in TRACED]
        cases += [("inductor", *COMPILED)] if COMPILER and not SPACES else []
        done = forked.run("from tests.agents.fast.compiled import main; main()", json.dumps(cases))
        assert done.returncode == 0, done.stderr
        folder.mkdir()
        (folder / "metrics").write_text(done.stdout)

    return [json.loads(line) for line in (once("kernels", make) / "metrics").read_text().splitlines()]


def test_every_kernel_is_one_graph_with_the_same_results(metrics: list[Any]) -> None:
    """Dropout and bfloat16 too."""
    for (method, more), (plain, compiled) in zip(TRACED, metrics, strict=False):
        assert plain == compiled, (method, more)


@pytest.mark.skipif(not COMPILER, reason="needs a compiler of C++")
@pytest.mark.skipif(SPACES, reason="PyTorch's compiler cannot handle spaces in the paths that it works in")
def test_compiled_for_the_cpu_learning_is_the_same_to_rounding(metrics: list[Any]) -> None:
    assert len(metrics) == len(TRACED) + 1
    for one, other in zip(*metrics[-1], strict=True):
        assert other == pytest.approx(one, rel=1e-5, abs=1e-6)


def test_where_the_compiler_fails_training_goes_on_plain_and_says_so_once() -> None:
    from torch._dynamo.exc import BackendCompilerFailed

    def refuse(*_: object) -> object:
        raise BackendCompilerFailed(refuse, RuntimeError("no space left"), None)

    fallback = Fallback()
    twins = (fallback.of(one, refuse) for one in (turn, evaluate, evaluate_picks))
    learner, simulator = prepared("darlr", LOW)
    plain = [learn(learner, simulator, 8) for _ in range(2)]
    learner, simulator = prepared("darlr", LOW)
    learner.kernels = Kernels(*twins, fallback)
    with pytest.warns(DarlrWarning, match=r"goes on plain \(.*no space left") as said:
        tried = [learn(learner, simulator, 8) for _ in range(2)]
    assert [str(one) for one in tried] == [str(one) for one in plain]
    assert len(said) == 1
    assert learner.kernels is PLAIN


def test_pytorch_in_a_path_with_a_space_compiles_nothing(monkeypatch):
    monkeypatch.setattr(torch, "__file__", "/home/me/my work/.venv/torch/__init__.py")
    with pytest.raises(MachineError, match=r"option compile: .*/home/me/my work/.*spaces"):
        require_compiler("cpu")


@pytest.mark.parametrize("name", ["TMPDIR", "TORCHINDUCTOR_CACHE_DIR"])
def test_a_compiler_that_works_in_a_path_with_a_space_is_refused(name, tmp_path, monkeypatch):
    (tmp_path / "my work").mkdir()
    monkeypatch.setattr(torch, "__file__", "/torch/__init__.py")
    monkeypatch.setenv(name, str(tmp_path / "my work"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # read TMPDIR again
    with pytest.raises(MachineError, match=rf"option compile: .*/my work, .* spaces .* variable {name} "):
        require_compiler("cpu")


def test_without_a_compiler_nothing_starts(monkeypatch):
    monkeypatch.setattr(torch, "__file__", "/torch/__init__.py")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MachineError, match=r"option compile: .*no-such-compiler"):
        require_compiler("cpu")
