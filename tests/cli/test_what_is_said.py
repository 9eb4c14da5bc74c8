"""What commands say of a run besides its numbers: the unit of rewards, sessions and world models that teach nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from darlr.cli.main import main
from darlr.data.report import PrepareReport
from darlr.data.sets.synthetic import generate
from darlr.data.store import save
from darlr.evaluation.truth import whole, write_truth
from darlr.options import SyntheticConfig

Refused = Callable[..., str]
SHORT = ["--epochs", "1", "--steps", "16"]
UNIT = "rewards from -10 to 10 are learned as 1 to 5"
ALIKE = "a session of 16 turns shows the whole catalogue of 16 items"


def said_by(capsys: pytest.CaptureFixture[str], *options: object) -> str:
    capsys.readouterr()
    assert main([str(option) for option in options]) == 0
    return capsys.readouterr().err


def test_the_unit_of_rewards_is_reported_once_and_heads_the_tables(
    tmp_path: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = generate(SyntheticConfig(users=24, items=16, categories=4, events_per_user=8))
    log = replace(made.log, reward=(made.log.reward - 3) * 5, reward_range=(-10.0, 10.0))
    data, run = tmp_path / "data", tmp_path / "run"
    save(log, data, PrepareReport("test", rows_read=len(log), rows_kept=len(log)))
    write_truth(whole(torch.from_numpy((made.reward - 3) * 5)), data)
    assert said_by(capsys, "train", "--data", data, "--out", run, *tiny, *SHORT).count(UNIT) == 1
    assert f"unit: {UNIT}" in said_by(capsys, "evaluate", run, "--only", "learned", "--no-pictures")
    assert json.loads((run / "table.json").read_text("utf-8"))["about"]["unit"] == UNIT
    assert UNIT in said_by(capsys, "compare", "--data", data, "--out", tmp_path / "grid", "--dry-run", "--seeds", 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--session.tastes drawn --model.members 1", "option --session.tastes: drawn needs a world model with a post"),
        ("--session.exit learned", "option --session.exit: learned needs the times of events, and {data} has none"),
        ("--tables.neighbour-source logged", "option --tables.neighbour-source: logged is for logs of positives; this"),
        ("--session.fatigue learned", "none; name their column when the log is read (--timestamp of `darlr data prep"),
    ],
)
def test_what_the_log_or_the_world_model_lacks_is_said_before_any_work(
    tmp_path: Path, tiny: list[str], refused: Refused, options: str, said: str
) -> None:
    log, data, run = generate(SyntheticConfig(users=24, items=16, categories=4, events_per_user=8)).log, "data", "run"
    save(replace(log, timestamp=None), tmp_path / data, PrepareReport("test", rows_read=len(log), rows_kept=len(log)))
    own = tiny[tiny.index("--model.hidden") :]
    write_truth(whole(torch.zeros(24, 16)), tmp_path / data)
    for command in ["train"], ["compare", "--methods", "mbpo", "--seeds", 1]:
        found = refused(*command, "--data", tmp_path / data, "--out", tmp_path / run, *own, *options.split(), code=2)
        assert said.format(data=tmp_path / data) in found
        assert not (tmp_path / run).exists()


def test_rewards_that_are_learned_as_they_are_need_no_word(
    tmp_path: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = said_by(capsys, "train", "--out", tmp_path / "run", *tiny, *SHORT)
    assert "are learned as" not in said
    assert "whole catalogue" not in said
    assert "untrained" not in said


def test_sessions_that_show_everything_are_reported_before_training(
    tmp_path: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*tiny, *SHORT, "--session.turns", "16", "--session.exit", "none"]
    said = said_by(capsys, "train", "--out", tmp_path / "run", *options, "--sessions", 1)
    assert f"warning: {ALIKE}" in said
    assert "whole catalogue" not in said_by(
        capsys, "train", "--out", tmp_path / "again", *options, "--sessions", 1, "--session.repeats"
    )
    grid = ["--out", tmp_path / "grid", "--dry-run", "--methods", "trivial", "--seeds", 1]
    assert f"warning, NX_0: {ALIKE}" in said_by(capsys, "compare", *grid, *options)


def test_an_untrained_world_model_is_reported(
    tmp_path: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    warning, world = "warning: the world model is untrained", tmp_path / "run" / "world"
    assert warning in said_by(capsys, "train", "--out", tmp_path / "run", *tiny, *SHORT, "--model.epochs", 0)
    options = [*tiny, *SHORT, "--model.epochs", 0]
    assert warning in said_by(capsys, "train", "--out", tmp_path / "other", *options, "--world", world)
    synthetic = [
        option for pair in zip(tiny[::2], tiny[1::2], strict=True) if "synthetic" in pair[0] for option in pair
    ]
    assert warning in said_by(capsys, "fit", "--out", tmp_path / "world", *synthetic, "--epochs", 0)


def test_fits_with_other_options_are_no_seeds_of_one_row(
    tmp_path: Path, tiny: list[str], trained: Path, refused: Refused
) -> None:
    other, given = tmp_path / "other", tmp_path / "given"
    assert main(["train", "--out", str(other), *tiny, *SHORT, "--model.hidden", "6", "--seed", "1"]) == 0
    for world, run in ((other / "world", given), (trained / "world", tmp_path / "same")):
        assert main(["train", "--out", str(run), *tiny, "--world", str(world), "--seed", "2"]) == 0
    assert "both are DARLR but differ in world_model.hidden, so they are no seeds" in refused(
        "evaluate", trained, given
    )
    table = ["--out", str(tmp_path / "table"), "--no-pictures", "--only", "learned"]
    assert main(["evaluate", str(trained), str(tmp_path / "same"), *table]) == 0
