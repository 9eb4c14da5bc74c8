"""Failure signatures: thresholds by hand, and provoked in training."""

from dataclasses import replace

import pytest
import torch

from darlr.agents.diagnostics import diagnose, first_time
from darlr.errors import ConfigError
from darlr.experiments.runs import read_metrics
from darlr.methods import Method
from darlr.options import DiagnosticsConfig
from tests.agents.test_training_loop import LEAVE, run
from tests.agents.tiny import make_world, options

CONFIG = DiagnosticsConfig(patience=2, warm_up=200)
HEALTHY = {
    "turns": 20.0, "penalty": 0.1, "value_error": 2.0, "grad_norm": 3.0, "explained_variance": 0.5,
    "selector_value_error": 2.0, "selector_grad_norm": 3.0, "selector_explained_variance": 0.5,
    "selector_reward": 1.0, "held_out_dynamic": 0.8, "inflation": 0.0,
}  # fmt: skip


def rows(without=(), **series):
    """One row an epoch of 100 steps; a series replaces the healthy value."""
    count = max(map(len, series.values()))
    healthy = {name: value for name, value in HEALTHY.items() if name not in without}
    return [
        {"epoch": n + 1, "steps": 100 * (n + 1), **healthy, **{name: values[n] for name, values in series.items()}}
        for n in range(count)
    ]


def signatures(found):
    return [sign.signature for sign in diagnose(found, CONFIG, (1.0, 5.0))]


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ({"turns": [20.0, 20.0, 20.0]}, []),
        ({"turns": [10.0, 20.0, 14.1, 14.1]}, []),  # limit 14
        ({"turns": [10.0, 20.0, 14.1, 13.9]}, []),  # not for long enough
        ({"turns": [10.0, 20.0, 13.9, 13.9]}, ["short-sessions"]),
        ({"held_out_dynamic": [0.9, 0.8, 0.89, 0.89], "selector_reward": [1.0, 2.0, 3.0, 3.0]}, ["reward-hacking"]),
        ({"held_out_dynamic": [0.9, 0.8, 0.87, 0.89], "selector_reward": [1.0, 2.0, 3.0, 3.0]}, []),  # limit .88
        ({"held_out_dynamic": [0.9, 0.8, 0.89, 0.89], "selector_reward": [1.0, 2.0, 3.0, 1.9]}, []),
        ({"value_error": [1.0, 9.0, 9.9, 9.9]}, []),
        ({"value_error": [1.0, 9.0, 10.1, 10.1]}, ["critic-diverging"]),
        ({"grad_norm": [1.0, 100.1, 100.1]}, ["critic-diverging"]),
        ({"grad_norm": [1.0, 99.0, 99.0]}, []),
        ({"selector_value_error": [1.0, 10.1, 10.1]}, ["selector-critic-diverging"]),
        ({"explained_variance": [-1.0, -1.0]}, []),  # one row of the warm-up
        ({"explained_variance": [-1.0, -1.0, -1.0]}, ["critic-diverging"]),
        ({"explained_variance": [0.5, 0.0, 0.0]}, ["critic-diverging"]),
        ({"explained_variance": [0.5, 0.0, 0.01]}, []),
        ({"selector_explained_variance": [0.0, -0.1, -0.1]}, ["selector-critic-diverging"]),
    ],
)
def test_thresholds_by_hand(series, expected):
    assert signatures(rows(**series)) == expected


@pytest.mark.parametrize(
    ("inflation", "expected"),
    [
        ([0.0, 0.39, 0.39], []),  # a tenth of the range 1 to 5
        ([0.0, 0.41, 0.41], ["reward-hacking"]),
        ([-0.5, 0.39, 0.39], []),  # from below r0 up to it is no inflation
    ],
)
def test_without_held_out_events_the_estimate_is_held_against_r0(inflation, expected):
    found = rows(("held_out_dynamic",), inflation=inflation, selector_reward=[1.0, 2.0, 2.0])
    assert signatures(found) == expected


def test_methods_without_a_selector_have_no_signature_of_one():
    found = rows([name for name in HEALTHY if name.startswith("selector")], inflation=[0.0, 3.0, 3.0])
    assert signatures(found) == []


def test_a_message_has_its_numbers_and_what_to_try():
    (sign,) = diagnose(rows(turns=[20.0, 5.0, 6.25]), CONFIG, (1.0, 5.0))
    assert "6.2 turns, 20.0 in epoch 1" in sign.message
    assert "reward.lambda-u" in sign.message


def test_a_signature_is_new_once():
    signs = diagnose(rows(turns=[20.0, 5.0, 6.0]), CONFIG, (1.0, 5.0))
    assert first_time(signs, [{"epoch": 1}]) == signs
    assert first_time(signs, [{"warnings": [{"signature": "short-sessions", "message": ""}]}, {}]) == []


def test_a_learning_rate_of_1_is_noticed_once_and_resuming_changes_nothing(tmp_path):
    config = options("mbpo", epochs=6, steps=40, sessions=8, a2c__learning_rate=1.0, diagnostics=CONFIG)
    config = replace(config, diagnostics=replace(CONFIG, warm_up=0))
    shown = []
    run(tmp_path / "a", config, on_warning=lambda epoch, sign: shown.append((epoch, sign.signature)))
    assert [signature for _, signature in shown] == ["critic-diverging"]
    found = read_metrics(tmp_path / "a")
    assert next(row["epoch"] for row in found if "warnings" in row) == shown[0][0]
    again = []
    run(tmp_path / "b", replace(config, epochs=shown[0][0]))
    run(tmp_path / "b", config, resume=True, on_warning=lambda *_: again.append(1))
    assert read_metrics(tmp_path / "b") == found
    assert again == []


def test_a_huge_penalty_shortens_sessions(tmp_path):
    """Every step costs: leaving early, by repeating a category, is the best that can be done."""
    config = options(
        "mopo", epochs=12, steps=640, sessions=128, a2c__learning_rate=0.02, a2c__gamma=1.0, reward__lambda_u=100.0,
        diagnostics=DiagnosticsConfig(shortening=0.2),
    )  # fmt: skip

    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Method, "shift", lambda *_: 0.0)  # no bonus for long sessions
        run(tmp_path / "a", config, on_warning=lambda _, sign: shown.append(sign.signature))
    assert "short-sessions" in shown


@pytest.mark.parametrize("refit", [False, True])
def test_a_selector_paid_for_high_rewards_alone_is_noticed(tmp_path, refit):
    """Users 0 to 3 would give 2, the others 5: to pick the others pays, and is wrong for all of the first."""
    from darlr.agents.train import train
    from darlr.experiments.runs import Run
    from tests.agents.test_training_loop import log

    reward = torch.full((8, 6), 2.0)
    reward[4:] = 5.0
    reward += 0.01 * torch.rand(8, 6, generator=torch.Generator().manual_seed(0))
    config = options(
        "darlr", epochs=8, steps=640, sessions=128, selector__reward="own", selector__lambda_s=0.0,
        selector__lambda_d=0.0, selector_a2c__learning_rate=0.02, reward__start="frozen",
    )  # fmt: skip
    held_out = log([], [], []) if refit else log([0, 1, 2, 3], [0, 1, 2, 3], [2.0] * 4)
    shown = []
    with Run.start(tmp_path / "a", config) as opened:
        train(
            opened, make_world(reward=reward), LEAVE, held_out, config,
            on_warning=lambda _, sign: shown.append(sign.signature),
        )  # fmt: skip
    assert "reward-hacking" in shown


def test_thresholds_are_checked():
    for wrong in ({"patience": 0}, {"shortening": 1.5}, {"growth": 0.5}, {"hacking": -1.0}):
        with pytest.raises(ConfigError, match=f"diagnostics.{next(iter(wrong))}"):
            DiagnosticsConfig(**wrong)
