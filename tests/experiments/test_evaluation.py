"""One object holds what an evaluation found, for a run in memory and events that it never saw."""

import json
from pathlib import Path

import polars as pl
import pytest
import torch

import darlr
from darlr.data.log import InteractionLog
from darlr.data.sets.synthetic import SyntheticWorld, generate
from darlr.data.split import reserve
from darlr.errors import RunError
from darlr.evaluation.result import Evaluation
from darlr.evaluation.truth import whole
from darlr.experiments.evaluate import evaluate
from darlr.options import SyntheticConfig

OPTIONS = {"steps": 200, "sessions": 8, "model": {"epochs": 1, "members": 2}, "session": {"turns": 5, "exit": "none"}}


@pytest.fixture(scope="module")
def world() -> SyntheticWorld:
    return generate(SyntheticConfig(users=24, items=16, categories=4, events_per_user=8))


@pytest.fixture(scope="module")
def parts(world: SyntheticWorld) -> tuple[InteractionLog, InteractionLog]:
    return reserve(world.log, 0.4)


@pytest.fixture(scope="module")
def model(parts: tuple[InteractionLog, InteractionLog]) -> darlr.Recommender:
    return darlr.Recommender("mbpo", **OPTIONS).fit(parts[0], epochs=1, progress=False)


@pytest.fixture(scope="module")
def found(model: darlr.Recommender, parts: tuple[InteractionLog, InteractionLog]) -> Evaluation:
    return evaluate([model.run], kept=parts[1])


def test_without_a_folder_tables_are_frames(found: Evaluation) -> None:
    rows = found.rows
    assert set(rows["mode"]) == {"NX_0", "FB", "NX_10"}
    assert {"MBPO", "random", "bias-model list", "oracle (evaluation model)"} <= set(rows["name"])
    first = rows.row(0, named=True)
    assert first["mean_low"] <= first["mean"] <= first["mean_high"]
    assert first["iqm_low"] <= first["iqm"] <= first["iqm_high"]
    assert "MBPO - MBPO, start" in found.comparisons["pair"]
    following = found.next_items.filter(pl.col("name") == "MBPO").row(0, named=True)
    assert following["nDCG@10_low"] <= following["nDCG@10"] <= following["nDCG@10_high"]
    assert set(found.unseen_events["name"]) >= {"world model of the run", "evaluation world model"}
    assert found.off_policy.is_empty()  # the log has no propensities


def test_it_prints_and_shows_what_it_says(found: Evaluation) -> None:
    text, shown = str(found), found._repr_html_()
    for word in ("MBPO", "Next items", "warning: no truth is known", found.verdict[0]):
        assert word in text
    assert shown.startswith("<pre>")
    assert "MBPO" in shown
    assert (
        "the trained model is ready for that" in text
        or "darlr export RUN" in text
        or "This table cannot choose a policy" in text
    )


def test_it_saves_what_the_command_writes(found: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found.save(tmp_path / "report")
    document = json.loads((tmp_path / "report" / "table.json").read_text("utf-8"))
    assert [row["name"] for row in document["rows"]] == found.rows["name"].to_list()
    assert document["sections"]["Verdict"] == list(found.verdict)
    text = (tmp_path / "report" / "table.md").read_text("utf-8")
    assert text.startswith("# Evaluation\n\n## Verdict\n\n")
    pictures = found.pictures()
    assert {f"{name}.png" for name in pictures} == {path.name for path in (tmp_path / "report").glob("*.png")}
    found.save(tmp_path / "tables", pictures=False)
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["table.json", "table.md"]


def test_a_truth_may_be_given_and_something_must(model: darlr.Recommender, world: SyntheticWorld) -> None:
    found = evaluate([model.run], truth=whole(torch.from_numpy(world.reward)), only="learned")
    assert {row.name for row in found.table} == {"MBPO", "MBPO, start"}
    assert found.next_items.is_empty()
    with pytest.raises(RunError, match="no truth"):
        evaluate([model.run])
