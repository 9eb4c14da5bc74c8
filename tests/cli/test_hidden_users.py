"""A run that hid users: its report has rows of both kinds, on the truth and without one."""

import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from darlr.cli.main import main
from darlr.experiments.evaluate import open_runs
from darlr.experiments.new_users import bayes_rows
from darlr.world.fit import fit_belief

HIDE = ["--users", "both", "--split.hidden", "0.25", "--split.evaluation", "0.3", "--method", "darlr+", "--epochs", "1"]


@pytest.fixture(scope="module")
def hiding(once: Callable[[str, Callable[[Path], object]], Path], tiny: list[str]) -> Path:
    def make(folder: Path) -> None:
        assert main(["train", "--out", str(folder), *tiny, *HIDE]) == 0

    return once("hiding", make)


@pytest.mark.parametrize("more", [[], ["--without-truth"]])
def test_a_report_has_both_kinds_of_users(hiding: Path, tmp_path: Path, more: list[str]) -> None:
    assert main(["evaluate", str(hiding), "--out", str(tmp_path), "--no-pictures", *more]) == 0
    found = json.loads((tmp_path / "table.json").read_text("utf-8"))
    names = [{row["name"] for row in found["rows"] if row["new"] == new} for new in (False, True)]
    assert names[0] == names[1]
    assert {"DARLR+", "DARLR+, start", "Bayes greedy, exit-aware", "Thompson sampling"} <= names[1]
    assert {row["users"] for row in found["rows"] if not row["new"]} == {18}
    assert {row["users"] for row in found["rows"] if row["new"]} == {6}
    assert any(name.startswith("new users: DARLR+ - ") for name in found["comparisons"])
    assert "## NX_0: no repeats, exit window N = 1, new users" in (tmp_path / "table.md").read_text("utf-8")


def test_felt_exits_have_exit_aware_rows_only_of_the_index(hiding: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = Mock(wraps=fit_belief)
    monkeypatch.setattr("darlr.world.context.fit_belief", fit)
    (run,) = open_runs([hiding])
    names = {row.name for row in bayes_rows([run], exits=True, avoid=False, new=True)}
    assert names == {"Bayes greedy", "Thompson sampling", "index of staying, exit-aware"}
    fit.assert_called_once()  # for all of them


def test_one_kind_alone(hiding: Path, tmp_path: Path) -> None:
    assert main(["evaluate", str(hiding), "--out", str(tmp_path), "--no-pictures", "--users", "new"]) == 0
    assert all(row["new"] for row in json.loads((tmp_path / "table.json").read_text("utf-8"))["rows"])


@pytest.mark.parametrize("users", ["new", "both"])
def test_without_hidden_users_there_are_no_new_ones_and_nothing_is_played(
    trained: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, users: str
) -> None:
    monkeypatch.setattr("darlr.experiments.evaluate.learned_rows", None)
    said = refused("evaluate", trained, "--users", users)
    assert "no user was hidden from training, so there are no new users; train with a share of them hidden" in said


def test_a_run_that_hides_users_does_not_go_on_without_hiding(hiding: Path, refused: Callable[..., str]) -> None:
    said = refused("train", "--out", hiding, "--resume", "--users", "known", code=2)
    assert "option --users: known hides nobody from training, and split.hidden is 0.25" in said
