"""`darlr train --workers`: several processes train one run, and a lost one ends it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from darlr.cli.main import main
from darlr.experiments.runs import CHECKPOINT, CONFIG, read_metrics
from tests import forked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes with signals")
LASTING = ["--recommender.tracker.dropout", "0", "--no-watch", "--compile", "off", "--epochs"]  # so many repay it


def workers_of(process: int) -> list[int]:
    """The workers that a process has started."""
    listed = subprocess.run(
        ["ps", "-Aww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=False
    ).stdout
    words = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [int(own) for own, parent, *said in words if parent == str(process) and ".workers" in said[0]]


def test_a_killed_worker_ends_the_run_and_any_number_resumes_it(tmp_path: Path, tiny: list[str], trained: Path) -> None:
    folder, errors = tmp_path / "run", tmp_path / "errors"
    given = [*tiny, "--world", str(trained / "world"), *LASTING]
    command = [sys.executable, "-m", "darlr", "train", "--out", str(folder), *given, "100000", "--workers", "2"]
    with errors.open("w") as written, Path(os.devnull).open("w") as nowhere:
        process = forked.Popen(command, forked.PIPE, nowhere, written, dict(os.environ))
        assert process.pid is not None
        while not (folder / CHECKPOINT).exists() and process.poll() is None:
            time.sleep(0.01)
        try:
            (other,) = workers_of(process.pid)
            os.kill(other, signal.SIGKILL)
        except BaseException:
            process.kill()
            raise
        process.wait()
    said = errors.read_text("utf-8")
    assert process.poll() == 1, said
    assert f"darlr: worker 1 (of 0 to 1) was killed by signal 9; continue with: darlr train --out {folder}" in said
    assert "--resume --workers 2" in said
    assert "Traceback" not in said
    epoch = read_metrics(folder)[-1]["epoch"]
    assert main(["train", "--out", str(folder), "--resume", "--no-watch", "--epochs", str(epoch + 1)]) == 0
    assert main(["train", "--out", str(tmp_path / "one"), *given, str(epoch + 1)]) == 0
    together, alone = (read_metrics(place) for place in (folder, tmp_path / "one"))
    assert together[0] != alone[0]  # they differ in rounding, so another worker took part
    for one, two in zip(alone[:3], together[:3], strict=True):
        assert two == pytest.approx(one, rel=1e-5, abs=1e-5)
    assert "workers" not in (folder / CONFIG).read_text("utf-8")  # they do not belong to what a run is


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ("--workers 0", 2, "option --workers: must be at least 1, not 0"),
        ("--workers 17", 2, "option --workers: must be at most sessions (16), which the workers share, not 17"),
        ("--workers 2", 2, "option --recommender.tracker.dropout: must be 0 with several workers"),
        ("--workers 2 --recommender.tracker.dropout 0 --device cuda:0", 2, "option --device: must be cpu or cuda with"),
    ],
)
def test_what_cannot_work_is_refused_first(
    tmp_path: Path, tiny: list[str], refused: Callable[..., str], given: str, code: int, said: str
) -> None:
    assert said in refused("train", "--out", tmp_path / "run", *tiny, *given.split(), code=code)
    assert not (tmp_path / "run").exists()


def test_another_number_than_torchrun_started_is_refused(
    tmp_path: Path, tiny: list[str], refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    said = refused("train", "--out", tmp_path / "run", *tiny, "--workers", "2", code=2)
    assert "option --workers: 2 are asked for, but WORLD_SIZE is 4; leave the option out" in said
