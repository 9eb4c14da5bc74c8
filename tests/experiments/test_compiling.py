"""Which runs compile their inner loop, by hand; and that a resumed one goes on with what it began with."""

from dataclasses import replace
from pathlib import Path

import pytest

from darlr.agents.fast.kernels import PLAIN, Fallback
from darlr.cli.dispatch import parse
from darlr.cli.main import main
from darlr.errors import MachineError
from darlr.experiments import compiling, plan, training
from darlr.experiments.compiling import (
    ATTENDING,
    SELECTING,
    SMALL,
    Choice,
    as_begun,
    choose,
    loop_of,
    plainly,
    remember,
)
from darlr.experiments.in_memory import RunInMemory
from darlr.experiments.runs import read_config
from darlr.options import RunConfig, SelectorConfig, TrainConfig
from darlr.options.names import override
from tests.cli.conftest import TINY

LONG = RunConfig(train=TrainConfig("darlr", epochs=1, steps=SELECTING.new))


@pytest.fixture(autouse=True)
def _kept_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiling, "require_compiler", lambda device: None)
    monkeypatch.setattr(plan, "require_compiler", lambda device: None)


def shorter(config: RunConfig, steps: int) -> RunConfig:
    return replace(config, train=replace(config.train, steps=steps))


def test_a_run_is_compiled_from_the_measured_number_of_steps_on() -> None:
    assert choose(LONG, 80, 60).compile == "on"
    short = choose(shorter(LONG, SELECTING.new - 1), 80, 60)
    assert short.compile == "off"
    assert short.reason.endswith(f"repays that from {SELECTING.new:,} steps on where it is compiled anew")


@pytest.mark.parametrize(
    ("options", "loop"),
    [
        ({"method": "darlr"}, SELECTING),
        ({"method": "darlr", "selector.kind": "nearest"}, ATTENDING),
        ({"method": "darlr", "selector.objective": "likelihood"}, ATTENDING),
        ({"method": "mbpo"}, ATTENDING),
        ({"method": "mbpo", "recommender.tracker.kind": "mean"}, SMALL),
    ],
)
def test_what_repays_depends_on_the_loop(options: dict[str, str], loop: compiling.Loop) -> None:
    assert loop_of(override(RunConfig(), options).train) == loop


def test_kept_code_repays_sooner_and_belongs_to_one_loop() -> None:
    remember(replace(LONG, train=replace(LONG.train, compile="on")), 80, 60)
    middle = shorter(LONG, SELECTING.kept)
    again = replace(middle, train=replace(middle.train, seed=7))  # another seed runs the same code
    found = choose(again, 80, 60)
    assert (found.compile, "compiled it before" in found.reason) == ("on", True)
    assert choose(shorter(LONG, SELECTING.kept - 1), 80, 60).compile == "off"
    wider = replace(middle, train=replace(middle.train, selector=SelectorConfig(picks=3)))
    assert [choose(one, 80, items).compile for one, items in ((middle, 61), (wider, 60))] == ["off", "off"]


@pytest.mark.parametrize("failed", [False, True])
def test_a_run_that_was_compiled_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: bool) -> None:
    fallback = Fallback()
    fallback.failed = failed
    monkeypatch.setattr("darlr.agents.learner.compiled", lambda _: replace(PLAIN, fallback=fallback))
    words = [*TINY, "--epochs", "1", "--compile", "on"]
    assert main(["train", "--out", str(tmp_path / "run"), *words]) == 0
    assert len(list(tmp_path.glob("darlr-*"))) == (not failed)


def test_without_a_compiler_or_a_measurement_a_run_is_plain_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for options, word in (({"device": "cuda"}, "GPU"), ({"recommender.slate": 50}, "slates")):
        found = choose(override(LONG, options), 80, 60)
        assert (found.compile, word in found.reason) == ("off", True)

    def refuse(device: str) -> None:
        raise MachineError("option compile: there is no g++")

    monkeypatch.setattr(compiling, "require_compiler", refuse)
    none = choose(LONG, 80, 60)
    assert (none.compile, none.reason) == ("off", "the inner loop is not compiled: there is no g++")


def test_auto_is_what_a_run_began_with_and_off_in_cells() -> None:
    on = replace(LONG, train=replace(LONG.train, compile="on"))
    assert as_begun(LONG, on) == on == as_begun(on, plainly(LONG)) == plainly(on)
    assert plainly(LONG).train.compile == "off"


def test_a_resumed_run_goes_on_as_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, words = tmp_path / "run", [*TINY, "--epochs", "1"]
    assert main(["train", "--out", str(run), *words, "--dry-run"]) == 0
    assert "the inner loop is not compiled: a loop with a selector repays that" in capsys.readouterr().err
    assert main(["train", "--out", str(run), *words]) == 0
    assert "the inner loop is not compiled: a loop with" in capsys.readouterr().err
    assert read_config(run, RunConfig).train.compile == "off"
    monkeypatch.setattr(training, "choose", lambda *_: Choice("on", ""))
    asked = read_config(run, RunConfig)
    asked = replace(asked, train=replace(asked.train, epochs=2, compile="auto"))
    training.train_run(asked, run, resume=True)
    assert read_config(run, RunConfig).train.compile == "off"
    assert not list(tmp_path.glob("darlr-*"))


def test_a_fit_in_memory_goes_on_as_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = replace(parse(["train", "--out", "unused", *TINY]).config, data="synthetic")
    run = RunInMemory()
    run.start(asked, None, None, resume=False)
    monkeypatch.setattr(training, "choose", lambda *_: Choice("on", ""))
    run.start(asked, None, None, resume=True)  # a RunError, were it compiled now
