"""`darlr evaluate`: one run, seeds of one row, runs that do not fit together, and no truth or matplotlib."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from darlr.cli.main import main
from darlr.experiments.evaluate import open_runs, serving

Refused = Callable[..., str]


def rows(folder: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((folder / "table.json").read_text("utf-8"))["rows"]
    return found


@pytest.fixture(scope="module")
def other_seed(tmp_path_factory: pytest.TempPathFactory, tiny: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("seeds") / "seed1"
    assert main(["train", "--out", str(folder), *tiny, "--seed", "1", "--model.seed", "1"]) == 0
    return folder


def test_one_run_beside_the_trivial_rows(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    assert main(["evaluate", str(trained), "--out", str(tmp_path / "new" / "table")]) == 0
    said = capsys.readouterr()
    assert max(map(len, said.out.splitlines())) <= 80
    assert "DARLR (sampled)" in said.out
    names = {path.name for path in (tmp_path / "new" / "table").iterdir()}
    assert names == {"table.md", "table.json", "rows.png", "curve.png", "estimation.png"}
    found = rows(tmp_path / "new" / "table")
    assert {row["name"] for row in found} >= {"DARLR", "random", "item-mean list", "world-model greedy"}
    assert {row["mode"] for row in found} == {"NX_0", "FB", "NX_10"}
    assert not (trained / "table.md").exists()


def test_a_long_evaluation_shows_how_far_it_is(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darlr.experiments.evaluate.PATIENCE", 0.0)
    options = ["--out", str(tmp_path), "--only", "learned", "--no-pictures"]
    assert main(["evaluate", str(trained), *options]) == 0
    assert "evaluating: setting 0/5, begins\nevaluating: setting 1/5, " in capsys.readouterr().err


def test_seeds_make_one_row(trained: Path, other_seed: Path, tmp_path: Path) -> None:
    assert main(["evaluate", str(trained), str(other_seed), "--out", str(tmp_path), "--no-pictures"]) == 0
    seeds = {row["name"]: row["seeds"] for row in rows(tmp_path)}
    assert seeds["DARLR"] == 2
    assert seeds["world-model greedy"] == 2
    assert seeds["item-mean list"] == 1
    about = json.loads((tmp_path / "table.json").read_text("utf-8"))["about"]
    assert about["seeds"] == [0, 1]


def test_a_row_is_served_from_the_run_that_made_it(trained: Path, tmp_path: Path, tiny: list[str]) -> None:
    mbpo = tmp_path / "{braces} and spaces"
    assert main(["train", "--out", str(mbpo), *tiny, "--method", "mbpo"]) == 0
    serve = serving(open_runs([trained, mbpo]), "distance")

    def row(name: str, kind: str = "log", **more: bool) -> SimpleNamespace:
        return SimpleNamespace(name=name, kind=kind, **{"sampled": False, "exit_aware": False, **more})

    assert f"'{mbpo}'" in serve(row("MBPO", "learned"))
    assert serve(row("MBPO, start")) == f"darlr export '{mbpo}' --row 'MBPO, start' --out FOLDER"
    assert serve(row("item-mean list")).startswith(f"darlr export {trained} ")
    assert serve(row("random", sampled=True)) is None
    assert serve(row("item-mean list, exit-aware", exit_aware=True)) is None  # by distance
    assert main(["evaluate", str(mbpo), "--no-pictures"]) == 0


def test_runs_that_are_no_seeds_of_one_row(
    trained: Path, other_seed: Path, tiny: list[str], tmp_path: Path, refused: Refused
) -> None:
    assert "named twice" in refused("evaluate", trained, trained)
    shutil.copytree(trained, tmp_path / "copy")
    assert "both are DARLR but have seed 0" in refused("evaluate", trained, tmp_path / "copy")

    changed = tmp_path / "changed"
    world = ["--world", str(trained / "world")]
    assert main(["train", "--out", str(changed), *tiny, *world, "--epochs", "1", "--reward.lambda-u", "0.7"]) == 0
    said = refused("evaluate", trained, changed)
    assert "both are DARLR but differ in train.epochs, train.reward.lambda_u" in said
    assert "--resume --label NAME`" in said
    assert main(["train", "--out", str(changed), "--resume", "--label", "steeper"]) == 0
    table = ["--out", str(tmp_path / "table"), "--no-pictures", "--only", "learned"]
    assert main(["evaluate", str(trained), str(changed), *table]) == 0
    shutil.copytree(changed, tmp_path / "twin")  # a label of one's own makes one seed no two
    assert "both are steeper but have seed 0" in refused("evaluate", changed, tmp_path / "twin", *table)
    names = {"DARLR", "DARLR, start", "steeper", "steeper, start"}
    assert {row["name"] for row in rows(tmp_path / "table")} == names


def test_without_matplotlib_tables_are_written_and_a_note_says_why(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["evaluate", str(trained), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "no pictures: " in said
    assert "darlr[plots]" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.json", "table.md"]


def test_a_run_without_a_checkpoint_or_with_a_damaged_one(trained: Path, tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    (folder / "world" / "origin.json").write_text("[")
    assert "origin.json: damaged" in refused("evaluate", folder)
    (folder / "checkpoint.safetensors").write_bytes(b"short")
    assert "damaged checkpoint" in refused("evaluate", folder)
    (folder / "checkpoint.safetensors").unlink()
    assert f"no checkpoint yet; train it first with `darlr train --out {folder} --resume`" in refused(
        "evaluate", folder
    )
    assert "name at least one run folder" in refused("evaluate", code=2)
