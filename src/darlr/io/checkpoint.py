"""A checkpoint is one safetensors file: tensors, and a state as JSON in its header. A damaged one is refused."""

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
    """Replace the checkpoint at `path`. If the process is killed, the old or the new checkpoint is there, complete.

    tensors: of any shapes and devices. state: anything that JSON can hold, with string keys.
    """
    write_tensors(path, tensors, {"schema": SCHEMA, "state": dict(state)})


def read_checkpoint(path: Path, remedy: str = REMEDY) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the state of a checkpoint; RunError when the file is damaged or no checkpoint.

    remedy: what the error advises.
    """
    tensors, metadata = read_tensors(path, remedy, what="checkpoint")
    if metadata.get("schema") != SCHEMA:
        raise RunError(f"{path}: not a checkpoint of this version (schema {metadata.get('schema')}, not {SCHEMA})")
    state: dict[str, Any] = metadata["state"]
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
