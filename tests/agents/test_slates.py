"""Slates: the same for a user at each time, and as good as the whole catalogue where they hold it."""

from dataclasses import replace

import pytest
import torch

from darlr.agents.forbidden import FORBIDDEN
from darlr.agents.learner import build_learner, build_recommender, build_simulator, learn
from darlr.agents.policy import RecommenderPolicy
from darlr.agents.rollout import rollout
from darlr.agents.slates import Slates
from darlr.simulation.exits import never
from darlr.simulation.session import reset
from darlr.world.estimates import Dense
from darlr.world.logged import Histories
from tests.agents.tiny import make_world, options

USERS, ITEMS = 6, 40


def slates(best=5, random=4, seed=1):
    table = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(0))
    histories = Histories(torch.tensor([0, 2, 2, 3, 3, 3, 3]), torch.tensor([7, 30, 11]))
    return Slates(Dense(table), best, random, histories, seed), table


def test_a_slate_holds_the_best_items_random_ones_and_the_history_once_each():
    found, table = slates()
    slate = found.of(torch.arange(USERS))
    for user in range(USERS):
        items = slate.items[user][slate.items[user] < ITEMS]
        assert len(items.unique()) == len(items)
        assert bool((items.diff() > 0).all())
        assert set(table[user].topk(5).indices.tolist()) <= set(items.tolist())
        assert {0: {7, 30}, 2: {11}}.get(user, set()) <= set(items.tolist())
        assert 5 < len(items) <= 11
        assert torch.equal(slate.scores[user][: len(items)], table[user, items])


def test_a_slate_depends_on_the_user_and_the_seed_alone():
    user = torch.tensor([3, 1, 3, 0])
    whole, _ = slates()
    parts = torch.cat([slates()[0].of(user[n : n + 1]).items for n in range(4)])
    assert torch.equal(whole.of(user).items, parts)
    assert torch.equal(
        whole.of(torch.tensor([3, 2, 3, 0])).items[[0, 2, 3]], parts[[0, 2, 3]]
    )  # only one was made anew
    assert torch.equal(whole.of(user).items, parts)
    assert not torch.equal(slates(seed=2)[0].of(user).items, parts)


def test_users_without_a_code_have_the_same_random_items():
    table = torch.rand(1, ITEMS, generator=torch.Generator().manual_seed(0)).expand(3, -1)
    items = Slates(Dense(table), 5, 4, None, 1, alike=True).of(torch.arange(3)).items
    assert torch.equal(items, items[:1].expand(3, -1))


def test_random_items_are_spread_over_the_catalogue():
    many = Slates(Dense(torch.zeros(5000, ITEMS)), 1, 8, None, 3).of(torch.arange(5000))
    count = torch.bincount(many.items.flatten(), minlength=ITEMS + 1)[:ITEMS].double()
    count = count.sort().values[:-1]  # without the item that is the best one for everybody
    assert count.min() > 0.85 * count.mean()
    assert count.max() < 1.15 * count.mean()


def test_columns_of_items():
    found, _ = slates()
    slate = found.of(torch.arange(2))
    items = torch.stack([slate.items[0, :3], torch.tensor([-1, ITEMS - 1, int(slate.items[1, 2])])])
    columns = slate.columns(items)
    assert columns[0].tolist() == [0, 1, 2]
    assert columns[1, 0] == -1
    assert columns[1, 2] == 2


CHANGES = {"recommender__prior": 5.0, "recommender__caution": 0.0}


def policy(slate, random=0):
    world = make_world(USERS, ITEMS)
    return RecommenderPolicy(
        build_recommender(world, options(recommender__slate=slate, recommender__slate_random=random, **CHANGES)).eval()
    )


def test_scores_of_a_slate_are_those_of_the_whole_catalogue():
    session = reset(torch.arange(USERS), ITEMS, 5)
    dense, some = policy(0).scores(session), policy(12, 5).scores(session)
    inside = some > FORBIDDEN / 2
    assert ((inside.sum(1) >= 12) & (inside.sum(1) <= 17)).all()
    torch.testing.assert_close(some[inside], dense[inside])


@pytest.mark.parametrize("method", ["mbpo", "darlr"])
@pytest.mark.parametrize("repeats", [False, True])
def test_a_slate_of_nearly_everything_learns_as_the_whole_catalogue_does(method, repeats):
    world, found = make_world(USERS, ITEMS), []
    for slate in (0, ITEMS - 1):
        config = options(
            method, recommender__slate=slate, recommender__slate_random=500, session__repeats=repeats, **CHANGES
        )
        learner = build_learner(world, config)
        simulator = build_simulator(world, learner.tables, never, config)
        found.append([learn(learner, simulator, 8) for _ in range(3)])
    for dense, slated in zip(*found, strict=True):
        for name, value in dense.items():
            torch.testing.assert_close(slated[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_only_items_of_the_slate_are_shown_and_none_twice():
    world, config = make_world(USERS, ITEMS), options(recommender__slate=6, recommender__slate_random=2, **CHANGES)
    learner = build_learner(world, config)
    simulator = build_simulator(world, learner.tables, never, config)
    turns = rollout(learner.recommender, None, simulator, learner.tables, 4, learner.generators).turns
    held = learner.recommender.slates.of(turns.observation.user)
    assert (held.columns(turns.action[:, None]) >= 0).all()
    shown = turns.action.view(-1, 4).T
    assert all(len(row.unique()) == len(row) for row in shown)


@pytest.mark.parametrize("belief", [0.0, 0.5])
def test_scores_do_not_depend_on_the_users_that_were_asked_for_before(belief):
    world = make_world(USERS, ITEMS)
    world = replace(world, preference=torch.randn(ITEMS, 4, generator=torch.Generator().manual_seed(0)))
    config = options(recommender__slate=8, recommender__slate_random=2, recommender__belief=belief, **CHANGES)
    recommender = build_recommender(world, config).eval()
    used, session = RecommenderPolicy(recommender), reset(torch.arange(USERS), ITEMS, 5)
    for users in ([0, 1, 2], [0, 1, 2], [0, 2], [3, 2]):
        some = replace(session, user=torch.tensor(users), items=session.items[users], rewards=session.rewards[users])
        some.items[:, -1], some.rewards[:, -1] = torch.tensor(users), 3.0
        for found, fresh in zip(
            used.shortlist(some, greedy=True), RecommenderPolicy(recommender).shortlist(some, greedy=True), strict=True
        ):
            torch.testing.assert_close(found, fresh)
