"""`darlr serve --demo`: small runs are trained once, and served with the page."""

from functools import partial
from pathlib import Path

import pytest

from darlr.cli.main import main
from darlr.experiments.evaluate import evaluate
from darlr.options import ServeConfig, SyntheticConfig
from darlr.server import demo
from tests.server.conftest import Running


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "METHODS", {"one": "mbpo"})
    monkeypatch.setattr(demo, "WORLD", SyntheticConfig(users=20, items=16, categories=8, events_per_user=8))
    monkeypatch.setattr(demo, "SMALL", {"model.members": 1, "model.epochs": 1, "epochs": 1, "steps": 64, "sessions": 8})


@pytest.mark.usefixtures("small")
def test_the_demo_trains_once_and_serves_its_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as broken:  # interrupted before the end
        broken.setattr("darlr.experiments.evaluate.evaluate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            demo.demo_runs(said.append, tmp_path)
    monkeypatch.setattr("darlr.experiments.evaluate.evaluate", partial(evaluate, only="learned"))  # it takes a third
    folders = demo.demo_runs(said.append, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert demo.demo_runs(said.append, tmp_path) == folders
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == written
    assert said[-1].startswith("using the runs in")
    running = Running(ServeConfig(folders))
    try:
        found = running.get("/page/comparison").body
        assert found["missing"] == []
        assert {"MBPO"} <= {row["name"] for row in found["reports"][0]["rows"]}
    finally:
        running.end()


def test_the_demo_names_its_runs_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--demo", "some/run"]) == 2
    assert "option --demo: serves runs of its own" in capsys.readouterr().err
    assert main(["serve"]) == 2
    assert "name at least one, or give --demo" in capsys.readouterr().err
