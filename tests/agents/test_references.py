"""Reference users without a selector, by hand on four users in the plane."""

from itertools import permutations

import pytest
import torch

from darlr.agents.learner import learn, state
from darlr.agents.references import alone, build_references, diversity, nearest, uniform
from darlr.agents.rollout import rollout
from darlr.agents.selector import pick_draws, select
from darlr.agents.train import dynamic_estimate, held_out_error
from darlr.errors import ConfigError
from darlr.options import SelectorConfig
from tests.agents.tiny import build, make_world, options, same_category_leaves

LEAVE = same_category_leaves([0, 0, 1, 1, 2, 2])
KINDS = ["nearest", "random", "none"]


def plane():
    """Users at 0, 60, 90 degrees and one without feedback: cosines .5, 0, and .866 between the last two."""
    world = make_world(n_users=4)
    third = 3**0.5 / 2
    world.unit.resize_(4, 2).copy_(torch.tensor([[1.0, 0.0], [0.5, third], [0.0, 1.0], [0.0, 0.0]]))
    return world


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_nearest_by_hand():
    found = nearest(plane(), 2)
    assert found.users[0, 0] == 1  # cosine .5, then 0 with either of the others
    assert found.users[1].tolist() == [2, 0]
    assert found.users[2, 0] == 1
    third = 3**0.5 / 2
    torch.testing.assert_close(found.similarity[:3], torch.tensor([0.5 / 2, (third + 0.5) / 2, third / 2]))
    # user 1: first pick 0, second 1 - cos(90 degrees apart) = 1, mean over both
    torch.testing.assert_close(found.diversity[1], torch.tensor(0.5))
    assert found.similarity[3] == 0


def test_diversity_by_hand():
    # order 0, 1, 2: 0; 1 - .5; mean of 1 - 0 and 1 - .866
    third = 3**0.5 / 2
    expected = (0 + 0.5 + (1 + (1 - third)) / 2) / 3
    torch.testing.assert_close(diversity(plane(), torch.tensor([[0, 1, 2], [3, 3, 3]]))[0], torch.tensor(expected))
    # nothing is like a user without feedback: 0, 1, 1
    torch.testing.assert_close(diversity(plane(), torch.tensor([[3, 3, 3]]))[0], torch.tensor(2 / 3))


def test_gains_equal_those_of_the_selector():
    world = make_world()
    learner, _ = build(world, options("darlr", selector__picks=4))
    user, item = torch.arange(5), torch.zeros(5, dtype=torch.int64)
    decision = torch.zeros(5, learner.recommender.state_dim)
    uniform_picks = pick_draws(learner.selector, 5, generator(), user.device)
    picked, _ = select(learner.selector, world, world.reward, decision, user, item, uniform_picks)
    torch.testing.assert_close(diversity(world, picked.users), picked.diversity)
    every = uniform(world, 4, user, generator())
    torch.testing.assert_close(every.similarity, picked.similarity)  # all other users, in another order
    assert not torch.equal(every.users, picked.users)


def test_random_picks_are_uniform_distinct_others():
    world = make_world(n_users=4)
    user = torch.full((24_000,), 2)
    found = uniform(world, 2, user, generator()).users
    pairs, counts = found.unique(dim=0, return_counts=True)
    assert sorted(map(tuple, pairs.tolist())) == sorted(permutations([0, 1, 3], 2))
    assert (counts / 24_000 - 1 / 6).abs().max() < 0.01


def test_random_picks_are_fresh_and_seeded():
    rule = build_references(make_world(n_users=50), SelectorConfig(kind="random"))
    user, same, again = torch.arange(50), generator(), generator()
    first, second = rule(user, same), rule(user, same)
    assert not torch.equal(first.users, second.users)
    assert torch.equal(first.users, rule(user, again).users)


def test_alone_by_hand():
    found = alone(plane(), torch.tensor([2, 0]))
    assert found.users.tolist() == [[2], [0]]
    assert found.similarity.tolist() == [1, 1]
    assert found.diversity.tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["nearest", "random"])
def test_too_few_others_are_refused(kind):
    with pytest.raises(ConfigError, match="only 4 others"):
        build_references(make_world(), SelectorConfig(kind=kind, picks=5))
    assert build_references(make_world(), SelectorConfig(kind="none", picks=5)) is not None
    assert build_references(make_world(), SelectorConfig(kind="learned", picks=5)) is None


@pytest.mark.parametrize("refine", ["previous", "in_place"])
def test_without_references_the_start_table_is_paid_and_nothing_is_uncertain(refine):
    learner, simulator = build(make_world(), options("darlr", selector__kind="none", reward__refine=refine), LEAVE)
    played = rollout(learner.recommender, None, simulator, learner.tables, 16, learner.generators).turns
    assert torch.equal(played.shaped.estimate, learner.tables.start.pairs(played.observation.user, played.action))
    assert played.shaped.uncertainty.abs().max() == 0
    before = learner.tables.previous.whole().clone()
    learner.refined.write(played.observation.user, played.action, played.shaped.estimate)
    assert torch.equal(before, learner.tables.previous.whole())


def test_nearest_is_static_and_random_is_not():
    for kind, differs in (("nearest", False), ("random", True)):
        learner, simulator = build(make_world(n_users=9), options("darlr", selector__kind=kind), LEAVE)
        turns = rollout(learner.recommender, None, simulator, learner.tables, 32, learner.generators).turns
        of_user = turns.references.users[turns.observation.user == 3]
        assert len(of_user) > 5
        assert bool((of_user != of_user[0]).any()) is differs
        paid = learner.tables.start.pairs(turns.references.users, turns.action[:, None]).mean(1)
        torch.testing.assert_close(turns.shaped.estimate, paid)
        gain = (turns.references.similarity + turns.references.diversity).clamp(min=0.1)
        before = learner.tables.previous.pairs(turns.observation.user, turns.action)
        torch.testing.assert_close(turns.shaped.uncertainty, (paid - before).abs() / gain)


@pytest.mark.parametrize("kind", KINDS)
def test_no_selector_is_built_or_updated(kind):
    learner, simulator = build(make_world(), options("darlr", selector__kind=kind), LEAVE)
    assert learner.selector is learner.selector_optimiser is None
    metrics = learn(learner, simulator, 8)
    assert {"similarity", "diversity", "inflation"} <= metrics.keys()
    assert not any(name.startswith("selector") for name in [*metrics, *state(learner)])
    assert bool((state(learner)["previous.table"] != learner.tables.start.whole()).any()) is (kind != "none")


@pytest.mark.parametrize("kind", KINDS)
def test_dynamic_estimates_of_every_kind(kind):
    learner, simulator = build(make_world(), options("darlr", selector__kind=kind, selector__picks=4))
    user, item = torch.arange(5), torch.arange(5)
    start = learner.tables.start.whole()
    others = (start.sum(0) - start) / 4
    expected = (start if kind == "none" else others)[user, item]
    torch.testing.assert_close(dynamic_estimate(learner, simulator, user, item, generator()), expected)


def test_held_out_errors_are_those_of_the_kind():
    from tests.agents.test_training_loop import HELD_OUT

    learner, simulator = build(make_world(), options("darlr", selector__kind="none", reward__start="frozen"))
    errors = held_out_error(learner, simulator, HELD_OUT, seed=0)
    assert errors["held_out_dynamic"] == pytest.approx(errors["held_out_frozen"])
