"""`darlr train --evaluate`: from a prepared log to a table in one command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darlr.cli.main import main
from darlr.data.report import PrepareReport
from darlr.data.sets.synthetic import generate
from darlr.data.store import save
from darlr.evaluation.result import Evaluation
from darlr.evaluation.truth import read_truth
from darlr.options import SyntheticConfig

Refused = Callable[..., str]
SHORT = ["--epochs", "1"]


def document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "table.json").read_text("utf-8"))
    return found


@pytest.fixture
def unplotted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures: they take longer than all else of a tiny run."""
    monkeypatch.setattr(Evaluation, "save_pictures", lambda *_: None)


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_it_writes_and_prints_what_evaluate_does(
    tmp_path: Path, tiny: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.setattr("darlr.evaluation.pictures.canvas.save", lambda _, path: path.touch())
    assert main(["train", "--out", str(run), *tiny, *SHORT, "--evaluate"]) == 0
    together = capsys.readouterr()
    assert (run / "policy" / "policy.safetensors").exists()
    assert main(["evaluate", str(run), "--out", str(tmp_path / "again")]) == 0
    apart = capsys.readouterr()
    assert together.out == apart.out
    assert "oracle (truth)" in together.out
    assert document(run) == document(tmp_path / "again")
    drawn = {path.name for path in (tmp_path / "again").iterdir()}
    assert drawn >= {"table.md", "table.json"}
    assert drawn <= {path.name for path in run.iterdir()}


@pytest.mark.usefixtures("unplotted")
def test_a_log_that_cannot_be_evaluated_is_refused_before_training(
    tmp_path: Path, tiny: list[str], refused: Refused
) -> None:
    log = generate(SyntheticConfig(users=24, items=16, categories=4, events_per_user=8)).log
    data, run = tmp_path / "data", tmp_path / "run"
    save(log, data, PrepareReport("test", rows_read=len(log), rows_kept=len(log)))
    options = ["train", "--data", str(data), "--out", str(run), *tiny, *SHORT, "--evaluate"]
    said = refused(*options, "--split.evaluation", "0")
    assert "a share of 0.3 (option --split.evaluation)" in said
    assert not run.exists()
    assert main([*options, "--no-watch"]) == 0
    assert document(run)["about"]["warning"].startswith("no truth is known")


@pytest.mark.usefixtures("unplotted")
def test_interrupted_in_training_it_says_how_to_come_to_the_table(
    tmp_path: Path, tiny: list[str], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("darlr.experiments.training.train", stop)
        said = refused("train", "--out", run, *tiny, *SHORT, "--evaluate", code=130)
    assert f"continue with: darlr train --out {run} --resume --evaluate" in said
    assert not (run / "table.md").exists()
    assert main(["train", "--out", str(run), "--resume", "--evaluate"]) == 0
    assert document(run)["about"]["epochs"] == [1]


@pytest.mark.usefixtures("unplotted")
def test_interrupted_in_evaluation_the_run_is_whole(
    tmp_path: Path, tiny: list[str], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("darlr.experiments.evaluate.sound", stop)
        said = refused("train", "--out", run, *tiny, *SHORT, "--evaluate", code=130)
    assert f"interrupted after training, which is complete; evaluate it with: darlr evaluate {run}" in said
    assert main(["recommend", str(run), "--user", "0"]) == 0
    before = (run / "checkpoint.safetensors").read_bytes()
    assert main(["train", "--out", str(run), "--resume", "--evaluate"]) == 0
    assert (run / "checkpoint.safetensors").read_bytes() == before
    assert (run / "table.md").exists()


def test_without_it_nothing_is_evaluated(trained: Path) -> None:
    assert not (trained / "table.md").exists()


@pytest.mark.usefixtures("unplotted")
def test_a_sample_of_users_is_played_where_no_more_are_known(tmp_path: Path, tiny: list[str], refused: Refused) -> None:
    run, few = tmp_path / "run", ["--synthetic.truth-users", "9"]
    assert main(["train", "--out", str(run), *tiny, *SHORT, *few, "--evaluate"]) == 0
    assert document(run)["about"]["users"] == "9 of 24"
    sampled = ["--synthetic.exposure", "sampled"]
    said = refused("train", "--out", tmp_path / "gt", *tiny, *SHORT, *few, *sampled, "--method", "gt", code=2)
    assert "needs the true reward of every user and item, 24 x 16 cells; the truth of synthetic has 9 x 16" in said
    data = tmp_path / "data"
    prepared = ["--users", "24", "--items", "16", "--categories", "4", "--events-per-user", "8", "--truth-users", "9"]
    assert main(["data", "prepare", "synthetic", "--out", str(data), *prepared]) == 0
    assert len(read_truth(data).users) == 9
