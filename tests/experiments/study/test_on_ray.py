"""Cells as tasks of a real Ray on this machine. Most cells here are a few lines in place of the worker."""

import json
import os
import re
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from darlr.cli.main import main
from darlr.errors import ConfigError, MachineError
from darlr.experiments.runs import read_metrics
from darlr.experiments.study import on_ray, schedule
from darlr.experiments.study.cells import LOG, Cell, read_result
from darlr.experiments.study.executors import Local, executor
from darlr.experiments.study.guard import holders
from darlr.experiments.study.on_ray import RETRIES, Ray
from darlr.experiments.study.worker import BUSY
from darlr.options import RunConfig
from tests import forked
from tests.experiments.study.conftest import TINY

WORKER = """
import os, sys, threading, time
from pathlib import Path

threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
folder = Path(sys.argv[1])
tries = len(list(folder.glob("try-*")))
(folder / "draft").write_text(f"{os.getpid()} {os.getppid()} {os.environ['OMP_NUM_THREADS']}")
(folder / "draft").rename(folder / f"try-{tries}")
codes = (folder / "codes").read_text().split()
print("darlr: no luck", flush=True)
code = int(codes[min(tries, len(codes) - 1)])
time.sleep(100 if code == 100 else 0)
os.kill(os.getpid(), -code) if code < 0 else os._exit(code)
"""
WAITS = "100 0"  # what the worker does in each try: wait until it is killed, then end with code 0
CELL = Cell("trivial", "trivial", RunConfig(), 0, (), data="", truth="")


def until(happens: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `happens` returns, once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := happens():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def marked(token: str) -> list[int]:
    """Processes that have this text in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if token.encode() in (place / "environ").read_bytes() and not gone(int(place.name)):
                found.append(int(place.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Ray, as the executor starts it."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'darlr[ray]'")
    if not Path("/proc").is_dir():
        pytest.skip("processes are looked up in /proc")
    own = Ray(jobs=2)
    own.open([], Path())
    folder = own._folder
    yield own.ray
    own.close()
    assert folder is not None
    assert not Path(folder).exists()
    assert not holders(Path(folder))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An import path whose worker is the one above."""
    place = tmp_path / "source" / "darlr" / "experiments" / "study"
    place.mkdir(parents=True)
    for folder in (place, *place.parents[:2]):
        (folder / "__init__.py").touch()
    (place / "worker.py").write_text(WORKER)
    return tmp_path / "source"


def prepared(tmp_path: Path, codes: str) -> Path:
    folder = tmp_path / "cell"
    folder.mkdir()
    (folder / "codes").write_text(codes)
    return folder


def attempt(folder: Path, number: int) -> list[int]:
    """Process, parent and threads of an attempt, once it has begun."""
    until((folder / f"try-{number}").exists)
    return [int(word) for word in (folder / f"try-{number}").read_text().split()]


def opened(jobs: int = 2) -> Ray:
    found = Ray(jobs)
    found.open([], Path())
    return found


def ended(job: Any) -> int:
    until(lambda: job.poll() is not None)
    return job.poll()


def test_cells_on_ray_leave_what_local_ones_leave(cluster: Any, done: Path, tmp_path: Path) -> None:
    cells = {"ray": tmp_path / "ray" / "cells", "local": done / "cells"}
    for place in cells["local"].glob("*/world"):  # world models are fitted already, so that only one cell runs
        shutil.copytree(place.parent, cells["ray"] / place.parent.name)
    tables = []
    for name, more in (("ray", ["--executor", "ray", "--jobs", "2"]), ("local", ["--cells", str(cells["local"])])):
        options = ["--methods", "mbpo", "--seeds", "1", "--windows", "1", *more, *TINY]
        assert main(["compare", "--out", str(tmp_path / name), *options]) == 0
        text = re.sub(r"/\S+/cells/", "cells/", (tmp_path / name / "table.json").read_text("utf-8"))
        tables.append(json.loads(re.sub(r'"cpu_seconds": \[[^]]*\]', '"cpu_seconds": []', text))["tables"])
    assert tables[0] == tables[1]
    (ran,) = cells["ray"].glob("*/run")
    mine, theirs = read_result(ran.parent), read_result(cells["local"] / ran.parent.name)
    assert mine.returns.keys() == theirs.returns.keys()
    assert all(mine.returns[key].tobytes() == theirs.returns[key].tobytes() for key in mine.returns)
    assert read_metrics(ran) == read_metrics(cells["local"] / ran.parent.name / "run")
    assert cluster.is_initialized()  # a connection that the program had is left to it


@pytest.mark.parametrize("victim", ["cell", "worker of Ray"])
def test_what_is_killed_starts_again(cluster: Any, source: Path, tmp_path: Path, victim: str) -> None:
    folder = prepared(tmp_path, WAITS)
    job = opened().start(CELL, folder, source)
    process, parent, threads = attempt(folder, 0)
    assert threads == CELL.config.train.threads
    assert job.poll() is None
    os.kill(process if victim == "cell" else parent, signal.SIGKILL)
    assert ended(job) == 0
    assert gone(process)
    assert attempt(folder, 1)[0] != process


def test_codes_reach_the_schedule_and_a_cell_that_always_dies_fails(cluster: Any, source: Path, tmp_path: Path) -> None:
    ray = opened()
    for code in (1, BUSY):
        (tmp_path / str(code)).mkdir()
        assert ended(ray.start(CELL, prepared(tmp_path / str(code), str(code)), source)) == code
    folder = prepared(tmp_path, "-9")
    assert ended(ray.start(CELL, folder, source)) == -9
    assert (folder / LOG).read_text() == "darlr: no luck\n" * (1 + RETRIES)


def test_a_stopped_cell_is_gone(cluster: Any, source: Path, tmp_path: Path) -> None:
    folder = prepared(tmp_path, WAITS)
    job = opened().start(CELL, folder, source)
    process, *_ = attempt(folder, 0)
    job.stop()
    until(lambda: gone(process), 10)
    assert len(list(folder.glob("try-*"))) == 1


def test_a_cluster_that_cannot_run_the_cells_is_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = cluster.get_runtime_context().gcs_address
    ray = executor("ray", address=address)
    many = replace(CELL, config=replace(CELL.config, train=replace(CELL.config.train, threads=1000)))
    with pytest.raises(MachineError, match=r"no machine of the cluster has what a cell needs \(CPU: 1000\)"):
        ray.open([many], tmp_path)
    ray.open([CELL], tmp_path)
    assert ray.at_once == 2
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(on_ray, "write_json", lambda *_: None)  # as where the folder is another one there
    with pytest.raises(MachineError, match=r"cannot read and write .*; name a folder on a file system that"):
        ray.open([CELL], tmp_path)


def test_an_interruption_stops_the_cells(
    cluster: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / CELL.folder
    folder.mkdir()
    (folder / "codes").write_text(WAITS)

    def interrupt(_: schedule.Schedule) -> None:
        attempt(folder, 0)
        raise KeyboardInterrupt

    monkeypatch.setattr(schedule, "snapshot", lambda _: source)
    monkeypatch.setattr(schedule.Schedule, "show", interrupt)
    with pytest.raises(KeyboardInterrupt, match="the same command continues"):
        schedule.run_cells([CELL], tmp_path, executor("ray"))
    until(lambda: gone(attempt(folder, 0)[0]), 10)


def test_a_killed_program_leaves_no_process(cluster: Any, source: Path, tmp_path: Path) -> None:
    folder, token = prepared(tmp_path, WAITS), uuid.uuid4().hex
    command = [sys.executable, "-m", "tests.experiments.study.ray_driver", str(tmp_path), str(source)]
    with (tmp_path / "said").open("w") as said:
        process = forked.Popen(command, forked.PIPE, said, said, os.environ | {"DARLR_TEST": token})
    cell = attempt(folder, 0)[0]
    assert len(marked(token)) >= 3  # the cell, and Ray's own, some of which overwrite their environment
    process.kill()
    process.wait()
    until(lambda: gone(cell) and not marked(token), 20)
    assert (tmp_path / "said").read_text() == ""
    temporary = Path((tmp_path / "temporary").read_text())
    until(lambda: not holders(temporary) and not temporary.exists(), 20)


def test_options_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="choose the executor ray"):
        executor(address="auto")
    assert isinstance(executor(), Local)
    assert schedule.run_cells([], tmp_path) == {}
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MachineError, match=r"pip install 'darlr\[ray\]'"):
        executor("ray")
