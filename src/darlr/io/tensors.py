"""Tensors on disk, in safetensors files with metadata and a checksum.

The header has one entry, of JSON. Several entries would have no fixed order, so that files of equal content would
differ.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from darlr.errors import DarlrError, RunError
from darlr.io.files import atomic_write_text, naming, read_json, replacing

ENTRY = "darlr"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Replace the file at `path`. tensors: of any strides and devices; they may share memory. metadata: JSON values."""
    tensors, text = separate(tensors), json.dumps(dict(metadata or {}), allow_nan=False)
    header = {ENTRY: json.dumps({"facts": text, "crc32": _crc(tensors, text)}, allow_nan=False)}
    with naming(path, (OSError, SafetensorError)), replacing(path) as draft:
        save_file(tensors, draft, header)


def read_tensors(
    path: Path, remedy: str, kind: type[DarlrError] = RunError, what: str = "file"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the metadata that `write_tensors` wrote. what: the word for the file in errors.

    Raises `kind`, with the remedy, where the file has changed, is of another version, or is no plain file, and
    FileNotFoundError where it is missing.
    """
    if path.exists() and not path.is_file():
        raise kind(f"{path}: damaged {what} (no plain file); {remedy}")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(ENTRY, "{}"))
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a dict)
        text = header.get("facts")
        if not isinstance(text, str):
            raise kind(f"{path}: not a {what} of this version of darlr, or damaged; {remedy}")
        if header.get("crc32") != _crc(tensors, text):
            raise kind(f"{path}: damaged {what} (its checksum does not fit); {remedy}")
        metadata = json.loads(text)
        return tensors, metadata if isinstance(metadata, dict) else {}
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, ValueError, AttributeError, RecursionError) as error:
        raise kind(f"{path}: damaged {what} ({error}); {remedy}") from error


def write_both(
    tensors_path: Path, metadata_path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write tensors, and a JSON file of metadata with a `schema`, whose checksum the file of tensors holds."""
    text = json.dumps(metadata, indent=1, allow_nan=False) + "\n"
    write_tensors(tensors_path, tensors, {metadata_path.name: zlib.crc32(text.encode())})
    atomic_write_text(metadata_path, text)


def read_both(
    tensors_path: Path, metadata_path: Path, remedy: str, what: str, schema: int | str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of `write_both`; RunError for damage or another schema, FileNotFoundError for a missing file."""
    metadata = read_json(metadata_path, remedy)
    found = metadata.get("schema") if isinstance(metadata, dict) else None
    if found != schema:
        raise RunError(f"{metadata_path}: {what} of schema {found}, this version of darlr reads {schema}; {remedy}")
    tensors, about = read_tensors(tensors_path, remedy, what=what)
    if about.get(metadata_path.name) != zlib.crc32(metadata_path.read_bytes()):
        raise RunError(f"{metadata_path}: damaged {what} (its checksum does not fit); {remedy}")
    return tensors, metadata


def _crc(tensors: Mapping[str, Tensor], text: str) -> int:
    value = zlib.crc32(text.encode())
    for name in sorted(tensors):
        value = zlib.crc32(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode(), value)
        value = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, value)
    return value


def separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, contiguous and without shared memory, copied only where necessary."""
    separated: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        storage = own.untyped_storage()
        if storage.nbytes() != own.nbytes or storage.data_ptr() in taken:
            own = own.clone()
        taken.add(own.untyped_storage().data_ptr())
        separated[name] = own
    return separated


Holder = TypeVar("Holder")


def moved(holder: Holder, device: str | torch.device) -> Holder:
    """A tensor or network, or a frozen dataclass with all of its own, on another device; anything else as it is."""
    if isinstance(holder, Tensor | torch.nn.Module):
        return holder.to(device)  # type: ignore[return-value]
    if is_dataclass(holder) and not isinstance(holder, type):
        given = (field.name for field in fields(holder) if field.init)
        return replace(holder, **{name: moved(getattr(holder, name), device) for name in given})
    return holder
