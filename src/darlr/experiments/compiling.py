"""Whether a run compiles its inner loop: where the planned steps repay what compiling takes. The plan decides it.

PyTorch keeps compiled code in a folder. There a run leaves a mark, so that a later run with the same loop knows that it
need not be compiled again.
"""

import contextlib
import getpass
import os
import re
from dataclasses import dataclass, replace
from hashlib import sha256
from json import dumps
from pathlib import Path
from tempfile import gettempdir
from typing import Literal

import torch

from darlr import __version__
from darlr.agents.fast.kernels import require_compiler
from darlr.agents.references import learns
from darlr.errors import MachineError
from darlr.methods import find
from darlr.options import RunConfig, TrainConfig
from darlr.options.json import to_json

FREE = ("epochs", "steps", "keep", "seed", "threads", "compile", "diagnostics")  # options that no compiled code reads


@dataclass(frozen=True)
class Loop:
    """A kind of inner loop, and the number of steps that repay its compiling, measured (docs/benchmarks.md).

    new: where it is compiled. kept: where PyTorch has kept the code.
    """

    name: str
    new: int
    kept: int


SELECTING = Loop("a selector", 2_000_000, 200_000)
ATTENDING = Loop("a Transformer", 5_000_000, 500_000)
SMALL = Loop("one small network", 20_000_000, 2_000_000)


@dataclass(frozen=True)
class Choice:
    """Whether a run is compiled, and why, as one sentence."""

    compile: Literal["on", "off"]
    reason: str


def loop_of(train: TrainConfig) -> Loop:
    """The kind of a method's inner loop."""
    if find(train.method).references and learns(train.selector):
        return SELECTING
    return ATTENDING if train.recommender.tracker.kind == "transformer" else SMALL


def choose(config: RunConfig, users: int, items: int) -> Choice:
    """Decide `train.compile = auto`. users, items: of the scope; all other options must be decided."""
    train, loop = config.train, loop_of(config.train)
    kept, steps = _mark(config, users, items).exists(), train.epochs * train.steps
    least, where = (loop.kept, "even where the code is kept") if kept else (loop.new, "where it is compiled anew")
    repays = f"a loop with {loop.name} repays that from {least:,} steps on"
    why = None
    if torch.device(train.device).type != "cpu":
        why = "what that saves was not measured on a GPU"
    elif train.recommender.slate:
        why = "what that saves was not measured with slates"
    elif steps < least:
        why = f"{repays} {where}"
    else:
        try:
            require_compiler(train.device)
        except MachineError as error:
            why = str(error).removeprefix("option compile: ")
    if why is not None:
        return Choice("off", f"the inner loop is not compiled: {why}")
    why = "this machine has compiled it before" if kept else repays
    return Choice("on", f"the inner loop is compiled: {why}; results differ from plain ones by rounding")


def remember(config: RunConfig, users: int, items: int) -> None:
    """Say for later runs that PyTorch keeps the code of this one; nothing happens where its folder is not writable."""
    with contextlib.suppress(OSError):
        _mark(config, users, items).touch()


def as_begun(asked: RunConfig, begun: RunConfig) -> RunConfig:
    """The options with which a run is resumed: `compile = auto` is what the run began with."""
    train = asked.train
    return replace(asked, train=replace(train, compile=begun.train.compile)) if train.compile == "auto" else asked


def plainly(config: RunConfig) -> RunConfig:
    """The options of a run that auto does not compile, so that it gives the same bits on every call and machine."""
    return as_begun(config, replace(config, train=replace(config.train, compile="off")))


def _mark(config: RunConfig, users: int, items: int) -> Path:
    train = {name: value for name, value in to_json(config.train).items() if name not in FREE}
    world = config.data, config.world_model.kind, config.world_model.estimates, users, items
    parts = (__version__, torch.__version__, torch.backends.cpu.get_cpu_capability(), train, world)
    return _kept_code() / f"darlr-{sha256(dumps(parts).encode()).hexdigest()[:16]}"


def _kept_code() -> Path:
    """PyTorch's folder of compiled code; its own function for it takes seconds to import."""
    user = re.sub(r'[\\/:*?"<>|]', "_", getpass.getuser())
    return Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or Path(gettempdir(), f"torchinductor_{user}"))
