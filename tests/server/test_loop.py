"""The script of the whole loop runs, and updates read what was served."""

import importlib.util
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from darlr.data.log import InteractionLog
from darlr.data.sets.synthetic import generate
from darlr.decisions.log import DecisionLog
from darlr.decisions.read import is_log
from darlr.decisions.records import Decision
from darlr.errors import ConfigError, DataError
from darlr.evaluation.worth import SCHEMA
from darlr.experiments.growth import grow, read_new
from darlr.io.files import write_json
from darlr.options import SyntheticConfig

SCRIPT = Path(__file__).parents[2] / "docs" / "loop.py"


@pytest.mark.skipif(sys.platform == "win32", reason="makes symbolic links")
def test_the_loop_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("loop", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    small = "--steps 32 --sessions 8 --model.epochs 1 --model.members 1 --selector.picks 2"
    monkeypatch.setattr(script, "TRAINING", f"--method darlr+ --model.kind deepfm --epochs 1 {small}")
    first, second, third = script.loop(tmp_path, visits=120)
    assert first == third != second
    said = capfd.readouterr().out
    assert "all 120 decisions were repeated bit for bit" in said
    assert "- 240 events of feedback, of which 240 count" in said


def served(folder: Path, users: tuple[str | None, ...]) -> Path:
    with DecisionLog(folder) as log:
        for n, user in enumerate(users):
            when = datetime(2026, 11, 3, 12, n, tzinfo=UTC)
            rules = ((), (), None, "explore", 0.5, 7)
            log.decided(Decision(f"r{n}", when, user, True, *rules, ("1", "2"), (0.5, 0.25), "a", "a", "v"))
            log.feedback(f"r{n}", "2", 4.0, when)
    return folder


def known(start: float | None, chances: bool = False) -> InteractionLog:
    log = generate(SyntheticConfig(users=6, items=4, categories=2, events_per_user=3)).log
    times = None if start is None else (start + np.arange(len(log))).astype(np.int64)
    return replace(log, timestamp=times, propensity=np.full(len(log), 0.5, np.float32) if chances else None)


def test_an_update_reads_decisions_as_its_run_had_events(tmp_path: Path) -> None:
    place = served(tmp_path / "log", ("1", None, "3", "new"))
    log = known(1.7e9)  # seconds, whole numbers as ids, no propensities
    new = read_new((place,), log, None, {})
    assert (new.user_ids, new.item_ids, new.propensity) == ((1, 3), (2,), None)
    assert new.timestamp is not None
    first = int(datetime(2026, 11, 3, 12, tzinfo=UTC).timestamp())
    assert new.timestamp.tolist() == [first, first + 120]
    assert len(grow(log, None, new, 0.5).log) == len(log) + 1
    assert read_new((place,), known(None), None, {}).timestamp is None
    chances = read_new((place,), known(1.7e18, chances=True), None, {})
    assert chances.propensity is not None
    assert chances.timestamp is not None
    assert chances.propensity.tolist() == [0.25, 0.25]
    assert chances.timestamp.tolist() == [first * 10**9, (first + 120) * 10**9]
    with pytest.raises(ConfigError, match="is no table"):
        read_new((place,), log, None, {"user": "uid"})
    with pytest.raises(DataError, match="no item that was shown to a user with an id"):
        read_new((served(tmp_path / "other", (None,)),), log, None, {})


def test_a_report_on_decisions_is_no_log_of_them(tmp_path: Path) -> None:
    write_json(tmp_path / "decisions.json", {"schema": SCHEMA})  # as darlr evaluate --decisions leaves it in a run
    assert not is_log(tmp_path)
    with pytest.raises(DataError, match="is no log of decisions"):
        DecisionLog(tmp_path)
