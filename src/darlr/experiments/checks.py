"""Checks of options that the classes of darlr.options cannot make. They run before anything is written."""

import math
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from darlr.agents.fast.kernels import require_compiler
from darlr.data.log import InteractionLog
from darlr.errors import ConfigError, MachineError
from darlr.methods import find
from darlr.options import RewardConfig, RunConfig, SelectorConfig, SyntheticConfig
from darlr.options.checks import spelt
from darlr.options.names import changed, option_name
from darlr.simulation import exits

LARGEST_SEED = 2**32 - 1  # the largest that every generator takes


def check_options(config: Any, where: str = "") -> None:
    """Raise ConfigError for an unknown name, an infinite number, or a seed that no generator takes."""
    for option in fields(config):
        value, name = getattr(config, option.name), option_name(where, option.name)
        numbers = value if isinstance(value, tuple) else (value,)
        if is_dataclass(value):
            check_options(value, name)
        elif any(isinstance(one, float) and not math.isfinite(one) for one in numbers):
            raise ConfigError(f"option {name}: must be a finite number, not {value}")
        elif option.name == "method":
            find(value)
        elif option.name == "exit" and value != "auto":
            exits.find(value)
        elif option.name == "seed" and not 0 <= value <= LARGEST_SEED:
            raise ConfigError(f"option {name}: must be from 0 to {LARGEST_SEED}, not {value}")


def check_run(config: RunConfig, log: InteractionLog) -> None:
    """Raise ConfigError when training on this log with these options must fail. It adds to `check_options`."""
    check_device(config.train.device)
    if config.train.compile:
        require_compiler(config.train.device)
    selector = config.train.selector
    picks = selector.picks
    if find(config.train.method).references and selector.kind != "none" and picks >= log.n_users:
        raise ConfigError(
            f"option selector.picks: {picks} reference users of a user need more than the "
            f"{log.n_users} users of {log.name}; at most {log.n_users - 1} work"
        )


def check_device(device: str) -> None:
    """Raise ConfigError for a wrong name of a device, and MachineError for a device that this machine lacks."""
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"option device: no such device as '{device}'; use cpu or cuda") from None
    if wanted.type not in ("cpu", "cuda"):
        raise ConfigError(f"option device: '{device}' is not supported; use cpu or cuda")
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise MachineError(f"option device: {device} is asked for, but PyTorch finds no GPU; use cpu")
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise MachineError(f"option device: {device} is asked for, but there are {torch.cuda.device_count()} GPUs")


def without_effect(config: RunConfig) -> list[str]:
    """Warnings that name the options which were set but which the method or the data set does not read."""
    train, found = config.train, {}
    if config.data != "synthetic":
        found[f"--data {config.data}"] = changed("synthetic", config.synthetic, SyntheticConfig())
    method = find(train.method)
    reward = changed("reward", train.reward, RewardConfig())
    read = [f"--{spelt('reward', name)}" for name in method.reads]
    selector = [] if method.references else changed("selector", train.selector, SelectorConfig())
    found[f"--method {method.name}"] = [*selector, *(name for name in reward if name not in read)]
    return [
        f"warning: {', '.join(names)}: no effect with {cause}, which does not read such options; leave them out"
        for cause, names in found.items()
        if names
    ]
