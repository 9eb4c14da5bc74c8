"""Agents that start from earlier ones: what they knew of known users and items stays."""

from dataclasses import replace

import torch
from torch import Tensor

from darlr.agents.carry import Before, carry, turned
from darlr.agents.learner import build_learner, state
from darlr.world.estimates import Dense
from darlr.world.tables import World
from tests.agents.tiny import make_world, options


def wider(world: World, rotation: Tensor, more: int = 2) -> World:
    """The world with more users and items, whose item vectors have turned."""

    def rows(table: Tensor) -> Tensor:
        return torch.cat([table, table[:more]])

    return replace(
        world,
        reward=Dense(rows(rows(world.reward.whole()).T).T.contiguous()),
        risk=Dense(rows(rows(world.risk.whole()).T).T.contiguous()),
        user_features=rows(rows(world.user_features).T).T.contiguous(),
        unit=rows(world.unit),
        item_vectors=rows(world.item_vectors) @ rotation,
        categories=None if world.categories is None else rows(world.categories),
    )


def test_the_carried_policy_is_the_earlier_one_for_known_users_and_items() -> None:
    world = make_world()
    config = options("darlr")
    earlier = build_learner(world, config)
    for parameter in earlier.recommender.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    assert earlier.refined is not None
    user = torch.arange(world.n_users)
    earlier.refined.write(user, user * 0, torch.full((world.n_users,), 7.5))
    before = Before({name: value.clone() for name, value in state(earlier).items()}, world)
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    longer = wider(world, rotation)
    learner = build_learner(longer, config)
    carry(learner, longer, before, torch.tensor([1, world.n_users]))
    old, new = earlier.recommender.state_dict(), learner.recommender.state_dict()
    items = world.n_items
    assert torch.equal(new["heads.actor.weight"][:items], old["heads.actor.weight"])
    assert torch.equal(new["user.weight"][:, : old["user.weight"].shape[1]], old["user.weight"])
    seen = torch.cat([longer.item_vectors[:items], torch.ones(items, 1)], 1)
    known = torch.cat([world.item_vectors, torch.ones(items, 1)], 1)
    torch.testing.assert_close(learner.recommender.token(seen), earlier.recommender.token(known), atol=1e-4, rtol=1e-4)
    assert learner.refined is not None
    values = learner.refined.pairs(user, user * 0)
    assert [float(v) == 7.5 for v in values] == [u != 1 for u in user.tolist()]  # r_prev of user 1 alone starts anew


def test_turned_finds_the_axes() -> None:
    old = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    matrix = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    new = torch.cat([old @ torch.linalg.inv(matrix), torch.zeros(2, 3)])
    torch.testing.assert_close(turned(old, new), matrix)
