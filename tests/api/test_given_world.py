"""A factor model of another library in place of a fitted one, from Python and on the command line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import darlr
from darlr.cli.main import main
from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.synthetic import generate
from darlr.data.store import save
from darlr.errors import ConfigError
from darlr.experiments.finished import open_run
from darlr.options import SyntheticConfig

QUICK: dict[str, Any] = {
    "epochs": 1,
    "steps": 32,
    "sessions": 16,
    "session__turns": 4,
    "session__exit": "none",
}
SMALL = QUICK | {"selector__picks": 2, "selector__projection": 4}
WORDS = [word for name, value in SMALL.items() for word in (f"--{name.replace('__', '.')}", str(value))]


def factors(log: InteractionLog, **more: Any) -> darlr.WorldModel:
    """The two leading directions of the mean-filled matrix of rewards."""
    whole = np.full((log.n_users, log.n_items), log.reward.mean())
    whole[log.user, log.item] = log.reward
    left, strength, right = np.linalg.svd(whole - whole.mean(0), full_matrices=False)
    sides = left[:, :2] * strength[:2], right[:2].T
    return darlr.WorldModel.from_factors(
        *sides, user_ids=log.user_ids, item_ids=log.item_ids, item_bias=whole.mean(0), **more
    )


@pytest.fixture(scope="module")
def log() -> InteractionLog:
    return generate(SyntheticConfig(users=24, items=16, categories=4, events_per_user=8)).log


def test_memory_a_folder_and_the_command_line_learn_the_same(
    log: InteractionLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = factors(log)
    fitted = darlr.Recommender("darlr", world=model, **SMALL).fit(log, progress=False)
    assert fitted.run.config.world_model.kind == "given"
    wanted = fitted.recommend(log.user_ids[:3], n=4)

    fitted.save(tmp_path / "saved")
    assert darlr.load(tmp_path / "saved").recommend(log.user_ids[:3], n=4).equals(wanted)

    written = darlr.Recommender("darlr", world=model, **SMALL).fit(log, folder=tmp_path / "run", progress=False)
    assert written.recommend(log.user_ids[:3], n=4).equals(wanted)

    model.save(tmp_path / "als")
    save(log, tmp_path / "shop", PrepareReport("memory", rows_read=len(log), rows_kept=len(log)))
    words = ["--data", str(tmp_path / "shop"), "--world", str(tmp_path / "als"), "--split.evaluation", "0"]
    assert main(["train", "--method", "darlr", *words, *WORDS, "--out", str(tmp_path / "cli")]) == 0
    assert darlr.load(tmp_path / "cli").recommend(log.user_ids[:3], n=4).equals(wanted)
    assert open_run(tmp_path / "cli").fitted.config.kind == "given"
    capsys.readouterr()
    assert main(["export", str(tmp_path / "cli"), "--refit", "--out", str(tmp_path / "policy")]) == 2
    assert "cli learned from factors of another library, which are not" in capsys.readouterr().err
    assert not (tmp_path / "policy").exists()


def test_uncertainty_is_refused_without_an_ensemble(
    log: InteractionLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = factors(log)
    for method, more in (("mopo", {}), ("dorl", {}), ("darlr", {"reward__penalty": "static"})):
        with pytest.raises(ConfigError, match="P_U of an ensemble"):
            darlr.Recommender(method, world=model, **{**QUICK, **more}).fit(log, folder=tmp_path / "run")
        assert not (tmp_path / "run").exists()
    darlr.Recommender("mopo", world=model, reward__lambda_u=0.0, **QUICK).fit(log, progress=False)
    with pytest.raises(ConfigError, match="not fitted here"):
        darlr.Recommender("mbpo", model__kind="given", **QUICK).fit(log, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_predictions_in_another_unit_are_warned_of(log: InteractionLog, capsys: pytest.CaptureFixture[str]) -> None:
    darlr.Recommender("mbpo", world=factors(log, mean=2.0), **QUICK).fit(log)
    assert "are the predictions in the unit of the log?" in capsys.readouterr().err
    darlr.Recommender("mbpo", world=factors(log, mean=2.0, calibrate=True), **QUICK).fit(log)
    assert "are the predictions" not in capsys.readouterr().err
