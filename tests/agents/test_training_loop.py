import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.agents import train as train_module
from darlr.agents.learner import learn, state
from darlr.agents.train import dynamic_estimate, held_out_error, refuse_divergence, train
from darlr.data.log import InteractionLog
from darlr.errors import RunError
from darlr.experiments.runs import Run, read_metrics
from tests.agents.tiny import build, make_world, options, same_category_leaves

LEAVE = same_category_leaves([0, 0, 1, 1, 2, 2])


def log(user, item, reward):
    return InteractionLog(
        "held out",
        np.array(user, dtype=np.int64),
        np.array(item, dtype=np.int64),
        np.array(reward, dtype=np.float32),
        tuple(range(5)),
        tuple(range(6)),
        reward_range=(1.0, 5.0),
    )


HELD_OUT = log([0, 3, 3], [5, 0, 2], [2.0, 4.0, 5.0])


def test_held_out_error_by_hand():
    """With K_sel = U - 1 the references are all other users, whatever the policy."""
    world = make_world()
    learner, simulator = build(world, options("darlr", selector__picks=4, reward__start="neighbours"))
    errors = held_out_error(learner, simulator, HELD_OUT, seed=0)
    frozen = world.reward.whole()
    start = world.neighbour_reward(options().tables).whole()
    others = (start.sum(0) - start) / 4
    cells = [(0, 5, 2.0), (3, 0, 4.0), (3, 2, 5.0)]
    assert errors["held_out_frozen"] == pytest.approx(float(sum((frozen[u, i] - r).abs() for u, i, r in cells)) / 3)
    assert errors["held_out_dynamic"] == pytest.approx(
        float(sum((others[u, i] - r).abs() for u, i, r in cells)) / 3, abs=1e-5
    )


def test_held_out_error_of_the_other_methods_and_of_no_log():
    learner, simulator = build(make_world(), options("roler"))
    assert held_out_error(learner, simulator, HELD_OUT, seed=0).keys() == {"held_out_frozen"}
    assert held_out_error(learner, simulator, log([], [], []), seed=0) == {}
    with pytest.raises(ValueError, match="no references"):
        dynamic_estimate(learner, simulator, torch.tensor([0]), torch.tensor([0]), torch.Generator())


def test_held_out_error_disturbs_nothing():
    learner, simulator = build(make_world(), options("darlr"))
    before = {name: tensor.clone() for name, tensor in state(learner).items()}
    first = held_out_error(learner, simulator, HELD_OUT, seed=0)
    assert held_out_error(learner, simulator, HELD_OUT, seed=0) == first
    assert all(torch.equal(before[name], tensor) for name, tensor in state(learner).items())


@pytest.mark.parametrize("rows", [7, 8, 15, 16, 23])
def test_a_large_log_is_sampled_evenly(monkeypatch, rows):
    """Item 0 is right in the first half of the log and wrong by 1 in the second; 8 rows are looked at."""
    monkeypatch.setattr(train_module, "HELD_OUT_ROWS", 8)
    learner, simulator = build(make_world(reward=torch.full((5, 6), 3.0)), options("mbpo"))
    reward = [3.0 if n < rows / 2 else 4.0 for n in range(rows)]
    found = held_out_error(learner, simulator, log([0] * rows, [0] * rows, reward), seed=0)["held_out_frozen"]
    assert found == pytest.approx(0.5, abs=0.13)


def test_dynamic_estimate_is_the_same_in_parts(monkeypatch):
    learner, simulator = build(make_world(), options("darlr", selector__picks=4))
    user, item = torch.arange(5).repeat(4), torch.arange(20) % 6

    def estimate():
        return dynamic_estimate(learner, simulator, user, item, torch.Generator().manual_seed(0))

    whole = estimate()
    monkeypatch.setattr(train_module, "HELD_OUT_ROWS", 7)
    torch.testing.assert_close(estimate(), whole)


def test_divergence_is_refused():
    refuse_divergence(3, {"reward": 1.0})
    with pytest.raises(RunError, match=r"epoch 3 \(penalty, value_error not finite\)"):
        refuse_divergence(3, {"reward": 1.0, "penalty": float("nan"), "value_error": float("inf")})


def run(folder, config, *, resume=False, **callbacks):
    with Run.start(folder, config, resume=resume, may_change=("epochs",)) as opened:
        return train(opened, make_world(), LEAVE, HELD_OUT, config, **callbacks)


@pytest.mark.parametrize("method", ["dorl", "darlr"])
def test_a_resumed_run_equals_a_straight_one(tmp_path, method):
    config = options(method, epochs=3, steps=70, sessions=8)  # 2 rollouts of 40 steps an epoch
    straight = run(tmp_path / "a", config)
    run(tmp_path / "b", replace(config, epochs=1))
    resumed = run(tmp_path / "b", config, resume=True)
    for name, tensor in state(straight).items():
        assert torch.equal(state(resumed)[name], tensor), name
    rows = read_metrics(tmp_path / "a")
    assert rows == read_metrics(tmp_path / "b")
    assert [(row["epoch"], row["steps"]) for row in rows] == [(1, 80), (2, 160), (3, 240)]
    finished = run(tmp_path / "b", config, resume=True)  # nothing left to do
    assert torch.equal(state(finished)["recommender.token.weight"], state(straight)["recommender.token.weight"])


def test_rows_are_means_over_rollouts_and_callbacks_see_them(tmp_path):
    config = options("mbpo", epochs=2, steps=80, sessions=8)
    progress = []
    run(tmp_path / "a", config, on_rollout=progress.append, after_epoch=lambda epoch, _: {"twice": 2 * epoch})
    assert [(p.rollout, p.rollouts) for p in progress] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    rows = read_metrics(tmp_path / "a")
    assert [row["twice"] for row in rows] == [2, 4]
    mean = (progress[2].metrics["reward"] + progress[3].metrics["reward"]) / 2
    assert rows[1]["reward"] == pytest.approx(mean)
    assert "held_out_frozen" in rows[0]
    json.dumps(rows, allow_nan=False)


def test_a_diverged_run_stops_and_keeps_its_last_checkpoint(tmp_path, monkeypatch):
    config = options("mbpo", epochs=3, steps=40, sessions=8)
    calls = []

    def broken(*arguments):
        calls.append(1)
        return learn(*arguments) | ({"reward": torch.tensor(float("nan"))} if len(calls) == 2 else {})

    monkeypatch.setattr(train_module, "learn", broken)
    with pytest.raises(RunError, match="epoch 2"):
        run(tmp_path / "a", config)
    assert [row["epoch"] for row in read_metrics(tmp_path / "a")] == [1]
