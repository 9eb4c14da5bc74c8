"""Opens a policy folder of either kind, of PyTorch or for ONNX Runtime. Only the first loads PyTorch."""

import json
from contextlib import suppress
from pathlib import Path

from darlr.errors import RunError
from darlr.serving.exported.folder import METADATA, SCHEMA, read_exported
from darlr.serving.served import ServedPolicy
from darlr.serving.versions import pointed


def is_exported(folder: Path) -> bool:
    """Whether a folder, or the version that it points to, is a policy for ONNX Runtime."""
    with suppress(RunError, OSError, ValueError, LookupError, TypeError):
        schema = json.loads((pointed(folder) / METADATA).read_text("utf-8"))["schema"]
        return str(schema).split()[0] == SCHEMA.split()[0]  # of any version, as reading it tells which one is needed
    return False


def open_policy(folder: Path, threads: int | None = None) -> ServedPolicy:
    """The policy in a folder, in the run folder that holds it, or the one in use of a folder of versions.

    threads: those that compute; None is one of ONNX Runtime, and those that PyTorch has. Raises what `pointed`,
    `read_exported` and `darlr.serving.folder.read_policy` raise.
    """
    folder = pointed(folder)
    if is_exported(folder):
        return read_exported(folder, threads or 1)
    import torch

    from darlr.serving.folder import read_policy

    if threads is not None:
        torch.set_num_threads(threads)
    return read_policy(folder)
