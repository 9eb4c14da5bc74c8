"""A saved learner continues bit for bit."""

import pytest
import torch

from darlr.agents.learner import learn, load_state, state
from darlr.errors import RunError
from darlr.io.checkpoint import read_checkpoint, write_checkpoint
from tests.agents.tiny import build, make_world, options, same_category_leaves

LEAVE = same_category_leaves([0, 0, 1, 1, 2, 2])
CASES = [
    ("mbpo", {}),
    ("roler", {"tracker__kind": "mean"}),
    ("darlr", {"reward__refine": "previous"}),
    ("darlr", {"reward__refine": "in_place"}),
    ("darlr", {"selector__kind": "random"}),
    ("darlr", {"session__tastes": "drawn"}),
    ("darlr", {"tracker__dropout": 0.2, "selector_tracker__dropout": 0.2}),  # dropout draws from the global generator
]


def rounds(learner, simulator, count):
    return [{k: v.item() for k, v in learn(learner, simulator, 8).items()} for _ in range(count)]


@pytest.mark.parametrize(("method", "changes"), CASES)
@pytest.mark.parametrize("before", [0, 2])
def test_a_loaded_learner_continues_bit_for_bit(tmp_path, method, changes, before):
    config = options(method, **changes)
    learner, simulator = build(make_world(), config, LEAVE)
    rounds(learner, simulator, before)
    write_checkpoint(tmp_path / "c", state(learner), {})
    straight = rounds(learner, simulator, 2)
    reached = {name: tensor.clone() for name, tensor in state(learner).items()}

    loaded, simulator = build(make_world(), options(method, **changes), LEAVE)
    load_state(loaded, read_checkpoint(tmp_path / "c")[0])
    assert rounds(loaded, simulator, 2) == straight
    again = state(loaded)
    assert again.keys() == reached.keys()
    for name, tensor in reached.items():
        assert torch.equal(again[name], tensor), name


def test_state_holds_all_that_training_changes():
    learner, simulator = build(make_world(), options("darlr"), LEAVE)
    before = {name: tensor.clone() for name, tensor in state(learner).items()}
    rounds(learner, simulator, 1)
    after = state(learner)
    moved = {name for name in after if name not in before or not torch.equal(before[name], after[name])}
    assert {"previous.table", "generator.users", "generator.actions", "generator.picks", "generator.batches"} <= moved
    for agent in ("recommender", "selector"):
        assert f"{agent}.heads.actor.weight" in moved
        assert any(name.startswith(f"{agent}.adam.") for name in moved)
    assert "start" not in moved
    assert not any("scores" in name or name.endswith(".items") for name in after)  # tables come from the world


def test_another_learner_is_refused():
    learner, _ = build(make_world(), options("mbpo"))
    tensors = {name: tensor.clone() for name, tensor in state(learner).items()}
    wide, _ = build(make_world(), options("mbpo", tracker__dim=16))
    with pytest.raises(RunError, match="another folder"):
        load_state(wide, tensors)
    darlr, _ = build(make_world(), options("darlr"))
    with pytest.raises(RunError, match="another folder"):
        load_state(darlr, tensors)
