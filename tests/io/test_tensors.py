"""Tensors on disk: what is read back, what is copied, and whose memory it is."""

import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from darlr.errors import RunError
from darlr.io.files import read_json
from darlr.io.tensors import read_both, read_tensors, separate, write_both, write_tensors


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

    monkeypatch.setattr("darlr.io.tensors.save_file", full)
    with pytest.raises(RunError, match=r"a\.safetensors: cannot be written \(disk full"):
        write_tensors(path, {"a": torch.zeros(3)})
    assert torch.equal(load_file(path)["a"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_files_of_equal_content_are_equal(tmp_path: Path) -> None:
    facts = dict.fromkeys(["schema", "state", "epoch", "seed", "data"], 1)
    written = set()
    for number in range(8):  # a header of several entries would come in any order
        write_tensors(tmp_path / f"{number}", {"b": torch.ones(2), "a": torch.zeros(3)}, facts)
        written.add((tmp_path / f"{number}").read_bytes())
    assert len(written) == 1
    assert read_tensors(tmp_path / "0", "")[1] == facts


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    path, beside = tmp_path / "a.safetensors", tmp_path / "a.json"
    tensors, facts = {"table": torch.arange(3.0), "codes": torch.tensor([1, 2])}, {"schema": 1, "numbers": [1, 2]}
    write_both(path, beside, tensors, facts)
    found, told = read_both(path, beside, "mend it", "thing", 1)
    assert told == facts
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    for changed in (path, beside):
        whole = changed.read_bytes()
        for place in range(len(whole)):
            changed.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(RunError, match=r"mend it"):
                read_both(path, beside, "mend it", "thing", 1)
        changed.write_bytes(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders there")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (read_tensors, read_json):
        with pytest.raises(RunError, match="no plain file"):
            read(tmp_path / "pipe", "")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": NaN}', "[Infinity]", "1" * 10_000, '"\\ud800', "{"])
def test_json_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(RunError, match=r"x\.json: damaged, not JSON .*; mend it"):
        read_json(tmp_path / "x.json", "mend it")
