"""Events kept for evaluation: training never sees them, and nothing changes where a truth is known."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from darlr.cli.main import main
from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.synthetic import generate
from darlr.data.split import reserve
from darlr.data.store import save
from darlr.evaluation.truth import load_truth, write_truth
from darlr.experiments.logs import open_logs
from darlr.options import RunConfig, SplitConfig, SyntheticConfig

WORLD = SyntheticConfig(users=24, items=16, categories=4, events_per_user=8)


def prepared(log: InteractionLog, folder: Path) -> str:
    save(log, folder, PrepareReport("test", rows_read=len(log), rows_kept=len(log)))
    return str(folder)


@pytest.fixture(scope="module")
def log() -> InteractionLog:
    return generate(WORLD).log


def test_training_is_the_same_to_the_bit_without_the_kept_events(
    log: InteractionLog, tmp_path: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    data = prepared(log, tmp_path / "all"), prepared(reserve(log, 0.3)[0], tmp_path / "rest")
    runs = tmp_path / "kept", tmp_path / "never-there"
    for source, run, share in zip(data, runs, ([], ["--split.evaluation", "0"]), strict=True):
        assert main(["train", "--data", source, "--out", str(run), *tiny, "--epochs", "2", *share]) == 0
        following = "recommend" if share else "evaluate"  # where nothing can be evaluated, another command comes next
        assert f"next: darlr {following} {run}" in capsys.readouterr().err
    for name in ("world/model.safetensors", "checkpoint.safetensors", "policy/policy.safetensors"):
        one, other = (load_file(run / name) for run in runs)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), name
    recorded = [json.loads((run / "config.json").read_text("utf-8"))["config"]["split"]["evaluation"] for run in runs]
    assert recorded == [0.3, 0.0]


def test_the_two_sides_share_no_cell_whatever_the_seed(log: InteractionLog, tmp_path: Path) -> None:
    data = prepared(log, tmp_path / "data")
    kept = open_logs(RunConfig(data=data)).kept
    assert kept is not None
    cells = set((kept.user * kept.n_items + kept.item).tolist())
    assert len(kept) == pytest.approx(0.3 * len(log), rel=0.2)
    for split in (SplitConfig(), SplitConfig(seed=7), SplitConfig(seed=7, keep=0.5, refit=False)):
        config = RunConfig(data=data, split=split)
        logs = open_logs(config)
        for part in (logs.whole, logs.train, logs.held_out, logs.fitted, logs.unseen, logs.catalogue):
            assert not cells & set((part.user * part.n_items + part.item).tolist())
        assert logs.kept is not None
        assert np.array_equal(logs.kept.item, kept.item)


def test_data_with_a_truth_keeps_nothing_back(log: InteractionLog, tmp_path: Path) -> None:
    assert len(open_logs(RunConfig(synthetic=WORLD)).whole) == len(log)
    data = prepared(log, tmp_path / "data")
    truth = load_truth("synthetic", options=WORLD)
    assert truth is not None
    write_truth(truth, tmp_path / "data")
    assert len(open_logs(RunConfig(data=data)).whole) == len(log)
    asked = RunConfig(data=data, split=replace(SplitConfig(), evaluation=0.5))
    assert len(open_logs(asked).whole) == pytest.approx(len(log) / 2, rel=0.2)


def test_a_world_model_fitted_apart_leaves_out_the_same_events(
    log: InteractionLog, tmp_path: Path, tiny: list[str], refused: Callable[..., str]
) -> None:
    data = prepared(log, tmp_path / "data")
    world = str(tmp_path / "world")
    assert main(["fit", "--data", data, "--out", world, "--members", "1", "--epochs", "1"]) == 0
    train = ["train", "--data", data, "--world", world, *tiny, "--epochs", "0", "--out"]
    assert main([*train, str(tmp_path / "run")]) == 0
    assert "split differ" in refused(*train, tmp_path / "all", "--split.evaluation", "0")
