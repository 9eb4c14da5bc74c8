"""The functions that training spends its time in: as they are, or compiled for the shapes of a run.

All of them are tensors alone, so each is one graph: PyTorch's compiler joins its small operators into few loops, on a
GPU into few launches. The results are the same to rounding.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from darlr.agents.recommender import Observation, Recommender
from darlr.agents.rollout import Turn
from darlr.agents.selector import Selector
from darlr.errors import MachineError
from darlr.simulation.environment import TurnFunction, turn


def evaluate(recommender: Recommender, seen: Observation, own: Tensor | None) -> tuple[Tensor, Tensor]:
    """The trunk's output [n, h] and the value [n] of what the recommender saw; own: `recommender.own(seen.user)`."""
    hidden = recommender.heads.trunk(recommender.state(seen, own))
    return hidden, recommender.heads.value(hidden)


def evaluate_picks(selector: Selector, state: Tensor, users: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """The trunk's output [n, h] and the value [n] before picks, by s_rec [n, s] and what `Selector.read` takes."""
    hidden = selector.read(selector.from_state(state), users, there)
    return hidden, selector.heads.value(hidden)


@dataclass(frozen=True)
class Kernels:
    """A turn of the simulation, and past decisions of either agent evaluated by its current networks."""

    turn: TurnFunction[Turn] = turn
    evaluate: Callable[[Recommender, Observation, Tensor | None], tuple[Tensor, Tensor]] = evaluate
    evaluate_picks: Callable[[Selector, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] = evaluate_picks


PLAIN = Kernels()
P = ParamSpec("P")
R = TypeVar("R")


def compiled(device: str, backend: str = "inductor") -> Kernels:
    """Kernels that compile themselves at their first call, and once more for any other shape.

    Raises MachineError without what PyTorch's compiler needs (`require_compiler`).
    """
    options: dict[str, Any] | None = None
    if backend == "inductor":
        require_compiler(device)
        # dropout draws what it would draw uncompiled; on a CPU, no Python stands between the loops
        options = {"fallback_random": True, "cpp_wrapper": torch.device(device).type == "cpu"}
    torch.compiler.reset()  # the shapes of an earlier run would count as shapes of this one, of which few are allowed

    def whole(function: Callable[P, R]) -> Callable[P, R]:
        return torch.compile(function, fullgraph=True, dynamic=False, backend=backend, options=options)

    return Kernels(whole(turn), whole(evaluate), whole(evaluate_picks))


def require_compiler(device: str) -> None:
    """Raise MachineError where PyTorch's compiler lacks what it needs: on a CPU a compiler of C++ and paths without
    spaces, on a GPU Triton."""
    if torch.device(device).type == "cuda":
        if find_spec("triton") is None:
            raise MachineError("option compile: PyTorch compiles for a GPU with Triton: pip install triton")
        return
    installed = Path(torch.__file__).parent
    if " " in str(installed):
        raise MachineError(
            f"option compile: PyTorch is installed in {installed}, and its compiler cannot handle spaces in that path; "
            "install in a folder without them, or leave the option out"
        )
    # It puts compiled code into the one folder and headers into the other, and quotes neither.
    places = {"TMPDIR": gettempdir(), "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR", "/")}
    for name, place in places.items():
        folder = os.path.abspath(place)
        if " " in folder:
            raise MachineError(
                f"option compile: PyTorch's compiler works in {folder}, and cannot handle spaces in that path; set the "
                f"environment variable {name} to a folder without them, or leave the option out"
            )
    name = os.environ.get("CXX", "g++")
    if shutil.which(name) is None:
        raise MachineError(
            f"option compile: PyTorch compiles for the CPU with {name}, which is not there; "
            "install it, name another in the environment variable CXX, or leave the option out"
        )
