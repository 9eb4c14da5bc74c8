import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from darlr.errors import MachineError, RunError
from darlr.experiments.runs import Run, load_best, load_checkpoint, read_config, read_inputs, read_metrics
from darlr.io.checkpoint import generator_states, read_checkpoint, restore_generators, write_checkpoint
from darlr.io.files import atomic_write_bytes, atomic_write_text
from darlr.io.lock import Lock
from darlr.io.tensors import write_tensors
from darlr.options import SessionConfig, TrainConfig
from tests import forked

CONFIG = TrainConfig(seed=7)


def _tensors(value: float = 1.0) -> dict[str, torch.Tensor]:
    table = torch.arange(6.0).reshape(2, 3) * value
    return {
        "table": table,
        "view": table[:, 1],
        "same": table,
        "scalar": torch.tensor(value, dtype=torch.float64),
        "empty": torch.zeros(0, 4),
        "flags": torch.tensor([True, False]),
        "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "codes": torch.tensor([-1, 2**40]),
    }


def _assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert tensor.dtype == right[name].dtype
        assert torch.equal(tensor, right[name])


def test_a_run_from_start_to_reading(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    with Run.start(folder, CONFIG, inputs={"data": "abc"}) as run:
        assert run.load_checkpoint() is None
        run.log({"epoch": 1, "reward": 2.5, "loss": float("nan")})
        run.save_checkpoint(_tensors(), {"epoch": 1, "best": 0.1, "big": 2**70})
    assert read_config(folder, TrainConfig) == CONFIG
    assert read_inputs(folder) == {"data": "abc"}
    assert read_metrics(folder) == [{"epoch": 1, "reward": 2.5, "loss": None}]
    loaded = load_checkpoint(folder)
    assert loaded is not None
    _assert_same(loaded[0], _tensors())
    assert loaded[1] == {"epoch": 1, "best": 0.1, "big": 2**70}
    (start,) = json.loads((folder / "provenance.json").read_text())
    assert start["seed"] == 7
    assert start["versions"]["torch"] == torch.__version__
    assert start["machine"]["cpus"] >= 1
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock", "checkpoint.safetensors", "config.json", "metrics.jsonl", "provenance.json",
    ]  # fmt: skip


def test_resume_cuts_metrics_back_to_the_checkpoint(tmp_path: Path) -> None:
    with Run.start(tmp_path, CONFIG) as run:
        run.log({"epoch": 1})
        run.save_checkpoint({}, {"epoch": 1})
        run.log({"epoch": 2})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "rew')  # killed while writing
    assert read_metrics(tmp_path) == [{"epoch": 1}, {"epoch": 2}]
    with Run.start(tmp_path, CONFIG, resume=True) as run:
        assert read_metrics(tmp_path) == [{"epoch": 1}]
        run.log({"epoch": 2})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"epoch": 1}\n{"epoch": 2}\n'
    assert len(json.loads((tmp_path / "provenance.json").read_text())) == 2


def test_resume_before_the_first_checkpoint_starts_over(tmp_path: Path) -> None:
    with Run.start(tmp_path, CONFIG) as run:
        run.log({"epoch": 1})
    with Run.start(tmp_path, CONFIG, resume=True) as run:
        assert run.load_checkpoint() is None
        assert read_metrics(tmp_path) == []


def test_resume_after_a_kill_before_the_config(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.json.abc.tmp").mkdir()
    (tmp_path / ".config.json.abc.tmp" / "config.json").write_text("{")
    with Run.start(tmp_path, CONFIG, resume=True):
        assert not list(tmp_path.glob("*.tmp"))
    assert not list(tmp_path.glob(".*.tmp"))


def test_folders_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run here to resume; turn resuming off"):
        Run.start(tmp_path / "none", CONFIG, resume=True)
    assert not (tmp_path / "none").exists()
    (tmp_path / "thesis.txt").touch()
    for resume in (False, True):
        with pytest.raises(RunError, match=r"not empty and no run \(thesis\.txt is in it\)"):
            Run.start(tmp_path, CONFIG, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(RunError, match=r"is a file"):
        Run.start(tmp_path / "thesis.txt", CONFIG)
    Run.start(tmp_path / "run", CONFIG).close()
    with pytest.raises(RunError, match=r"holds a run already; resume it"):
        Run.start(tmp_path / "run", CONFIG)
    with pytest.raises(RunError, match=r"no run here \(config\.json is missing\)"):
        read_config(tmp_path, TrainConfig)


def test_resume_with_other_options_is_refused_by_name(tmp_path: Path) -> None:
    Run.start(tmp_path, CONFIG, inputs={"data": "abc"}).close()
    changed = dataclasses.replace(CONFIG, epochs=40, session=SessionConfig(window=4))
    with pytest.raises(RunError, match=r"epochs was 20, now 40; session\.window was 1, now 4"):
        Run.start(tmp_path, changed, inputs={"data": "abc"}, resume=True)
    with pytest.raises(RunError, match=r"options: session\.window was 1, now 4\."):
        Run.start(tmp_path, changed, inputs={"data": "abc"}, resume=True, may_change=["epochs"])
    with pytest.raises(RunError, match=r"input data was 'abc', now 'xyz'"):
        Run.start(tmp_path, CONFIG, inputs={"data": "xyz"}, resume=True)
    longer = dataclasses.replace(CONFIG, epochs=40)
    Run.start(tmp_path, longer, inputs={"data": "abc"}, resume=True, may_change=["epochs"]).close()
    assert read_config(tmp_path, TrainConfig) == longer


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with Run.start(tmp_path, CONFIG):
        with pytest.raises(RunError, match=rf"process {os.getpid()} is writing to this run"):
            Run.start(tmp_path, CONFIG, resume=True)
        load_checkpoint(tmp_path)  # readers are welcome
    Run.start(tmp_path, CONFIG, resume=True).close()


def test_a_failed_start_lets_go_of_the_lock(tmp_path: Path) -> None:
    Run.start(tmp_path, CONFIG).close()
    with pytest.raises(RunError):
        Run.start(tmp_path, CONFIG)
    Lock(tmp_path).release()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, _tensors(), {"epoch": 1})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(RunError, match=r"c\.safetensors: damaged checkpoint .*restore the file"):
        read_checkpoint(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, _tensors(), {"epoch": 1})
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match=r"checksum does not fit"):
        read_checkpoint(path)
    write_tensors(path, {}, {"schema": "darlr-checkpoint-9", "state": {}})
    with pytest.raises(RunError, match=r"not a checkpoint of this version"):
        read_checkpoint(path)


def test_a_damaged_checkpoint_stops_resume(tmp_path: Path) -> None:
    with Run.start(tmp_path, CONFIG) as run:
        run.log({"epoch": 1})
        run.save_checkpoint(_tensors(), {"epoch": 1})
    metrics = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "metrics.jsonl").write_bytes(b"")
    with pytest.raises(RunError, match=r"metrics\.jsonl: 0 bytes, but the checkpoint was written after 13"):
        Run.start(tmp_path, CONFIG, resume=True)
    (tmp_path / "metrics.jsonl").write_bytes(metrics)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"short")
    with pytest.raises(RunError, match="damaged checkpoint"):
        Run.start(tmp_path, CONFIG, resume=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", r"config\.json: damaged, not JSON"),
        ("config.json", "[]", r"config\.json: not written by this version"),
        ("provenance.json", "{}", r"provenance\.json: must hold an array"),
    ],
)
def test_damaged_json_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    Run.start(tmp_path, CONFIG).close()
    (tmp_path / name).write_text(content)
    with pytest.raises(RunError, match=message):
        Run.start(tmp_path, CONFIG, resume=True)


def test_a_bad_metrics_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"a": 1}\noops\n{"a": 2}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl: line 2 is not JSON"):
        read_metrics(tmp_path)


def test_a_checkpoint_is_a_copy_of_the_moment(tmp_path: Path) -> None:
    table = torch.zeros(3)
    write_checkpoint(tmp_path / "c", {"table": table}, {})
    loaded, _ = read_checkpoint(tmp_path / "c")
    loaded["table"] += 1  # must not reach the file
    table += 2
    assert torch.equal(read_checkpoint(tmp_path / "c")[0]["table"], torch.zeros(3))


def test_generators_continue_where_they_were(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    torch.rand(3, generator=generator)
    write_checkpoint(tmp_path / "c", generator_states({"rollout": generator}), {})
    expected = torch.rand(9, generator=generator)
    tensors, _ = read_checkpoint(tmp_path / "c")
    other = torch.Generator().manual_seed(0)
    restore_generators({"rollout": other}, tensors)
    assert torch.equal(torch.rand(9, generator=other), expected)
    with pytest.raises(RunError, match=r"no random generator update"):
        restore_generators({"update": other}, tensors)
    with pytest.raises(RunError, match=r"generator rollout does not fit device cpu"):
        restore_generators({"rollout": other}, {"generator.rollout": torch.zeros(16, dtype=torch.uint8)})


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    atomic_write_text(path, "old")
    path.chmod(0o640)

    def full(_: int) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"a\.txt: cannot be written \(disk full"):
            atomic_write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    atomic_write_bytes(path, b"new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640


WRITER = """
import resource, signal, sys, torch
from pathlib import Path
from darlr.options import TrainConfig
from darlr.experiments.runs import Run

folder, full_at = Path(sys.argv[1]), int(sys.argv[2])
with Run.start(folder, TrainConfig(), resume=folder.exists()) as run:
    found = run.load_checkpoint()
    epoch = found[1]["epoch"] if found else 0
    while True:
        epoch += 1
        if epoch == full_at:  # the kernel kills the process in the middle of the write
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        run.log({"epoch": epoch})
        run.save_checkpoint({"table": torch.full((200_000,), float(epoch))}, {"epoch": epoch})
        print(epoch, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills processes with signals")
def test_a_kill_at_any_instant_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def epoch_on_disk() -> int:
        found = load_checkpoint(folder)
        assert found is not None
        epoch: int = found[1]["epoch"]
        assert torch.equal(found[0]["table"], torch.full((200_000,), float(epoch)))
        assert [row["epoch"] for row in read_metrics(folder)][:epoch] == list(range(1, epoch + 1))
        return epoch

    writer = forked.run(WRITER, folder, 3)
    assert writer.stdout.split() == ["1", "2"]
    assert writer.returncode == -signal.SIGXFSZ
    assert len(list(folder.glob(".*.tmp"))) == 1
    assert epoch_on_disk() == 2

    command = [sys.executable, "-c", WRITER, str(folder), "-1"]
    said = tmp_path / "said"
    with said.open("w") as output, (tmp_path / "errors").open("w") as errors:
        going_on = forked.Popen(command, forked.PIPE, output, errors, dict(os.environ))
        while not said.read_text("utf-8") and going_on.poll() is None:
            time.sleep(0.001)
        going_on.kill()
        going_on.wait()
    assert said.read_text("utf-8").startswith("3\n")  # past the dead process's lock, on from its last checkpoint
    assert epoch_on_disk() >= 3


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MachineError, match=r"pip install 'darlr\[tensorboard\]'"):
        Run.start(tmp_path / "run", CONFIG, tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is an extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Run.start(tmp_path, CONFIG, tensorboard=True) as run:
        run.log({"reward": 1.5, "mode": "FB"})
        run.save_checkpoint({}, {})
        run.log({"reward": 9.0})
    with Run.start(tmp_path, CONFIG, tensorboard=True, resume=True) as run:
        run.log({"reward": 2.5})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("reward")] == [(1, 1.5), (2, 2.5)]
    assert events.Tags()["scalars"] == ["reward"]


def test_missing_best_weights_are_named(tmp_path: Path):
    with pytest.raises(RunError, match=r"best\.safetensors is missing, the policy that the run hands over"):
        load_best(tmp_path)
