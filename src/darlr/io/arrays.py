"""Arrays on disk, in a safetensors file that is mapped into memory, so that only what is read of it is loaded.

The checksum of the file is kept elsewhere, as that of its bytes.
"""

import json
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32}


class MappedArrays(dict[str, NDArray[Any]]):
    """The arrays of a file, by name; they cannot be written to. The file may be replaced or deleted meanwhile."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, and ValueError, KeyError or TypeError for what is no such file."""
        with open(path, "rb") as file:
            self._held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = 8 + int.from_bytes(self._held[:8], "little")
        if start > len(self._held):
            raise ValueError("its header is longer than the file")
        header: dict[str, Any] = json.loads(self._held[8:start])
        super().__init__({n: self._array(start, about) for n, about in header.items() if n != "__metadata__"})

    def _array(self, start: int, about: Mapping[str, Any]) -> NDArray[Any]:
        kind, (first, last), shape = np.dtype(TYPES[about["dtype"]]), about["data_offsets"], about["shape"]
        count = int(np.prod(shape, dtype=object))
        if not 0 <= first <= last <= len(self._held) - start or last - first != count * kind.itemsize:
            raise ValueError("an array does not fit into the file")
        return np.frombuffer(self._held, kind, count, start + first).reshape(shape)

    def release(self) -> None:
        """Let the system take back the memory of what was read; it is read anew when it is needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._held.madvise(mmap.MADV_DONTNEED)
