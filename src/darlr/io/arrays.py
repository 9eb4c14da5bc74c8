"""Arrays on disk, in a safetensors file that is mapped into memory, so that only what is read of it is loaded.

The checksum of the file is kept elsewhere, as that of its bytes.
"""

import json
import mmap
import os
import threading
import weakref
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
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._file)
        self._lock = threading.Lock()
        self._held = mmap.mmap(self._file, 0, access=mmap.ACCESS_READ)
        start = 8 + int.from_bytes(self._held[:8], "little")
        if start > len(self._held):
            raise ValueError("its header is longer than the file")
        header: dict[str, Any] = json.loads(self._held[8:start])
        header.pop("__metadata__", None)
        self._starts = {name: start + about["data_offsets"][0] for name, about in header.items()}
        super().__init__({name: self._array(name, about, start) for name, about in header.items()})

    def _array(self, name: str, about: Mapping[str, Any], start: int) -> NDArray[Any]:
        kind, (first, last), shape = np.dtype(TYPES[about["dtype"]]), about["data_offsets"], about["shape"]
        count = int(np.prod(shape, dtype=object))
        if not 0 <= first <= last <= len(self._held) - start or last - first != count * kind.itemsize:
            raise ValueError(f"{name} does not fit into the file")
        return np.frombuffer(self._held, kind, count, self._starts[name]).reshape(shape)

    def stored(self, name: str) -> "StoredRows | None":
        """A table of which single rows are read from the file, so that it takes no memory; None where there is none."""
        return StoredRows(self, name) if name in self else None

    def read(self, name: str, row: int, size: int) -> bytes:
        """The bytes of one row of a table. size: their number."""
        with self._lock:
            os.lseek(self._file, self._starts[name] + row * size, os.SEEK_SET)
            found = os.read(self._file, size)
        if len(found) != size:
            raise OSError("the file was cut off")
        return found

    def release(self) -> None:
        """Let the system take back the memory of what was read; it is read anew when it is needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._held.madvise(mmap.MADV_DONTNEED)


class StoredRows:
    """A table of floats on disk. shape: (R, n)."""

    def __init__(self, arrays: MappedArrays, name: str) -> None:
        self.shape = arrays[name].shape
        self._arrays, self._name, self._kind = arrays, name, arrays[name].dtype

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The rows of these numbers, [B, n]. Raises IndexError for one that is not there."""
        found = np.empty((len(rows), self.shape[1]), self._kind)
        for place, row in enumerate(rows.tolist()):
            if not 0 <= row < self.shape[0]:
                raise IndexError(f"row {row} of {self.shape[0]}")
            found[place] = np.frombuffer(self._arrays.read(self._name, row, found[place].nbytes), self._kind)
        return found
