"""Tensors on disk: what is read back, what is copied, and whose memory it is."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from darlr.tensors import separate, write_tensors


def test_all_kinds_of_tensors_come_back(tmp_path: Path) -> None:
    table = torch.arange(12.0).view(3, 4)
    tensors = {
        "whole": table,
        "again": table,
        "row": table[1],
        "turned": table.T,
        "nothing": torch.zeros(0, 3),
        "learned": torch.nn.Parameter(torch.ones(2)),
        "number": torch.tensor(7),
    }
    path = tmp_path / "a.safetensors"
    write_tensors(path, tensors, {"who": "me"})
    found = load_file(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    assert path.stat().st_mode & 0o044  # as the umask says, not for the writer alone


def test_a_big_table_is_not_copied() -> None:
    table = torch.zeros(5, 5)
    separated = separate({"table": table, "view": table.view(25), "part": table[:2]})
    assert separated["table"].data_ptr() == table.data_ptr()
    assert len({tensor.untyped_storage().data_ptr() for tensor in separated.values()}) == 3
    assert separated["part"].untyped_storage().nbytes() == 2 * 5 * 4


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.ones(3)})

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("darlr.tensors.save_file", full)
    with pytest.raises(OSError, match="disk full"):
        write_tensors(path, {"a": torch.zeros(3)})
    assert torch.equal(load_file(path)["a"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
