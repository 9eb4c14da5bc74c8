"""The method of docs/add-a-method.md, from the page itself: at most 30 lines, registered, trained on a tiny world."""

import re
from pathlib import Path

import pytest
import torch

from darlr.agents.learner import learn
from darlr.methods import METHODS, Step, find
from darlr.options import RewardConfig
from tests.agents.tiny import build, make_world, options

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-method.md").read_text("utf-8")
(CODE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True, scope="module")
def halfway():
    exec(compile(CODE, "docs/add-a-method.md", "exec"), {})
    yield
    del METHODS["halfway"]


def test_the_code_is_short():
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 30


def test_the_method_pays_what_the_page_says():
    world, config = make_world(), options("halfway")
    method = find("halfway")
    tables = method.tables(world, config)
    user, item = torch.tensor([0, 3]), torch.tensor([5, 1])
    paid = method.pay(tables, Step(user, item, torch.tensor([-1, 4])), RewardConfig())
    near = world.neighbour_reward(config.tables)
    torch.testing.assert_close(paid.estimate, (world.reward.pairs(user, item) + near.pairs(user, item)) / 2)
    torch.testing.assert_close(paid.uncertainty, world.risk.pairs(user, item) * torch.tensor([0.5, 1.0]))
    assert not paid.entropy.any()


def test_the_method_trains():
    learner, simulator = build(make_world(), options("halfway", reward__lambda_u=0.3))
    assert learner.selector is None
    assert learner.refined is None
    before = learner.recommender.heads.actor.weight.clone()
    assert learn(learner, simulator, 8)["penalty"] > 0
    assert not torch.equal(learner.recommender.heads.actor.weight, before)


def test_every_field_of_the_table_is_one_of_method():
    named = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    assert set(named) < set(find("mbpo").__dataclass_fields__)
