from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from darlr.agents.policy import RecommenderPolicy
from darlr.agents.recommender import Recommender, project
from darlr.simulation.policy import Policy
from darlr.simulation.session import reset, show
from tests.agents.tiny import build, make_world, options

NO = torch.zeros(3, dtype=torch.bool)


def sessions(n_items=6):
    """Users 4, 0, 2: the first has seen items 1, 3, 5, 0 paid 1, 3, 5, 9; the second 1; the last nothing."""
    session = reset(torch.tensor([4, 0, 2]), n_items, 5)
    for item, reward in ((1, 1.0), (3, 3.0), (5, 5.0), (0, 9.0)):
        session = show(session, torch.full((3,), item), torch.full((3,), reward), NO)
    fresh = reset(session.user, n_items, 5)
    one = show(fresh, torch.full((3,), 1), torch.full((3,), 2.0), NO)

    def rows(name):
        return torch.stack([getattr(s, name)[b] for b, s in enumerate((session, one, fresh))])

    return each(session, rows)


def each(session, change):
    """The session with its tensors replaced by `change(name)`."""
    return replace(session, **{name: change(name) for name in ("user", "items", "rewards", "turn", "done")})


def test_observation_by_hand():
    learner, _ = build(make_world(), options())
    seen = learner.recommender.observe(sessions())
    assert seen.user.tolist() == [4, 0, 2]
    assert seen.items.tolist() == [[3, 5, 0], [-1, -1, 1], [-1, -1, -1]]
    # scaled from 1..5 to 0..1; 9 lies outside and is clipped; padding holds 0
    assert seen.feedback.tolist() == [[0.5, 1.0, 1.0], [0.0, 0.0, 0.25], [0.0, 0.0, 0.0]]
    part = seen.rows(torch.tensor([1]))
    assert (part.user.tolist(), part.items.tolist(), part.feedback.tolist()) == ([0], [[-1, -1, 1]], [[0, 0, 0.25]])


def test_padding_holds_no_feedback_whatever_the_range():
    agent = build(make_world(), options())[0].recommender
    agent.low, agent.high = -3.0, 5.0
    assert agent.observe(sessions()).feedback.tolist() == [[0.75, 1.0, 1.0], [0.0, 0.0, 0.625], [0.0, 0.0, 0.0]]


def test_feedback_can_be_left_out():
    learner, _ = build(make_world(), options(recommender__feedback_in_state=False))
    assert learner.recommender.observe(sessions()).feedback.tolist() == [[0.0] * 3] * 3


@pytest.mark.parametrize("kind", ["mean", "transformer"])
def test_state_is_the_tracker_on_tokens_joined_with_the_user(kind):
    world = make_world()
    agent = build(world, options(tracker__kind=kind))[0].recommender
    seen = agent.observe(sessions())
    decision = agent(seen)
    vectors = world.item_vectors[seen.items.clamp(min=0)]
    tokens = agent.token(torch.cat([vectors, seen.feedback[..., None]], dim=-1)).transpose(0, 1)
    tracked = agent.tracker(tokens, (seen.items >= 0).T)
    user = agent.user(world.user_features)[seen.user]
    torch.testing.assert_close(decision.state, torch.cat([tracked, user], dim=1))
    logits, value = agent.heads(decision.state)
    torch.testing.assert_close(decision.logits, logits)
    torch.testing.assert_close(agent.heads.value(decision.hidden), value)


@pytest.mark.parametrize("kind", ["mean", "transformer"])
@torch.no_grad()
def test_sessions_that_showed_equally_many_items_need_no_search_for_padding(kind):
    agent = build(make_world(), options(tracker__kind=kind))[0].recommender
    session, tokens = reset(torch.tensor([4, 0, 2]), 6, 5), agent.tokens()
    for shown in range(5):  # the window holds 3
        searched, known = (agent(agent.observe(session), tokens, shown=number).state for number in (None, shown))
        torch.testing.assert_close(known, searched)
        session = show(session, torch.tensor([shown, 5 - shown, shown]), torch.tensor([1.0, 3.0, 5.0]), None)


@torch.no_grad()
def test_the_user_is_in_the_state_only_if_asked():
    session = sessions()
    other = replace(session, user=torch.tensor([1, 3, 1]))
    for asked, width in ((True, 16), (False, 8)):
        agent = build(make_world(), options(recommender__user_in_state=asked))[0].recommender
        assert agent.state_dim == width
        same = torch.equal(agent(agent.observe(session)).logits, agent(agent.observe(other)).logits)
        assert same is not asked


@torch.no_grad()
def test_prior_adds_standardised_scores_to_the_logits():
    world = make_world()
    without = build(world, options())[0].recommender
    agent = build(world, options(recommender__prior=2.0))[0].recommender
    seen = agent.observe(sessions())
    reward = world.reward.rows(seen.user).double()
    scores = (reward - reward.mean(1, keepdim=True)) / reward.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(agent(seen).logits, without(seen).logits + 2 * scores.float())
    torch.testing.assert_close(agent(seen).hidden, without(seen).hidden)
    with pytest.raises(ValueError, match="rewards"):
        Recommender(agent.config, world.item_vectors, world.user_features, (1.0, 5.0))


@torch.no_grad()
@given(st.integers(1, 9), st.floats(0.1, 10), st.floats(-5, 5))
def test_the_prior_ignores_the_unit_of_rewards_and_rows_that_are_all_alike(seed, scale, offset):
    reward = torch.rand(3, 5, generator=torch.Generator().manual_seed(seed))
    reward[2] = 0.25
    priors = []
    for table in (reward, reward * scale + offset):
        agent = build(make_world(reward=table), options(recommender__prior=2.0))[0].recommender
        priors.append(agent._prior(agent.observe(reset(torch.arange(3), 5, 4))))
    torch.testing.assert_close(priors[0], priors[1], atol=1e-3, rtol=1e-3)
    assert priors[0][2].tolist() == [0.0] * 5


def test_project_equals_the_layer_on_every_row():
    torch.manual_seed(0)
    layer, table = nn.Linear(4, 3), torch.randn(5, 4)
    for rows in ([2], [0, 4, 4], [4, 3, 2, 1, 0, 0, 1]):
        torch.testing.assert_close(project(layer, table, torch.tensor(rows)), layer(table[rows]))


@pytest.mark.parametrize("prior", [0.0, 1.0])
def test_scores_do_not_depend_on_the_batch(prior):
    agent = build(make_world(), options(recommender__prior=prior))[0].recommender
    policy = RecommenderPolicy(agent)
    assert isinstance(policy, Policy)
    session = sessions()
    together = policy.scores(session)
    for b in range(3):
        alone = each(session, lambda name, b=b: getattr(session, name)[b : b + 1])
        torch.testing.assert_close(policy.scores(alone), together[b : b + 1])
    # more rows than users: the other order of products
    many = each(session, lambda name: getattr(session, name).repeat_interleave(4, 0))
    torch.testing.assert_close(policy.scores(many), together.repeat_interleave(4, 0))


def test_scores_depend_on_the_session_alone():
    policy = RecommenderPolicy(build(make_world(), options())[0].recommender)
    assert torch.equal(policy.scores(sessions()), policy.scores(sessions()))
    assert not torch.equal(policy.scores(sessions())[0], policy.scores(sessions())[2])
