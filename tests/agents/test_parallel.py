"""One worker and several train the same learner, up to rounding. The other worker is a process of its own."""

import math
from dataclasses import replace
from threading import Thread

import pytest
import torch
from torch import distributed

from darlr.agents.learner import state
from darlr.agents.parallel import ALONE, Team
from darlr.agents.sink import Memory
from darlr.agents.train import train
from darlr.experiments.workers import Place, connect
from tests import forked
from tests.agents.test_training_loop import HELD_OUT, LEAVE
from tests.agents.tiny import make_world, options, with_tastes

OTHER = """
import sys
from darlr.agents.train import follow
from darlr.experiments.workers import Place, connect
from tests.agents.test_parallel import CASES, LEAVE, world

team = connect(Place(1, 2), "cpu", sys.argv[1])
for config in CASES.values():
    follow(world(config), LEAVE, config, lambda: team)
"""
SMALL = {
    "epochs": 3,
    "steps": 27,
    "sessions": 9,
    "session__turns": 3,
    "a2c__minibatch": 13,
    "selector_a2c__minibatch": 41,
}
CASES = {
    "mbpo": options("mbpo", **SMALL),
    "roler": options("roler", recommender__feedback_in_state=True, **SMALL),
    "darlr": options("darlr", **SMALL, a2c__entropy_coefficient=0.01),
    "darlr with a pool": options("darlr", **SMALL, selector__candidates=3),
    "darlr with random references": options("darlr", **SMALL, selector__kind="random"),
    "darlr with slates": options("darlr", **SMALL, recommender__slate=5, recommender__slate_random=1),
    "darlr+ in drawn worlds": options(
        "darlr+", **SMALL, recommender__prior=2.0, recommender__caution=5.0, session__tastes="drawn"
    ),
    "rows that do not go round": replace(options("mbpo", **{**SMALL, "a2c__minibatch": 1}), sessions=2, steps=6),
}


def world(config):
    plain = make_world(n_users=8)
    return with_tastes(plain) if config.session.tastes == "drawn" else plain


def test_one_worker_and_two_agree(tmp_path):
    answer = []
    other = Thread(target=lambda: answer.append(forked.run(OTHER, tmp_path)))
    other.start()
    team = connect(Place(0, 2), "cpu", str(tmp_path))
    try:
        for name, config in CASES.items():
            alone, together = Memory(), Memory()
            one = train(alone, world(config), LEAVE, HELD_OUT, config)
            two = train(together, world(config), LEAVE, HELD_OUT, config, join=lambda: team)
            for rows in zip(alone.rows, together.rows, strict=True):
                first, second = ({key: row[key] for key in row if key != "warnings"} for row in rows)
                assert second == pytest.approx(first, rel=1e-5, abs=1e-5), name
            assert all(rows[-1]["epoch"] == 3 for rows in (alone.rows, together.rows))
            theirs = state(two)
            for key, tensor in state(one).items():
                torch.testing.assert_close(theirs[key], tensor, rtol=1e-4, atol=1e-5, msg=f"{name}: {key}")
    finally:
        distributed.destroy_process_group()
        other.join()
    assert answer[0].returncode == 0, answer[0].stderr


@pytest.mark.parametrize(("count", "group", "size"), [(7, 1, 3), (12, 3, 2), (12, 3, 8), (1, 1, 4), (128, 1, 1)])
def test_slices_cover_every_row_once(count, group, size):
    rows, total = [], 0.0
    for rank in range(size):
        own, weight = Team(rank, size).share(count, group)
        assert own.start % group == 0
        assert own.stop - own.start >= group  # so that a mean over them is a number
        assert weight in (0.0, (own.stop - own.start) / count)
        rows += list(range(count))[own] if weight else []
        total += weight
    assert rows == list(range(count))
    assert math.isclose(total, 1.0)


def test_alone_nothing_is_sent_or_changed():
    layer, record = torch.nn.Linear(2, 1), options()
    layer(torch.ones(1, 2)).sum().backward()
    before = [parameter.grad for parameter in layer.parameters()]
    ALONE.add_gradients(layer, 1.0)
    assert all(one is other.grad for one, other in zip(before, layer.parameters(), strict=True))
    assert ALONE.gathered(record, 5) is record
    assert ALONE.mean(before[0], 1.0) is before[0]
