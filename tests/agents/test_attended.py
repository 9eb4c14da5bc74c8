"""References that likelihood weighs, in rollouts and in the held-out error."""

from dataclasses import replace

import pytest
import torch

from darlr.agents.learner import learn, state
from darlr.agents.references import attended
from darlr.agents.rollout import rollout
from darlr.agents.train import dynamic_estimate
from darlr.errors import ConfigError
from darlr.simulation.session import reset
from darlr.world.attention import Attention, compass_of
from tests.agents.tiny import build, make_world, options

LIKELIHOOD = {"selector__objective": "likelihood"}


def weighed(strength=0.5, seed=0):
    """A tiny world whose references have weights."""
    world, generator = make_world(), torch.Generator().manual_seed(seed)
    there = torch.rand(5, 6, generator=generator) < 0.6
    residual = torch.randn(5, 6, generator=generator) * there
    table = world.reward.whole()
    compass = compass_of(table, residual, there)
    metric = torch.full((2 * compass.directions.shape[1],), 0.1)
    vectors = compass.of(table, residual, there)
    return replace(world, attention=Attention(compass, metric, torch.tensor(strength), vectors, residual, there, 1.0))


def test_the_estimate_is_r0_and_what_references_add():
    world = weighed()
    learner, simulator = build(world, options("darlr", **LIKELIHOOD))
    assert learner.selector is None
    turns = rollout(learner.recommender, None, simulator, learner.tables, 16, learner.generators).turns
    assert turns.selection is None
    frozen = world.reward.pairs(turns.observation.user, turns.action)
    moved = (frozen + turns.references.shift).clamp(*world.reward.bounds())
    torch.testing.assert_close(turns.shaped.estimate, moved)
    assert bool((turns.references.shift != 0).any())
    assert turns.references.users.shape[1] == 3
    metrics = learn(learner, simulator, 8)
    assert {"similarity", "diversity", "inflation"} <= metrics.keys()
    assert not any(name.startswith("selector") for name in [*metrics, *state(learner)])


def test_without_strength_the_estimate_is_r0_and_nothing_is_uncertain():
    world = weighed(strength=0.0)
    learner, simulator = build(world, options("darlr", **LIKELIHOOD))
    turns = rollout(learner.recommender, None, simulator, learner.tables, 16, learner.generators).turns
    assert torch.equal(turns.shaped.estimate, world.reward.pairs(turns.observation.user, turns.action))
    assert turns.shaped.uncertainty.abs().max() == 0
    assert torch.equal(
        turns.references.users, turns.observation.user[:, None].expand(-1, 3)
    )  # nobody else has a weight


def test_similarity_and_diversity_are_weighted_means():
    world = weighed()
    user, item = torch.tensor([0, 1, 2]), torch.tensor([1, 4, 5])
    found = attended(world, 2, reset(user, 6, 3), item)
    share = world.attention.attend(user, item, torch.full((3, 1), -1), torch.zeros(3, 1)).weight
    cosine = world.unit @ world.unit.T
    for row in range(3):
        p = share[row] / share[row].sum()
        assert float(found.similarity[row]) == pytest.approx(float((p * cosine[user[row]]).sum()), abs=1e-6)
        apart = (p[:, None] * p * (1 - cosine)).sum()
        assert float(found.diversity[row]) == pytest.approx(float(apart), abs=1e-6)
        assert found.users[row, 0] == p.argmax()


def test_the_held_out_estimate_is_that_of_the_start_of_a_session():
    world = weighed()
    learner, simulator = build(world, options("darlr", **LIKELIHOOD))
    user, item = torch.arange(5), torch.arange(5)
    told = attended(world, 3, reset(user, 6, 1), item).shift
    expected = (world.reward.pairs(user, item) + told).clamp(*world.reward.bounds())
    torch.testing.assert_close(dynamic_estimate(learner, simulator, user, item, torch.Generator()), expected)


def test_a_session_changes_the_weights():
    world = weighed()
    user, item = torch.tensor([0]), torch.tensor([int(world.attention.there[1:].sum(0).argmax())])
    before = reset(user, 6, 2)
    after = replace(before, items=torch.tensor([[-1, 0]]), rewards=torch.tensor([[0.0, 9.0]]))
    assert attended(world, 2, before, item).shift != attended(world, 2, after, item).shift


def test_other_selectors_and_refinement_in_place_are_refused():
    with pytest.raises(ConfigError, match=r"selector\.objective: likelihood needs selector\.kind learned"):
        options("darlr", selector__kind="nearest", **LIKELIHOOD)
    with pytest.raises(ConfigError, match=r"reward\.refine"):
        options("darlr", reward__refine="in_place", **LIKELIHOOD)
