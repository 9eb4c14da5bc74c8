"""Searches: their trials are cells, and the same search goes the same way again, interrupted or not."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from darlr.cli.main import main
from darlr.cli.options import Tune
from darlr.cli.tune import ranges, run
from darlr.errors import ConfigError, RunError
from darlr.experiments.logs import open_logs
from darlr.experiments.study import search as module
from darlr.experiments.study.cells import Cell, Result, find, read_result
from darlr.experiments.study.search import STARTED, Task, Trial, check, search
from darlr.experiments.study.trial import HELD_OUT, KEPT
from darlr.experiments.study.tuned import gap, lines
from darlr.experiments.study.worker import run_task
from darlr.options import RunConfig, SelectorConfig, SyntheticConfig, TrainConfig, WorldModelConfig
from darlr.options.tuning import read_range
from tests.experiments.study.conftest import TINY

BASE = RunConfig(
    synthetic=SyntheticConfig(users=24, items=16, categories=4, events_per_user=8),
    world_model=WorldModelConfig(members=1, hidden=(4,), embedding=4, epochs=1),
)
CELLS = Path("cells")
RANGES = tuple(map(read_range, ("model.learning-rate=float:0.001:0.1:log", "model.dropout=float:0:0.5")))


def loss_of(cell: Cell) -> float:
    """Lowest at a step size of 0.02; dropout matters little; folds differ more than most settings."""
    model = cell.config.world_model
    return 10 * abs(model.learning_rate - 0.02) + 0.01 * model.dropout + 0.1 * cell.seed


class Fake:
    """Cells that need no process and no disk. after: the number of cells after which the user interrupts."""

    def __init__(self, loss: Callable[[Cell], float] = loss_of, after: int | None = None) -> None:
        self.loss, self.after, self.ran = loss, after, 0
        self.results: dict[str, dict[str, float]] = {}

    def run_cells(self, cells: Sequence[Cell], place: Path, executor: object = None) -> dict[str, str]:
        failed = {}
        for cell in cells:
            if self.ran == self.after:
                raise KeyboardInterrupt
            self.ran += 1
            value = self.loss(cell)
            if value < 0:
                failed[f"trial ({place / cell.folder})"] = "it diverged"
                continue
            self.results[cell.folder] = {HELD_OUT: value} | ({KEPT: 2 * value} if cell.config.split.draw else {})
        return failed

    def find(self, cell: Cell, place: Path) -> Path | None:
        return place / cell.folder if cell.folder in self.results else None

    def read_result(self, place: Path) -> Result:
        return Result(place, {}, {"losses": self.results[place.name]})

    def instead(self, patch: pytest.MonkeyPatch) -> "Fake":
        for name in ("run_cells", "find", "read_result"):
            patch.setattr(module, name, getattr(self, name))
        return self


@pytest.mark.parametrize(
    ("method", "more", "searched"),
    [
        ("mbpo", {}, []),
        ("roler", {}, ["reward.lambda-u", "reward.lambda-e"]),
        ("darlr", {"selector": SelectorConfig("random")}, ["selector.picks", "reward.lambda-u", "reward.lambda-e"]),
        ("darlr", {"selector": SelectorConfig(lambda_s=2)}, ["selector.picks", "selector.lambda-d"]),
    ],
)
def test_the_usual_ranges_are_those_of_options_that_the_method_reads(
    method: str, more: dict[str, SelectorConfig], searched: list[str]
) -> None:
    found = ranges(Tune(objective="policy", train=TrainConfig(method=method, **more)))  # type: ignore[arg-type]
    assert [one.name for one in found][: len(searched)] == searched
    assert found[-1].name == "recommender.a2c.learning-rate"
    assert len(found) == len(searched) + 1 or method == "darlr"


def task(**changes: object) -> Task:
    return check(replace(Task(BASE, open_logs(BASE), "world", RANGES, trials=14, folds=4), **changes))


def played(patch: pytest.MonkeyPatch, fake: Fake, wanted: Task) -> list[Trial]:
    fake.instead(patch)
    return list(search(wanted, CELLS).trials)


def test_an_interrupted_search_goes_on_to_the_same_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    for batch in (1, 3):
        wanted, straight = task(batch=batch, trials=5), Fake()
        expected, parts = played(monkeypatch, straight, wanted), Fake()
        for parts.after in (6, 13):
            with pytest.raises(KeyboardInterrupt):
                played(monkeypatch, parts, wanted)
        parts.after = None
        for _ in range(2):  # the second time nothing is left to run
            assert played(monkeypatch, parts, wanted) == expected
            assert parts.ran == straight.ran


def test_the_defaults_come_first_and_worse_trials_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake().instead(monkeypatch)
    wanted = task(trials=20)
    found = search(wanted, CELLS)
    assert found.default.options == {}
    assert found.default.mean() == pytest.approx(10 * 0.015 + 0.01 * 0.1 + 0.15)
    stopped = [one for one in found.trials if one.stopped]
    assert len(stopped) > 3
    assert {len(one.losses) for one in stopped} == {3}  # three losses of three are sure enough
    assert fake.ran == sum(len(one.losses) for one in found.trials) < 20 * 4
    assert found.best.mean() == min(one.mean() for one in found.trials if one.complete)
    assert abs(found.best.options["model.learning-rate"] - 0.02) < 0.005
    assert found.gain(found.best)[0] == pytest.approx(found.default.mean() - found.best.mean())
    assert found.gain(found.best)[1] == pytest.approx(0, abs=1e-9)  # folds are paired
    assert not any(one.stopped for one in search(replace(wanted, prune=False, trials=5), CELLS).trials)
    assert found.importance["model.learning-rate"] > found.importance["model.dropout"]
    text = "\n".join(lines(wanted, found, ()))
    assert f"{len(stopped)} trials stopped early" in text
    assert "0 (defaults)" in text


def test_the_sampler_and_its_seed_decide_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    def trials(**changes: object) -> list[Mapping[str, object]]:
        return [one.options for one in played(monkeypatch, Fake(), task(**changes))]

    tpe, random = trials(trials=STARTED + 3), trials(trials=STARTED + 3, sampler="random")
    assert tpe[:STARTED] == random[:STARTED]  # TPE has no model yet
    assert tpe[-2:] != random[-2:]
    assert trials(trials=3, seed=1)[1:] != tpe[1:3]


def test_an_outer_split_compares_gains_inside_and_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake().instead(monkeypatch)
    base = replace(BASE, split=replace(BASE.split, draw=1, evaluation=0.2))
    found = gap(search(check(Task(base, open_logs(base), "world", RANGES, trials=5, folds=2)), CELLS))
    assert found.outside == pytest.approx(2 * found.inside)
    assert found.optimism == pytest.approx(-found.inside)


def test_trials_that_fail_are_left_out_and_defaults_must_not(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Fake(lambda cell: -1.0 if cell.config.world_model.learning_rate > 0.03 else loss_of(cell))
    trials = played(monkeypatch, failing, task(trials=9))
    assert {one.failed for one in trials if one.failed} == {"it diverged"}
    assert all(one.options["model.learning-rate"] <= 0.03 for one in trials[1:] if not one.failed)
    with pytest.raises(RunError, match="trial with the defaults failed: it diverged"):
        played(monkeypatch, Fake(lambda cell: -1.0), task())


PICKS, MBPO = read_range("selector.picks=int:1:3"), replace(BASE, train=TrainConfig(method="mbpo"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": 0}, "option trials: must be at least 1"),
        ({"folds": 1}, "option folds: must be at least 2"),
        (
            {"ranges": (read_range("model.embeding=int:2:8"),)},
            "search: .* no option is called model.embeding; .*ing",
        ),
        (
            {"ranges": (read_range("model.dropout=float:0:2"),)},
            r"search: .*model\.dropout: must be at least 0 and",
        ),
        ({"ranges": (read_range("model.kind=choice:deepfm,forest"),)}, r"search: .*option model\.kind"),
        ({"ranges": (read_range("model.members=float:1.5:3"),)}, r"search: .*option model\.members"),
        (
            {"ranges": (PICKS,), "objective": "policy", "base": MBPO},
            "search: selector.picks has no effect with method",
        ),
        ({"ranges": (read_range("reward.lambda-u=float:0:2"),)}, "changes no world model"),
        ({"ranges": (read_range("split.seed=int:0:2"),)}, "belongs to the measurement"),
        ({"base": replace(BASE, train=TrainConfig(method="gt"))}, "learns from the truth"),
    ],
)
def test_a_search_that_cannot_work_is_refused(changes: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        task(**changes)
    both = (PICKS, read_range("method=choice:darlr,mbpo"))
    assert task(ranges=both, objective="policy", base=MBPO).ranges == both


@pytest.mark.parametrize(("outer", "share", "said"), [(-1, 0.2, "outer: must not"), (1, 1.0, "outer-share: must be")])
def test_outer_splits_that_cannot_work_are_named_apart(outer: int, share: float, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^option {said}"):
        run(Tune(outer=outer, outer_share=share))


def test_a_cell_measures_held_out_events_and_those_set_aside(tmp_path: Path) -> None:
    quick = TrainConfig(method="mbpo", epochs=0, session=replace(TrainConfig().session, turns=3))
    base = replace(BASE, train=quick, split=replace(BASE.split, draw=1, evaluation=0.2))
    for objective in ("world", "policy"):
        wanted = check(Task(base, open_logs(base), objective, (RANGES[0],)))
        cell = wanted.cell({}, 0)
        for one in filter(None, (cell.world, cell)):
            run_task(one.write(tmp_path))
        place = find(cell, tmp_path)
        assert place is not None
        losses = read_result(place).about["losses"]
        assert losses.keys() == {HELD_OUT, KEPT}
        if objective == "world":
            metrics = json.loads((place / "world" / "model.json").read_text("utf-8"))["metrics"]
            assert losses[HELD_OUT] == pytest.approx(metrics["held_out_rmse"], rel=1e-5)
            assert losses[KEPT] != losses[HELD_OUT]
        else:
            assert 0 < losses[HELD_OUT] <= 1
    kept = replace(BASE, split=replace(BASE.split, evaluation=0.2))  # for `darlr evaluate`, which alone reads them
    plain = check(Task(kept, open_logs(kept), "world", (RANGES[0],))).cell({}, 0)
    run_task(plain.write(tmp_path))
    assert read_result(tmp_path / plain.folder).about["losses"].keys() == {HELD_OUT}


def test_the_command_writes_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Fake().instead(monkeypatch)
    options = [word for word in TINY if word != "--no-pictures"]
    words = ["tune", "--out", str(tmp_path), *options, "--trials", "3", "--folds", "2", "--outer", "2"]
    assert main([*words, "--search", "model.members=int:1:3"]) == 0
    report = json.loads((tmp_path / "tuned.json").read_text("utf-8"))
    assert len(report["trials"]) == 3
    assert len(report["outer"]) == 2
    assert report["search"][-1] == "model.members=int:1:3"
    assert report["command"].startswith("darlr train --out RUN")
    assert "| mean |" in (tmp_path / "tuned.md").read_text("utf-8")
    capsys.readouterr()
    assert main([*words, "--search", "model.members=int:3:1"]) == 2
    assert "lower number before a higher one" in capsys.readouterr().err
    assert main([*words, "--outer", "-1"]) == 2
