"""Methods by name: what each needs, its own defaults, and methods from outside the package."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest

from darlr.api.recommender import Recommender
from darlr.cli.main import main
from darlr.errors import ConfigError
from darlr.methods import METHODS, Method, find, register, weighted, with_defaults
from darlr.options import RewardConfig, RunConfig, TrainConfig, WorldModelConfig
from tests.agents.tiny import make_world


def asked(method, **train):
    return RunConfig(train=replace(TrainConfig(method=method), **train))


def test_every_method_is_named_in_the_help_of_its_option():
    text = inspect.getsource(TrainConfig)
    assert all(f" {name}," in text or f'"{name},' in text for name in METHODS)


def test_an_unknown_method_is_refused_with_a_hint():
    with pytest.raises(ConfigError, match=r"option method: no method is called 'rolr'; perhaps you meant 'roler'"):
        find("rolr")
    with pytest.raises(ConfigError, match=r"choose from mbpo, mopo"):
        find("x")


def test_what_methods_need():
    assert {name for name, method in METHODS.items() if method.references} == {"darlr", "darlr+"}
    assert {name for name, method in METHODS.items() if method.truth} == {"gt"}
    assert {name for name, method in METHODS.items() if method.entropy} == {"dorl", "roler", "darlr", "darlr+"}
    assert find("ips").weighting == "inverse-popularity"
    assert find("mopo").reads == ("lambda_u",)


def test_darlr_plus_is_darlr_with_other_defaults():
    found = with_defaults(asked("darlr+"))
    assert found.world_model == WorldModelConfig(kind="mixed")
    assert found.train.reward == RewardConfig(start="frozen")
    mine = found.train.recommender
    assert (mine.prior, mine.belief, mine.caution) == (10, 1, 1000)
    assert with_defaults(found) == found
    kept = with_defaults(replace(asked("darlr+"), train=replace(asked("darlr+").train, keep="last")))
    assert kept == replace(found, train=replace(found.train, keep="last"))  # an option of the user's stays
    plus, plain = find("darlr+"), find("darlr")
    assert replace(plus, name="darlr", title="DARLR", defaults={}) == plain


def test_what_a_user_sets_stays_even_the_usual_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = {"recommender": {"prior": 3.0, "belief": 0.0}, "model": {"kind": "auto"}}
    found = Recommender("darlr+", **options).asked
    assert (found.train.recommender.prior, found.train.recommender.belief, found.train.recommender.caution) == (
        3,
        0,
        1000,
    )
    assert found.world_model.kind == "auto"
    words = ["--method", "darlr+", "--recommender.prior", "3", "--recommender.belief", "0", "--model.kind", "auto"]
    assert main(["train", "--out", str(tmp_path / "run"), *words, "--dry-run"]) == 0
    plan = " ".join(capsys.readouterr().out.split())
    assert "recommender.prior │ 3.0 │ given" in plan
    assert "recommender.belief │ 0.0 │ given" in plan
    assert "recommender.caution │ 1000.0 │ default of the method" in plan
    assert "model.kind │ deepfm │ decided" in plan
    assert "--method darlr+" in plan
    assert "--recommender.belief 0.0" in plan


def test_ips_weights_whatever_is_asked_for_and_others_change_nothing():
    assert weighted(asked("ips")).world_model.weighting == "inverse-popularity"
    assert weighted(asked("mbpo")) == with_defaults(asked("mbpo")) == asked("mbpo")


def test_names_are_taken_once_and_options_must_exist():
    with pytest.raises(ConfigError, match="'mbpo' already"):
        register(Method("mbpo", "another"))
    with pytest.raises(ConfigError, match=r"choose from mbpo, .*, or import the module that registers it first"):
        find("halfway to nowhere")
    with pytest.raises(ConfigError, match=r"train\.rewards\.start is no option"):
        Method("mine", "Mine", defaults={"train.rewards.start": "frozen"})
    with pytest.raises(ConfigError, match="`reads` names no option of the reward: lambda_x"):
        Method("mine", "Mine", reads=("lambda_x",))


def test_a_method_may_be_defined_anew_as_in_a_notebook(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("darlr.methods.registry.METHODS", {})
    for title in ("Mine", "Mine again"):
        register(Method("mine", title), replace=True)
    assert find("mine").title == "Mine again"


def test_tables_of_another_shape_are_refused():
    world, config = make_world(), TrainConfig()
    for name in ("start", "risk"):
        method = Method("mine", "Mine", **{name: lambda world, _: world.reward.whole()[:1]})
        with pytest.raises(ConfigError, match=f"method mine: its table `{name}` must be users x items"):
            method.tables(world, config)
