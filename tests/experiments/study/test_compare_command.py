"""`darlr compare` on a world so small that a grid takes seconds: reuse, kills, failing cells, tables, hints."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from darlr.cli.main import main
from darlr.experiments.runs import CHECKPOINT, read_metrics
from darlr.experiments.study import executors
from darlr.experiments.study.cells import RESULT, read_result
from tests import forked
from tests.experiments.study.conftest import TINY


def table(folder: Path) -> dict:
    return json.loads((folder / "table.json").read_text("utf-8"))


@pytest.fixture(scope="module", autouse=True)
def quick_workers() -> Iterator[None]:
    """Workers are forks, which start at once; the test of killed workers has real ones too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executors, "subprocess", forked)
        yield


def test_tables_hold_every_row_mode_and_window(done: Path) -> None:
    blocks = table(done)["tables"]
    assert [(block["window"], block["mode"]) for block in blocks] == [
        (n, mode) for n in (1, 4) for mode in ("NX_0", "FB", "NX_10")
    ]
    for block in blocks:
        labels = {row["label"]: row for row in block["rows"]}
        assert {"MBPO", "MBPO (sampled)", "random", "item-mean list", "oracle (truth) †"} <= labels.keys()
        assert labels["MBPO"]["seeds"] == 2
        assert labels["oracle (truth) †"]["tied"] is None
        assert sum(row["first"] for row in block["rows"]) == 1
        means = [row["mean"] for row in block["rows"]]
        assert means == sorted(means, reverse=True)
        command = labels["MBPO"]["commands"][1]
        assert command.startswith("darlr train --out ")
        assert f"--session.window {block['window']}" in command or block["window"] == 1
        assert "--seed 1" in command
    cells = {row["label"]: row["cells"] for row in blocks[0]["rows"]}
    others = {row["label"]: row["cells"] for row in blocks[3]["rows"]}
    assert not set(cells["MBPO"]) & set(others["MBPO"])  # trained apart for N = 1 and 4
    assert cells["random"] == others["random"]
    text = (done / "table.md").read_text("utf-8")
    assert "exit window N = 4" in text
    assert "paired over users and seeds" in text


def test_a_world_model_is_shared_and_everything_is_reused(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [json.loads(path.read_text("utf-8"))["identity"]["kind"] for path in done.glob("cells/*/cell.json")]
    assert sorted(kinds) == ["learned"] * 4 + ["trivial"] * 2 + ["world"] * 2
    before = {path: path.stat().st_mtime_ns for path in done.glob(f"cells/*/{RESULT}")}
    options = ["--methods", "mbpo,trivial", "--seeds", "2", *TINY]
    assert main(["compare", "--out", str(done), *options]) == 0
    assert "6 reused, 0 to run" in capsys.readouterr().err.replace("\n", " ")
    assert {path: path.stat().st_mtime_ns for path in done.glob(f"cells/*/{RESULT}")} == before
    assert main(["compare", "--out", str(done), *options, "--seeds", "3", "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert "would run mbpo seed 2 N=4" in said
    assert "would run world seed 2" in said
    assert "reused    mbpo seed 1 N=1" in said


@pytest.mark.skipif(sys.platform == "win32", reason="kills processes with signals")
def test_killed_workers_and_a_killed_command_end_with_the_same_numbers(done: Path, tmp_path: Path) -> None:
    options = ["--methods", "mbpo", "--seeds", "1", "--windows", "1", *TINY]
    command = [sys.executable, "-m", "darlr", "compare", "--out", str(tmp_path), *options]
    with Path(os.devnull).open("w") as nowhere:
        process = forked.Popen(command, forked.PIPE, nowhere, nowhere, dict(os.environ))
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not list(tmp_path.glob(f"cells/*/run/{CHECKPOINT}")):
        time.sleep(0.01)
    process.kill()
    process.wait()
    places = {path.parent.name for path in tmp_path.glob("cells/*/cell.json")}
    assert len(places) == 2
    locks = [int(path.read_text()) for path in tmp_path.glob("cells/*/.lock") if path.read_text()]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(alive, locks)):
        time.sleep(0.05)
    assert not any(map(alive, locks))  # workers end with the command that started them
    assert main(["compare", "--out", str(tmp_path), *options]) == 0
    for name in places:
        mine, theirs = read_result(tmp_path / "cells" / name), read_result(done / "cells" / name)
        assert mine.returns.keys() == theirs.returns.keys()
        assert all((mine.returns[key] == theirs.returns[key]).all() for key in mine.returns)
        assert read_metrics(tmp_path / "cells" / name / "run") == read_metrics(done / "cells" / name / "run")


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "darlr" in Path(f"/proc/{process}/cmdline").read_text() if Path("/proc").is_dir() else False


def test_a_failing_cell_stops_no_other(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = executors.Local.start

    def broken(self, cell, folder, source):
        if cell.name == "mopo":
            (folder / "run").mkdir()
            (folder / "run" / "notes.txt").write_text("mine")
        return start(self, cell, folder, source)

    monkeypatch.setattr(executors.Local, "start", broken)
    options = ["--methods", "mopo,mbpo", "--seeds", "1", "--windows", "1", *TINY]
    assert main(["compare", "--out", str(tmp_path), "--cells", str(done / "cells"), *options]) == 1
    said = capsys.readouterr().err
    assert "1 cells failed" in said
    assert "not empty and no run (notes.txt is in it)" in said
    found = table(tmp_path)
    assert {row["label"] for row in found["tables"][0]["rows"]} == {"MBPO", "MBPO (sampled)"}
    assert found["about"]["left out (cells missing)"] == ["MOPO"]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        assert main(["compare", *arguments]) == 2
        return capsys.readouterr().err.replace("\n", " ")

    return run


def test_hints(tmp_path: Path, refused: Callable[..., str]) -> None:
    out = ["--out", str(tmp_path / "none"), *TINY]
    assert "no method is called mbpp; perhaps you meant 'mbpo'" in refused(*out, "--methods", "mbpp")
    assert "no method is called linusb; perhaps you meant 'linucb'" in refused(*out, "--methods", "mbpo,linusb")
    assert "name at least one method" in refused(*out, "--methods", ",")
    assert "option --seeds: must be at least 1" in refused(*out, "--seeds", "0")
    assert "option --jobs: must be at least 1" in refused(*out, "--jobs", "0")
    assert "option --windows" in refused(*out, "--windows", "0")
    assert not (tmp_path / "none").exists()


def test_the_start_is_a_row_where_the_policy_has_a_prior(tmp_path: Path) -> None:
    options = ["--methods", "darlr+,mbpo", "--seeds", "1", "--windows", "1", "--jobs", "2", "--protocol", "published"]
    assert main(["compare", "--out", str(tmp_path), *options, *TINY]) == 0
    labels = [row["label"] for row in table(tmp_path)["tables"][0]["rows"]]
    assert "DARLR+, start" in labels
    assert "MBPO, start" not in labels
    published = (tmp_path / "table.md").read_text("utf-8").split("## Published protocol")[1]
    assert "| DARLR+ |" in published
    assert "start" not in published.split("## ")[0]
    commands = [one for row in table(tmp_path)["tables"][0]["rows"] for one in row["commands"]]
    assert all("--keep last" in one for one in commands if one)
