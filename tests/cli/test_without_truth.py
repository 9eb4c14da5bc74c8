"""`darlr evaluate` where no truth is known: an evaluation world model, errors on unseen events, off-policy values."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darlr.cli.main import main
from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sets.synthetic import generate
from darlr.data.store import save
from darlr.experiments import unseen
from darlr.options import SyntheticConfig

Refused = Callable[..., str]
WORLD = SyntheticConfig(users=40, items=16, categories=4, events_per_user=12)
EXITS = ["--session.exit", "none"]


def prepared(log: InteractionLog, folder: Path) -> Path:
    save(log, folder, PrepareReport("test", rows_read=len(log), rows_kept=len(log)))
    return folder


def document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "table.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratings without a truth, logged by chance: every item with probability 1 / 16 of being the event's."""
    log = generate(WORLD).log
    draw = np.random.default_rng(0)
    user = np.arange(WORLD.users).repeat(30)
    item = draw.integers(16, size=len(user))
    reward = generate(WORLD).reward[user, item]
    even = np.full(len(user), 1 / 16, dtype=np.float32)
    log = replace(log, user=user, item=item, reward=reward, propensity=even, timestamp=None)
    return prepared(log, tmp_path_factory.mktemp("shop") / "ratings")


@pytest.fixture(scope="module")
def run(ratings: Path, tmp_path_factory: pytest.TempPathFactory, tiny: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "run"
    assert main(["train", "--data", str(ratings), "--out", str(folder), *tiny, *EXITS, "--epochs", "1"]) == 0
    return folder


@pytest.fixture(scope="module")
def evaluated(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "table"
    assert main(["evaluate", str(run), "--out", str(folder), "--no-pictures"]) == 0
    return folder


def test_a_run_is_played_on_the_evaluation_world_model(evaluated: Path) -> None:
    found = document(evaluated)
    assert found["about"]["warning"].startswith("no truth is known")
    assert "evaluation world model, fitted on" in found["about"]["played on"]
    assert "- warning: no truth is known" in (evaluated / "table.md").read_text("utf-8")
    names = {row["name"] for row in found["rows"]}
    assert names >= {"DARLR", "random", "item-mean list", "world-model greedy", "oracle (evaluation model)"}
    assert not [name for name in names if "(truth)" in name]
    assert {row["mode"] for row in found["rows"]} == {"NX_0", "FB", "NX_10"}
    ours, second = (found["sections"]["Unseen events"][row] for row in (0, 3))
    assert (ours["name"], second["name"]) == ("world model of the run", "evaluation world model")
    assert 0 < ours["events"] < 0.3 * 40 * 30 + 40  # those in cells that training saw do not count
    assert 0 < second["events"] < 40 * 30
    assert ours["metrics"].keys() == {"RMSE", "MAE", "pairs", "NDCG"}


def test_it_is_fitted_once_and_the_warning_is_printed(
    evaluated: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, model = document(evaluated), evaluated / "evaluation-world" / "model.safetensors"
    fitted = model.stat().st_mtime_ns
    capsys.readouterr()
    assert main(["evaluate", str(run), "--out", str(evaluated), "--no-pictures", "--only", "learned"]) == 0
    said = capsys.readouterr().err
    assert "warning: no truth is known" in said
    assert "fitting" not in said
    assert model.stat().st_mtime_ns == fitted
    after = document(evaluated)
    for name in before["sections"].keys() - {"Verdict", "Next items"}:  # which are about the rows of the table
        assert after["sections"][name] == before["sections"][name]
    mine = [row for row in before["rows"] if row["kind"] == "learned" or row["name"].endswith(", start")]
    assert after["rows"] == mine


def test_an_untrained_evaluation_model_fails_its_test(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untrained = partial(unseen.WorldModelConfig, members=1, epochs=0)
    monkeypatch.setattr(unseen, "WorldModelConfig", untrained)
    assert main(["evaluate", str(run), "--out", str(tmp_path), "--no-pictures", "--only", "learned"]) == 0
    text = (tmp_path / "table.md").read_text("utf-8")
    assert "The evaluation world model fails its test: its fit did not improve on its random start" in text


def test_propensities_give_off_policy_values(evaluated: Path) -> None:
    found = document(evaluated)["sections"]["Off-policy, first step"]
    chance = found["random, sampled"]
    assert chance["support"]["value"] == pytest.approx(1)
    assert chance["snips"]["value"] == pytest.approx(found["log"]["value"])  # it is the log's own policy
    assert "effective sample size" in found["DARLR, greedy"]["refused"]  # about 360 / 16 events show its item
    assert found["DARLR, greedy"]["dr"] is None
    text = (evaluated / "table.md").read_text("utf-8")
    assert "- DARLR, greedy: no estimate: effective sample size" in text


def test_policies_are_measured_by_what_users_did_next(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["evaluate", str(run), "--out", str(tmp_path), "--no-pictures"]) == 0
    found = {row["name"]: row for row in document(tmp_path)["sections"]["Next items"]}
    assert found.keys() >= {"DARLR", "popularity list", "bias-model list", "EASE", "implicit ALS", "random"}
    assert found["DARLR"]["metrics"].keys() == {"hit rate@10", "recall@10", "nDCG@10", "first own"}
    text = (tmp_path / "table.md").read_text("utf-8")
    assert "## Next items\n\nThe first row by nDCG@10 is " in text
    assert "The test events are drawn at random from each user's events: " in text
    monkeypatch.setitem(sys.modules, "implicit.als", None)
    assert main(["evaluate", str(run), "--out", str(tmp_path), "--no-pictures"]) == 0
    assert "implicit ALS" not in {row["name"] for row in document(tmp_path)["sections"]["Next items"]}
    assert "implicit ALS is left out: this baseline needs implicit" in (tmp_path / "table.md").read_text("utf-8")


def test_positives_are_measured_by_order_alone(tmp_path: Path, tiny: list[str]) -> None:
    log = generate(WORLD).log
    log = replace(log, reward=np.ones(len(log), dtype=np.float32), reward_range=(0.0, 1.0), timestamp=None)
    data = prepared(log, tmp_path / "data")
    run = tmp_path / "run"
    assert main(["train", "--data", str(data), "--out", str(run), *tiny, *EXITS, "--epochs", "1"]) == 0
    assert main(["evaluate", str(run), "--no-pictures", "--only", "learned"]) == 0
    found = document(run)
    rows = found["sections"]["Unseen events"]
    assert {name for row in rows for name in row["metrics"]} == {"pairs", "NDCG@30"}
    assert rows[1]["name"] == "popularity list, on the same"
    following = found["sections"]["Next items"]
    assert {row["name"] for row in following} == {"DARLR", "DARLR, start"}
    assert following[0]["metrics"].keys() == {"hit rate@10", "recall@10", "nDCG@10"}
    assert "Off-policy, first step" not in found["sections"]
    assert (run / "evaluation-world").is_dir()


def test_a_run_that_kept_nothing_is_refused_with_a_way_to_train(
    ratings: Path, run: Path, tmp_path: Path, tiny: list[str], refused: Refused
) -> None:
    for share in ("0", "0.5"):
        options = [*tiny, *EXITS, "--epochs", "1", "--split.evaluation", share, "--label", f"share {share}"]
        assert main(["train", "--data", str(ratings), "--out", str(tmp_path / share), *options]) == 0
    said = refused("evaluate", tmp_path / "0")
    assert "has no truth" in said
    assert "a share of 0.3 (option --split.evaluation)" in said
    assert not (tmp_path / "0" / "table.md").exists()
    assert "evaluate them apart" in refused("evaluate", run, tmp_path / "0.5")
    assert "has no truth" in refused("evaluate", run, tmp_path / "0")


def test_as_if_no_truth_was_known(trained: Path, tmp_path: Path, tiny: list[str], refused: Refused) -> None:
    assert "a share of 0.3 (option --split.evaluation)" in refused("evaluate", trained, "--without-truth")
    run = tmp_path / "run"
    assert main(["train", "--out", str(run), *tiny, "--epochs", "1", "--split.evaluation", "0.5"]) == 0
    assert main(["evaluate", str(run), "--no-pictures"]) == 0
    truth = document(run)
    assert {row["name"] for row in truth["rows"]} >= {"oracle (truth)", "DARLR"}
    assert len(truth["sections"]["Unseen events"]) == 3  # the run's own world model, its baseline, the difference
    assert "warning" not in truth["about"]
    assert main(["evaluate", str(run), "--without-truth", "--no-pictures"]) == 0
    assert "oracle (evaluation model)" in {row["name"] for row in document(run / "without-truth")["rows"]}
    assert document(run) == truth
