"""A disk that is full, at every stage: one line that names the file, exit 1, and what was whole before still is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from darlr.cli import main

if sys.platform == "win32":
    pytest.skip("no limit on a file's size there", allow_module_level=True)
import resource

Refused = Callable[..., str]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Files of at most `size` bytes can be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def content(folder: Path) -> dict[str, bytes]:
    """What lies in a folder: bytes by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


PREPARE = ["data", "prepare", "synthetic", "--users", "24", "--items", "16"]


@pytest.mark.parametrize("size", [1, 1000, 2000, 3000])
def test_preparing_again_keeps_the_old_data_set_and_its_truth(tmp_path: Path, refused: Refused, size: int) -> None:
    out = tmp_path / "shop"
    assert main([*PREPARE, "--out", str(out)]) == 0
    before = content(tmp_path)
    assert "shop/truth.safetensors" in before
    assert size < max(map(len, before.values()))
    with room_for(size):
        said = refused(*PREPARE, "--seed", "1", "--out", out)
    assert said.startswith(f"darlr: {out}")
    assert "cannot be written (" in said
    assert "File too large" in said
    assert content(tmp_path) == before
