"""What a data set takes, and what is refused for it."""

from pathlib import Path

import numpy as np
import pytest

from darlr.cli.main import main
from darlr.data.log import InteractionLog
from darlr.errors import MachineError
from darlr.experiments import size
from darlr.experiments.size import Size, memory_needed, outlook, require_disk, require_memory, size_of
from darlr.io import memory
from darlr.io.memory import free_memory, gigabytes, require_free
from darlr.options import RunConfig, TrainConfig
from tests.world.tiny import log_of

GIB = 2**30


def wide(users: int, items: int) -> InteractionLog:
    """Few events among many users and items."""
    return log_of(np.zeros(40, int), np.arange(40), np.arange(40) % 5 + 1.0, users, items)


def test_memory_grows_with_cells_and_methods_by_hand() -> None:
    found = size_of(wide(3000, 2000), RunConfig(train=TrainConfig(method="mbpo")))
    assert (found.users, found.items) == (3000, 2000)
    assert found.memory == 400_000_000 + 7 * 4 * 6_000_000
    assert found.disk == 3 * 4 * 6_000_000
    darlr = size_of(wide(3000, 2000), RunConfig())
    assert darlr.memory == 400_000_000 + 10 * 4 * 6_000_000
    assert darlr.disk == 5 * 4 * 6_000_000
    assert darlr.seconds > found.seconds > 5 * 6_000_000 * 0.7e-6


def test_what_is_too_large_is_reported_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    huge = Size(60_000, 60_000, 100 * GIB, 10**15, 3600.0)
    monkeypatch.setattr(size, "free_memory", lambda: 24 * GIB)
    with pytest.raises(MachineError, match=r"60,000 users x 60,000 items take about 107 GB .*and only 25\.8 GB"):
        require_memory(huge)
    assert "fewer users or items" in memory_needed(huge)
    with pytest.raises(MachineError, match=r"takes about 1,000,000 GB of disk, and .* are free; make room or choose"):
        require_disk(huge, tmp_path / "not" / "there")
    monkeypatch.setattr(size, "free_memory", lambda: None)  # unknown: nothing is refused
    require_memory(huge)
    assert outlook(huge).endswith("roughly 60 minutes on an idle core, besides the world model's epochs")


@pytest.mark.parametrize("command", [["train", "--out"], ["train", "--evaluate", "--out"], ["fit", "--out"]])
def test_size_is_reported_before_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    log = wide(60_000, 60_000)
    monkeypatch.setattr(size, "free_memory", lambda: 24 * GIB)
    monkeypatch.setattr("darlr.experiments.world.train_world", None)
    for place in ("darlr.experiments.training.open_source", "darlr.experiments.logs.open_source"):
        monkeypatch.setattr(place, lambda *_, **__: log)
    assert main([*command, str(tmp_path / "out"), "--data", "synthetic"]) == 1
    assert "60,000 users x 60,000 items take about" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_preparing_names_it_and_training_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "data")
    assert main(["data", "prepare", "synthetic", "--users", "24", "--items", "16", "--out", out]) == 0
    assert "training: 24 users x 16 items take about 0.4 GB of memory" in capsys.readouterr().out
    tiny = ["--model.members", "1", "--model.epochs", "1", "--epochs", "0", "--method", "mbpo"]
    assert main(["train", "--data", out, "--out", str(tmp_path / "run"), *tiny]) == 0
    assert "plan: 24 users x 16 items take about 0.4 GB of memory" in capsys.readouterr().err


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert (free_memory() or GIB) > 10**7
    assert memory._of_container(tmp_path) is None
    for name, text in (
        ("memory.max", "1000000"),
        ("memory.current", "400000"),
        ("memory.stat", "inactive_file 5000\n"),
    ):
        (tmp_path / name).write_text(text)
    assert memory._of_container(tmp_path) == 605_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._of_container(tmp_path) is None


def test_units() -> None:
    assert [gigabytes(n) for n in (2e6, 4e8, 5.04e10, 5e12)] == ["2 MB", "0.4 GB", "50.4 GB", "5,000 GB"]


def test_work_that_needs_more_than_is_free_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 24 * GIB)
    require_free(23 * GIB, "a log of 5 events", "use fewer")
    with pytest.raises(
        MachineError, match=r"a log of 5 events: takes about 27\.9 GB .*only 25\.8 GB are free; use fewer"
    ):
        require_free(26 * GIB, "a log of 5 events", "use fewer")
