"""A folder is the old one or the new one, whole, at any moment; a writer that was killed loses neither."""

import os
import re
import shutil
import socket

import pytest

from darlr.errors import DataError, RunError
from darlr.io.files import naming
from darlr.io.folders import adding_folder, recover, replacing_folder

GONE = 99_999_999  # no process has such a number


def left(folder, purpose, text, pid=GONE):
    """What a killed process left beside the folder."""
    place = folder.with_name(f".{folder.name}.{purpose}-{socket.gethostname()}-{pid}")
    place.mkdir()
    (place / "a").write_text(text)


def write(folder, text):
    with replacing_folder(folder) as draft:
        (draft / "a").write_text(text)
        (draft / "deep").mkdir()
        (draft / "deep" / "b").write_text(text)


def test_the_new_folder_takes_the_place_of_the_old_one(tmp_path):
    folder = tmp_path / "not there yet" / "x"
    write(folder, "old")
    (folder / "more").write_text("of the old one")
    write(folder, "new")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == ["a", "deep", "deep/b"]
    assert [path.name for path in folder.parent.iterdir()] == ["x"]


def test_nothing_is_deleted_before_the_new_folder_is_there(tmp_path, monkeypatch):
    folder, deleted = tmp_path / "x", []
    write(folder, "old")

    def watched(path, **options):
        deleted.append(((folder / "a").read_text(), os.path.basename(path).split(".")[2].split("-")[0]))
        real(path, **options)

    real = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", watched)
    write(folder, "new")
    assert deleted == [("new", "draft"), ("new", "old")]


@pytest.mark.parametrize("fails", ["fsync", "rename x", "rename .x.draft"])
def test_a_write_that_fails_leaves_the_old_folder(fails, tmp_path, monkeypatch):
    folder = tmp_path / "x"
    write(folder, "old")
    call, _, source = fails.partition(" ")
    real = getattr(os, call)

    def failing(first, *others):
        if call == "fsync" or os.path.basename(first).startswith(source):
            raise OSError(28, "No space left on device")
        return real(first, *others)

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(RunError, match="x: cannot be written"):
        write(folder, "new")
    assert (folder / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def full(path):
    with replacing_folder(path, kind=DataError) as draft, naming(draft / "a"):
        raise OSError(28, "No space left on device")


def test_an_error_about_a_file_of_the_draft_names_the_folder(tmp_path):
    with pytest.raises(DataError, match=rf"^{re.escape(str(tmp_path))}/x/a: cannot be written"):
        full(tmp_path / "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pid", [GONE, os.getpid()], ids=["gone", "alive"])
def test_what_a_killed_writer_left_is_put_back_or_removed(pid, tmp_path):
    folder = tmp_path / "x"
    left(folder, "old", "old", pid)
    left(folder, "draft", "half", pid)
    recover(folder)
    assert (folder / "a").read_text() == "old"
    left(folder, "old", "older")
    recover(folder)
    assert (folder / "a").read_text() == "old"
    write(folder, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_folder_that_another_process_added_first_stays(tmp_path):
    with adding_folder(tmp_path / "x") as draft:
        (draft / "a").write_text("ours")
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "a").write_text("theirs")
    assert (tmp_path / "x" / "a").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
