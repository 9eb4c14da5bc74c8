"""A checkpoint: one safetensors file with tensors, and JSON state in its header; whole or refused."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from darlr.errors import RunError
from darlr.tensors import separate, write_tensors

SCHEMA = "darlr-checkpoint-1"


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Replace the checkpoint at `path`; killed at any instant, the old or the new one is there, complete.

    tensors: any shapes and devices, read as they are now. state: anything JSON can hold, with string keys.
    """
    tensors, text = separate(tensors), json.dumps(state)
    write_tensors(path, tensors, {"schema": SCHEMA, "state": text, "crc32": str(_crc(tensors, text))})


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and state of `write_checkpoint`; RunError when the file is damaged or something else."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: damaged checkpoint ({error}); {REMEDY}") from error
    if header.get("schema") != SCHEMA:
        raise RunError(f"{path}: not a checkpoint of this version (schema {header.get('schema')}, not {SCHEMA})")
    if header["crc32"] != str(_crc(tensors, header["state"])):
        raise RunError(f"{path}: damaged checkpoint (its checksum does not fit); {REMEDY}")
    state: dict[str, Any] = json.loads(header["state"])
    return tensors, state


REMEDY = "restore the file from a copy, or delete the run folder and train again"


def _crc(tensors: Mapping[str, Tensor], text: str) -> int:
    value = zlib.crc32(text.encode())
    for name in sorted(tensors):
        value = zlib.crc32(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode(), value)
        value = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, value)
    return value


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
