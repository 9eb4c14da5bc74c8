"""A checkpoint: one safetensors file of tensors, with a state as JSON in its header."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darlr.errors import RunError
from darlr.io.tensors import read_tensors, write_tensors

SCHEMA = "darlr-checkpoint-2"
Saved = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, on the CPU, and JSON values."""
REMEDY = "restore the file from a copy, or delete the run folder and train again"


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Replace the checkpoint at `path`; a process that is killed leaves the old or the new one. state: JSON values."""
    write_tensors(path, tensors, {"schema": SCHEMA, "state": dict(state)})


def read_checkpoint(path: Path, remedy: str = REMEDY) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the state; RunError, which advises `remedy`, for a damaged or another file."""
    tensors, metadata = read_tensors(path, remedy, what="checkpoint")
    if metadata.get("schema") != SCHEMA:
        raise RunError(f"{path}: not a checkpoint of this version (schema {metadata.get('schema')}, not {SCHEMA})")
    return tensors, metadata["state"]


def generator_states(generators: Mapping[str, torch.Generator]) -> dict[str, Tensor]:
    """The states of generators for a checkpoint, as uint8 tensors named "generator.<name>"."""
    return {f"generator.{name}": generator.get_state() for name, generator in generators.items()}


def restore_generators(generators: Mapping[str, torch.Generator], tensors: Mapping[str, Tensor]) -> None:
    """Set each generator to its state in a checkpoint; RunError where one is missing or of another device."""
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
