"""A run that was killed, interrupted or watched ends with the same bytes as one that was not."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from darlr.cli.main import main
from darlr.experiments.runs import CHECKPOINT, read_metrics
from darlr.io.checkpoint import read_checkpoint
from tests import forked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes with signals")

# darlr with its own SIGKILL planted at the n-th call of a function
KILLED = """
import importlib, os, signal, sys
from darlr.cli.main import main

module, _, name = sys.argv[1].rpartition(".")
try:
    owner = importlib.import_module(module)
except ModuleNotFoundError:
    module, _, kind = module.rpartition(".")
    owner = getattr(importlib.import_module(module), kind)
original, calls = getattr(owner, name), 0

def planted(*arguments, **options):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)

setattr(owner, name, planted)
sys.exit(main(sys.argv[3:]))
"""


def killed_at(place: str, call: int, arguments: list[str]) -> None:
    answer = forked.run(KILLED, place, call, *arguments)
    assert answer.returncode == -signal.SIGKILL, answer.stderr


def left(folder: Path) -> dict[str, bytes]:
    """What a finished run leaves, apart from its provenance: bytes by name."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name: (folder / name).read_bytes() for name in names - {".lock", "provenance.json"}}


@pytest.mark.parametrize(
    ("place", "call", "epochs"),
    [
        ("darlr.world.models.trainer.Trainer.epoch", 2, None),  # in the fit of the world model
        ("darlr.world.fitted.atomic_write_text", 1, None),  # with the world model written but not its origin
        ("darlr.agents.train.learn", 2, None),  # before the first checkpoint
        ("darlr.agents.train.learn", 6, 2),  # in the middle of the third epoch
        ("darlr.experiments.runs.Run.save_checkpoint", 3, 2),  # between a log line and its checkpoint
        ("darlr.serving.folder.write_both", 1, 3),  # with everything learned but no policy
    ],
)
def test_a_killed_run_continues_bit_for_bit(
    tmp_path: Path, tiny: list[str], trained: Path, place: str, call: int, epochs: int | None
) -> None:
    folder = tmp_path / "run"
    killed_at(place, call, ["train", "--out", str(folder), *tiny])
    assert not (folder / "policy").exists()
    assert (folder / CHECKPOINT).exists() == (epochs is not None)
    if epochs is not None:
        assert read_checkpoint(folder / CHECKPOINT)[1]["state"]["epoch"] == epochs
    assert main(["train", "--out", str(folder), "--resume"]) == 0
    assert left(folder) == left(trained)


@pytest.mark.parametrize("epochs", ["0", "2"])
def test_evaluating_an_untrained_or_half_trained_run_changes_nothing(
    tmp_path: Path, tiny: list[str], trained: Path, epochs: str
) -> None:
    folder = tmp_path / "run"
    assert main(["train", "--out", str(folder), *tiny, "--epochs", epochs]) == 0
    half = left(folder)
    assert main(["evaluate", str(folder), "--out", str(tmp_path / "table"), "--no-pictures"]) == 0
    assert left(folder) == half
    assert main(["train", "--out", str(folder), "--resume", "--epochs", "3"]) == 0
    assert left(folder) == left(trained)


def test_watching_changes_no_weight_and_a_seed_changes_all(tmp_path: Path, tiny: list[str], trained: Path) -> None:
    def tensors(folder: Path) -> dict[str, torch.Tensor]:
        return read_checkpoint(folder / CHECKPOINT)[0]

    assert main(["train", "--out", str(tmp_path / "alone"), *tiny, "--no-watch"]) == 0
    assert "R_tra" in read_metrics(trained)[0]
    assert "R_tra" not in read_metrics(tmp_path / "alone")[0]
    first, alone = tensors(trained), tensors(tmp_path / "alone")
    assert first.keys() == alone.keys()
    assert all(torch.equal(first[name], alone[name]) for name in first)
    assert left(trained)["policy/policy.safetensors"] == left(tmp_path / "alone")["policy/policy.safetensors"]

    world = ["--world", str(trained / "world")]
    assert main(["train", "--out", str(tmp_path / "other"), *tiny, *world, "--seed", "1"]) == 0
    other = tensors(tmp_path / "other")
    weights = [name for name in first if name.endswith(".weight")]
    assert weights
    assert not any(torch.equal(first[name], other[name]) for name in weights)
    assert not torch.equal(first["previous.table"], other["previous.table"])


def test_ctrl_c_leaves_a_usable_run(tmp_path: Path, tiny: list[str]) -> None:
    folder = tmp_path / "a run"
    command = [sys.executable, "-m", "darlr", "train", "--out", str(folder), *tiny, "--epochs", "100000"]
    command += ["--compile", "off"]  # as so many steps would repay compiling
    errors = tmp_path / "errors"
    with errors.open("w") as written, Path(os.devnull).open("w") as nowhere:
        process = forked.Popen(command, forked.PIPE, nowhere, written, dict(os.environ))
        while "darlr: epoch 3/" not in errors.read_text("utf-8") and process.poll() is None:
            time.sleep(0.01)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.wait()
    said = errors.read_text("utf-8")
    assert process.poll() == 130, said
    assert "Traceback" not in said
    assert f"continue with: darlr train --out '{folder}' --resume" in said
    epoch = read_metrics(folder)[-1]["epoch"]
    assert f"interrupted after epoch {epoch} of 100000" in said
    assert main(["recommend", str(folder), "--user", "0"]) == 0
    assert main(["evaluate", str(folder), "--no-pictures", "--only", "learned"]) == 0
    assert main(["train", "--out", str(folder), "--resume", "--epochs", str(epoch + 1)]) == 0
    assert read_metrics(folder)[-1]["epoch"] == epoch + 1


def test_resume_takes_the_runs_own_options(tmp_path: Path, trained: Path, refused: Callable[..., str]) -> None:
    said = refused("train", "--out", trained, "--resume", "--seed", "3")
    assert "cannot resume with other options: seed was 0, now 3" in said
    said = refused("train", "--out", trained, "--resume", "--threads", "2", "--epochs", "5")  # other sums, other bits
    assert "cannot resume with other options: threads was 1, now 2." in said
    assert "resume it (option --resume), or choose another folder" in refused("train", "--out", trained)
    assert "no run here to resume" in refused("train", "--out", tmp_path / "none", "--resume")
    assert not (tmp_path / "none").exists()


def test_a_world_model_fitted_again_or_damaged_is_refused(
    tmp_path: Path, tiny: list[str], trained: Path, refused: Callable[..., str]
) -> None:
    run, world = tmp_path / "run", tmp_path / "run" / "world"
    shutil.copytree(trained, run)
    whole = (world / "model.safetensors").read_bytes()
    (world / "model.safetensors").write_bytes(whole[:-3] + b"xyz")
    resume, other = (
        ["train", "--out", run, "--resume", "--epochs", "5"],
        "run: its world model is not the one that it was",
    )
    assert "world/model.safetensors: damaged world model (its checksum does not fit)" in refused(*resume)
    assert other in refused("evaluate", run)
    options = [word.replace("--model.", "--") for word in tiny[: tiny.index("--epochs")]]
    assert main(["fit", "--out", str(world), *options, "--seed", "1"]) == 0
    assert other in refused(*resume)
    assert other in refused("evaluate", run)
