"""The functions in which training spends its time: plain, or compiled for the shapes of a run.

Each is one graph of tensors. PyTorch's compiler joins its small operators into few loops, on a GPU into few launches.
The results are the same up to rounding.
"""

import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from tempfile import gettempdir
from typing import Any

import torch
from torch import Tensor

from darlr.agents.observation import Observation
from darlr.agents.recommender import Recommender
from darlr.agents.rollout import Turn
from darlr.agents.selector import Selector
from darlr.errors import DarlrWarning, MachineError
from darlr.simulation.environment import TurnFunction, turn


def evaluate(recommender: Recommender, seen: Observation, own: Tensor | None) -> tuple[Tensor, Tensor]:
    """The trunk's output [n, h] and the value [n] of observations; own: `recommender.own(seen.user)`."""
    hidden = recommender.heads.trunk(recommender.state(seen, own))
    return hidden, recommender.heads.value(hidden)


def evaluate_picks(selector: Selector, state: Tensor, users: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """The trunk's output [n, h] and the value [n] before picks; state: s_rec [n, s]; others: as in `Selector.read`."""
    hidden = selector.read(selector.from_state(state), users, there)
    return hidden, selector.heads.value(hidden)


@dataclass(frozen=True)
class Kernels:
    """A turn of the simulation, and the evaluation of past decisions by each agent's current networks.

    fallback: of compiled ones.
    """

    turn: TurnFunction[Turn] = turn
    evaluate: Callable[[Recommender, Observation, Tensor | None], tuple[Tensor, Tensor]] = evaluate
    evaluate_picks: Callable[[Selector, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] = evaluate_picks
    fallback: "Fallback | None" = None

    @property
    def failed(self) -> bool:
        """Whether they are plain from now on, because the compiler has failed."""
        return self.fallback is not None and self.fallback.failed


PLAIN = Kernels()


class Fallback:
    """Compiled functions, all of which give way to their plain twins once the compiler has failed."""

    def __init__(self) -> None:
        self.failed = False

    def of(self, plain: Callable[..., Any], fast: Callable[..., Any]) -> Callable[..., Any]:
        """A function that computes what `plain` and its compiled twin `fast` do. The first failure is a DarlrWarning.

        The compiler fails before anything is computed, so that nothing is lost.
        """
        from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException  # seconds to import

        def call(*arguments: Any) -> Any:
            if not self.failed:
                try:
                    return fast(*arguments)
                except (TorchDynamoException, FailOnRecompileLimitHit) as error:
                    self.failed = True
                    reason = " ".join(str(error).split("\n")[:2])
                    note = f"option compile: PyTorch's compiler failed, so that training goes on plain ({reason})"
                    warnings.warn(note, DarlrWarning, stacklevel=2)
            return plain(*arguments)

        return call


def compiled(device: str, backend: str = "inductor") -> Kernels:
    """Kernels that are compiled at the first call with each shape; MachineError as from `require_compiler`.

    They are plain from the moment when the compiler fails, which a DarlrWarning says.
    """
    options: dict[str, Any] | None = None
    if backend == "inductor":
        require_compiler(device)
        # Dropout draws the numbers that it would draw uncompiled; on a CPU, no Python runs between the loops.
        options = {"fallback_random": True, "cpp_wrapper": torch.device(device).type == "cpu"}
    torch.compiler.reset()  # the compiler allows few shapes, and those of an earlier run would count
    whole: dict[str, Any] = {"fullgraph": True, "dynamic": False, "backend": backend, "options": options}
    fallback = Fallback()
    first, second, third = (fallback.of(one, torch.compile(one, **whole)) for one in (turn, evaluate, evaluate_picks))
    return Kernels(first, second, third, fallback)


def require_compiler(device: str) -> None:
    """Raise MachineError unless PyTorch can compile: a GPU needs Triton, a CPU a C++ compiler and no space in paths."""
    if torch.device(device).type == "cuda":
        if find_spec("triton") is None:
            raise MachineError("option compile: PyTorch compiles for a GPU with Triton: pip install triton")
        return
    # The compiler does not quote the folders of PyTorch, of compiled code and of headers.
    cache, elsewhere = "TORCHINDUCTOR_CACHE_DIR", "set the environment variable {} to a folder without them"
    for place, remedy in (
        (os.path.dirname(torch.__file__), "install PyTorch in a folder without them"),
        (gettempdir(), elsewhere.format("TMPDIR")),
        (os.environ.get(cache, "/"), elsewhere.format(cache)),
    ):
        if " " in os.path.abspath(place):
            raise MachineError(
                f"option compile: PyTorch's compiler works in {os.path.abspath(place)}, and cannot handle spaces in "
                f"that path; {remedy}, or leave the option out"
            )
    name = os.environ.get("CXX", "g++")
    if shutil.which(name) is None:
        raise MachineError(
            f"option compile: PyTorch compiles for the CPU with {name}, which is not there; "
            "install it, name another in the environment variable CXX, or leave the option out"
        )
