"""A disk that is full, at every stage: one line that names the file, exit 1, and what was whole before still is."""

import pkgutil
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from darlr.cli.main import main
from darlr.experiments.study import executors
from tests import forked

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


@contextmanager
def full_before(place: str, call: int = 1, size: int = 1) -> Iterator[None]:
    """The disk becomes full before the n-th call of a function: from then on no file gets larger than `size` bytes."""
    owner, _, name = place.rpartition(".")
    where: Any = pkgutil.resolve_name(owner)
    original, calls = getattr(where, name), 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def filling(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, name, filling)
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert calls >= call


STAGES = [  # the call before which the disk becomes full, and what the message must name
    ("darlr.experiments.runs.provenance", 1, "run/provenance.json"),
    ("darlr.experiments.world.train_world", 1, "run/world"),
    ("darlr.world.fitted.atomic_write_text", 1, "run/world/origin.json"),
    ("darlr.experiments.runs.Run.log", 3, "run/metrics.jsonl"),
    ("darlr.experiments.runs.Run.save_checkpoint", 3, "run/checkpoint.safetensors"),
    ("darlr.experiments.finished.export", 1, "run/policy"),
]


@pytest.mark.parametrize(("place", "call", "named"), STAGES)
def test_training_goes_on_to_the_same_bits_once_there_is_room(
    tmp_path: Path, tiny: list[str], trained: Path, refused: Refused, place: str, call: int, named: str
) -> None:
    folder = tmp_path / "run"
    with full_before(place, call):
        said = refused("train", "--out", folder, *tiny)
    assert said.splitlines()[-1].startswith(f"darlr: {tmp_path / named}")
    assert "cannot be written (" in said
    assert "File too large" in said
    assert not [path for path in folder.rglob("*") if path.suffix in (".tmp", ".draft")]
    again = ["--resume"] if (folder / "config.json").exists() else tiny
    assert main(["train", "--out", str(folder), *again]) == 0
    kept, wanted = content(folder), content(trained)
    assert {name for name in wanted if kept[name] != wanted[name]} <= {".lock", "provenance.json"}


def test_fitting_again_keeps_the_old_world_model(tmp_path: Path, refused: Refused) -> None:
    fit = ["fit", "--out", str(tmp_path / "world"), "--synthetic.users", "24", "--synthetic.items", "16"]
    fit += ["--members", "1", "--epochs", "1"]
    assert main(fit) == 0
    before = content(tmp_path)
    with full_before("darlr.experiments.world.train_world"):
        assert f"darlr: {tmp_path / 'world'}" in refused(*fit, "--seed", "1")
    assert content(tmp_path) == before


def test_evaluating_keeps_older_tables_and_pictures(tmp_path: Path, trained: Path, refused: Refused) -> None:
    pytest.importorskip("matplotlib")
    evaluate = ["evaluate", str(trained), "--only", "learned", "--out", str(tmp_path / "out")]
    assert main(evaluate) == 0
    before = content(tmp_path)
    for place, named in (("result.write_json", "table.json"), ("pictures.canvas.save", "rows.png")):
        with full_before(f"darlr.evaluation.{place}"):
            said = refused(*evaluate)
        assert f"darlr: {tmp_path / 'out' / named}: cannot be written (File too large)" in said
        assert content(tmp_path) == before


def test_a_comparison_names_the_file_and_goes_on_once_there_is_room(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "subprocess", forked)
    world = "--synthetic.users 24 --synthetic.items 16 --model.members 2 --model.hidden 256 --model.epochs 1"
    options = f"--methods trivial --seeds 1 --windows 1 --session.turns 5 --no-pictures {world}".split()
    compare = ["compare", "--out", str(tmp_path / "grid"), *options]
    for size, named in ((1, r"grid/cells/source/\w+"), (50_000, r"grid/cells/\w+-\w+/world")):
        with full_before("darlr.cli.compare.run_cells", size=size):
            said = refused(*compare)
        assert re.search(rf"{re.escape(str(tmp_path))}/{named}[^ ]*: cannot be written \(.*File too large", said)
        assert not list(tmp_path.rglob(".draft*"))
    assert main(compare) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "{run}"],
        ["evaluate", "{run}", "--out", "{read_only}/deep/er"],
        ["fit", "--out", "{read_only}/world"],
        ["train", "--out", "{read_only}/run"],
        ["compare", "--out", "{read_only}/grid"],
        ["compare", "--out", "{free}", "--cells", "{read_only}"],
        [*PREPARE, "--out", "{read_only}/shop"],
    ],
)
def test_a_folder_that_cannot_be_written_is_reported_before_the_work(
    tmp_path: Path, trained: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    shutil.copytree(trained, tmp_path / "locked" / "run")
    names = {"run": locked / "run", "read_only": locked, "free": tmp_path / "free"}

    def denied(dir: Path, real: Callable[..., Any] = tempfile.TemporaryFile) -> object:  # root may write everywhere
        if Path(dir).is_relative_to(locked):
            raise PermissionError(13, "Permission denied", str(dir))
        return real(dir=dir)

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    monkeypatch.setattr("darlr.experiments.runs.Lock", lambda folder: denied(dir=folder))
    for work in ("experiments.evaluate.open_run", "experiments.world.train_world", "cli.data.prepare"):
        monkeypatch.setattr(f"darlr.{work}", None)
    said = refused(*(part.format(**names) for part in command))
    assert str(locked) in said
    assert "cannot be written to (" in said
    assert "choose another folder" in said
    assert not (tmp_path / "free").exists()
