"""A checkpoint: one safetensors file with tensors, and JSON state in its header; whole or refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darlr.errors import RunError
from darlr.io.tensors import read_tensors, write_tensors

SCHEMA = "darlr-checkpoint-2"
Saved = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, on the CPU, and what JSON can hold beside them."""
REMEDY = "restore the file from a copy, or delete the run folder and train again"


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Replace the checkpoint at `path`; killed at any instant, the old or the new one is there, complete.

    tensors: any shapes and devices, read as they are now. state: anything JSON can hold, with string keys.
    """
    write_tensors(path, tensors, {"schema": SCHEMA, "state": dict(state)})


def read_checkpoint(path: Path, remedy: str = REMEDY) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and state of `write_checkpoint`; RunError when the file is damaged or something else.

    remedy: what to do then.
    """
    tensors, facts = read_tensors(path, remedy, what="checkpoint")
    if facts.get("schema") != SCHEMA:
        raise RunError(f"{path}: not a checkpoint of this version (schema {facts.get('schema')}, not {SCHEMA})")
    state: dict[str, Any] = facts["state"]
    return tensors, state


def generator_states(generators: Mapping[str, torch.Generator]) -> dict[str, Tensor]:
    """States as uint8 tensors named "generator.<name>", to go into a checkpoint."""
    return {f"generator.{name}": generator.get_state() for name, generator in generators.items()}


def restore_generators(generators: Mapping[str, torch.Generator], tensors: Mapping[str, Tensor]) -> None:
    """Set each generator to its state in a checkpoint; RunError when one is missing or of another device."""
    for name, generator in generators.items():
        key = f"generator.{name}"
        if key not in tensors:
            raise RunError(f"the checkpoint has no random generator {name}; it belongs to another version of darlr")
        try:
            generator.set_state(tensors[key])
        except (RuntimeError, TypeError) as error:
            raise RunError(
                f"the checkpoint's random generator {name} does not fit device {generator.device}: "
                "resume on the kind of device that wrote it"
            ) from error
