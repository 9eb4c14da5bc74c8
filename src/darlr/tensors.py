"""Tensors on disk: a safetensors file that is the old one or the new one, whole, written from where tensors lie."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from darlr.files import replacing


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Replace the file at `path`. tensors: any shapes, strides and devices; they may share memory."""
    with replacing(path) as draft:
        save_file(separate(tensors), draft, dict(metadata or {}))


def separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each in memory of its own, on the CPU and contiguous, as safetensors asks; copied only where it is not."""
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
