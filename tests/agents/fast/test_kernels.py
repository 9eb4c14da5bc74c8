"""Compiled kernels: one graph each, and the same numbers."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from tempfile import gettempdir

import pytest
import torch

from darlr.agents.fast.kernels import require_compiler
from darlr.errors import MachineError
from tests.agents.test_devices import CASES


def both(backend, cases):
    """[plain, compiled] metrics of two updates, for each case; a graph in pieces fails."""
    command = [sys.executable, "-m", "tests.agents.fast.compiled", backend, json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_kernel_is_one_graph_with_the_same_results():
    """Every kind of agent, exit and reference rule; dropout and bfloat16 too."""
    dropout = {"tracker__dropout": 0.2, "selector_tracker__dropout": 0.2}
    low = {"recommender__precision": "bfloat16", "selector__candidates": 6}
    # tracing takes seconds a case: these are every kind of agent, reward, reference rule and exit once
    cases = [CASES[1], CASES[2], *CASES[5:9], ("darlr", dropout | low)]
    for (method, more), (plain, compiled) in zip(cases, both("eager", cases), strict=True):
        assert plain == compiled, (method, more)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a compiler of C++")
@pytest.mark.skipif(
    any(" " in place for place in (torch.__file__, gettempdir(), os.environ.get("TORCHINDUCTOR_CACHE_DIR", ""))),
    reason="PyTorch's compiler cannot handle spaces in the paths that it works in",
)
def test_compiled_for_the_cpu_learning_is_the_same_to_rounding():
    ((plain, compiled),) = both("inductor", [("dorl", {"tracker__kind": "mean", "session__exit": "category"})])
    for one, other in zip(plain, compiled, strict=True):
        assert other == pytest.approx(one, rel=1e-5, abs=1e-6)


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
