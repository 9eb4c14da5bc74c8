"""The Bayesian update of a user's preference, by hand against the textbook formula, and in a policy."""

from dataclasses import replace

import pytest
import torch

from darlr.agents.learner import build_recommender
from darlr.agents.recommender import preference
from darlr.data.item_features import category_bits
from darlr.simulation.session import reset, show
from darlr.world.estimates import Dense
from darlr.world.logged import Certainty, Histories
from tests.agents.tiny import build, make_world, options

NOBODY = torch.zeros(1, dtype=torch.bool)


def played(agent, user, items, rewards, turns=5):
    session = reset(torch.tensor([user]), agent.items.shape[0], turns)
    for item, reward in zip(items, rewards, strict=True):
        session = show(session, torch.tensor([item]), torch.tensor([reward]), NOBODY)
    return session


def test_one_surprise_by_hand():
    # x = (1, 2), strength 0.5: theta = 0.5 x e / (1 + 0.5 |x|^2) = 0.5 * 3 / 3.5 * (1, 2)
    features = torch.tensor([[1.0, 2.0], [1.0, 0.0]])
    items, there = torch.tensor([[0, -1]]), torch.tensor([[True, False]])
    found = preference(features, 0.5, items, torch.tensor([[3.0, 99.0]]), there)
    torch.testing.assert_close(found, torch.tensor([[3 / 7, 6 / 7]]))


def test_it_is_ridge_regression_and_rows_do_not_mix():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(7, 3, generator=generator)
    items = torch.tensor([[0, 3, 5, 6], [2, 2, -1, -1], [-1, -1, -1, -1]])
    surprise = torch.randn(3, 4, generator=generator)
    found = preference(features, 0.3, items, surprise, items >= 0)
    for row, taken in enumerate([[0, 3, 5, 6], [2, 2], []]):
        x, e = features[taken].double(), surprise[row, : len(taken)].double()
        expected = torch.linalg.solve(x.T @ x + torch.eye(3) / 0.3, x.T @ e)
        torch.testing.assert_close(found[row].double(), expected, atol=1e-6, rtol=1e-5)


def agent_with(**changes):
    world = make_world()
    # two categories, items 0 to 2 and 3 to 5
    bits = category_bits(torch.tensor([[0], [0], [0], [1], [1], [1]]), 2)
    features = torch.cat([torch.ones(6, 1), world.item_vectors], 1)
    world = replace(world, categories=bits, preference=features)
    config = options(**{f"recommender__{name}": value for name, value in changes.items()}, session__exit="category")
    return world, build_recommender(world, config).eval()


def logits(agent, session):
    return agent(agent.observe(session)).logits


@torch.no_grad()
def test_a_surprise_moves_the_scores_of_like_items():
    world, agent = agent_with(prior=3.0, belief=0.5)
    liked, met = played(agent, 1, [2], [5.0]), played(agent, 1, [2], [float(world.reward.whole()[1, 2])])
    moved = agent._prior(agent.observe(liked)) - agent._prior(agent.observe(met))
    like = world.preference @ world.preference[2]
    assert torch.equal(moved[0].sign(), (like - like.mean()).sign())  # logits are compared, so the mean has no part
    torch.testing.assert_close(met.rewards[0, -1], world.reward.whole()[1, 2])
    torch.testing.assert_close(agent.observe(met).preference, torch.zeros(1, 4))


@torch.no_grad()
def test_without_surprise_the_prior_is_r0_in_units_of_its_spread():
    world, agent = agent_with(prior=3.0, belief=0.5)
    found = agent._prior(agent.observe(reset(torch.tensor([0, 4]), 6, 5)))
    rows = world.reward.rows(torch.tensor([0, 4]))
    centred = rows - rows.mean(1, keepdim=True)
    torch.testing.assert_close(found, 3.0 * centred / rows.std(1, correction=0, keepdim=True))


@torch.no_grad()
def test_without_feedback_in_the_state_no_feedback_moves_anything():
    _, agent = agent_with(prior=3.0, belief=0.5, feedback_in_state=False)
    one, other = (logits(agent, played(agent, 1, [2, 4], rewards)) for rewards in ([5.0, 1.0], [1.0, 5.0]))
    assert torch.equal(one, other)


@torch.no_grad()
def test_caution_lowers_exactly_the_items_that_make_users_leave():
    _, bold = agent_with(prior=3.0)
    _, careful = agent_with(prior=3.0, caution=7.0)
    session = played(bold, 1, [2], [3.0])
    lowered = logits(bold, session) - logits(careful, session)
    torch.testing.assert_close(lowered, torch.tensor([[7.0, 7.0, 7.0, 0.0, 0.0, 0.0]]))
    fresh = reset(torch.tensor([1]), 6, 5)
    torch.testing.assert_close(logits(bold, fresh), logits(careful, fresh))


def test_a_belief_needs_a_prior():
    with pytest.raises(ValueError, match="needs a prior"):
        agent_with(belief=0.5)


def test_what_the_belief_adds_to_all_items_alike_is_in_no_logit() -> None:
    """Estimates that hardly differ make the prior sharp: 1e4 for a unit of reward."""
    reward = 3 + 1e-3 * torch.randn(1, 6, generator=torch.Generator().manual_seed(0))
    world = replace(make_world(reward=reward), preference=torch.full((6, 1), 10.0))
    learner, _ = build(world, options("mbpo", recommender__prior=10.0, recommender__belief=1.0), decided=False)
    session = reset(torch.tensor([0]), 6, 5)
    told = show(session, torch.tensor([2]), torch.tensor([5.0]), torch.tensor([False]))
    before, after = (learner.recommender.offset(learner.recommender.observe(one)) for one in (session, told))
    assert before.abs().max() < 30
    torch.testing.assert_close(after, before, rtol=0, atol=0.02)


@torch.no_grad()
def test_what_the_log_told_already_makes_the_policy_follow_answers_less():
    world = make_world()
    features = torch.cat([torch.ones(6, 1), world.item_vectors], 1)
    held = Histories(torch.tensor([0, 4, 4, 4, 4, 4]), torch.tensor([0, 1, 2, 3], dtype=torch.int32))
    config = options(recommender__prior=3.0, recommender__belief=0.5)
    world = replace(world, preference=features)
    without = build_recommender(world, config).eval()
    agent = build_recommender(replace(world, certainty=Certainty(torch.ones(6), held)), config).eval()
    for user, less in ((0, True), (2, False)):  # user 0 has a log, user 2 has none
        session = played(agent, user, [2, 4], [5.0, 1.0])
        found, plain = (features @ one.observe(session).preference[0] for one in (agent, without))
        assert (found.norm() < 0.6 * plain.norm()) == less
        if not less:
            torch.testing.assert_close(found, plain)
    new = agent.with_users(torch.zeros(1, world.user_features.shape[1]), Dense(world.reward.whole()[:1]))
    told = new.observe(played(agent, 0, [2, 4], [5.0, 1.0])).preference  # code 0 is no user of the log here
    torch.testing.assert_close(told, without.observe(played(agent, 0, [2, 4], [5.0, 1.0])).preference)
