"""Training and evaluation play one session: the same policy, users and chance give the same items in both."""

import pytest
import torch

from darlr.agents.learner import build_learner, build_simulator
from darlr.agents.policy import RecommenderPolicy
from darlr.agents.rollout import Draws, Learning
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import whole
from darlr.simulation import environment
from darlr.simulation.environment import Environment
from darlr.simulation.exits import never
from darlr.simulation.session import oldest_first
from tests.agents.tiny import make_world, options, same_category_leaves

LEAVE = same_category_leaves([0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("rule", [never, LEAVE])
@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize(("seed", "n_items"), [(0, 6), (1, 3)])
def test_training_and_evaluation_play_the_same_session(repeats, rule, seed, n_items):
    config = options(seed=seed, session__repeats=repeats)
    world = make_world(n_items=n_items, seed=seed % 97)
    learner = build_learner(world, config)
    learner.recommender.heads.actor.weight.data.mul_(300)
    simulator = build_simulator(world, learner.tables, rule, config)
    users = torch.arange(5)
    with torch.inference_mode():
        agents = Learning(
            learner.recommender, None, simulator, learner.tables, learner.recommender.tokens(), None
        )  # fmt: skip
        uniform = torch.rand(5, 5, generator=torch.Generator().manual_seed(seed))
        trained, _ = environment.play(
            simulator.environment, agents, users, lambda number, _: Draws(uniform[:, number], None, None)
        )
    evaluated = play(
        RecommenderPolicy(learner.recommender),
        whole(world.reward.whole()),
        n_items,
        rule,
        mode="FB" if repeats else "NX_0",
        turns=5,
        greedy=False,
        generators=[torch.Generator().manual_seed(seed)],
    )
    assert torch.equal(trained.turn, evaluated.length)
    assert torch.equal(oldest_first(trained.items, trained.turn, -1), evaluated.items)
    torch.testing.assert_close(oldest_first(trained.rewards, trained.turn, 0), evaluated.rewards)


def test_sessions_end_together_where_nobody_leaves_and_items_last():
    assert Environment(never, 5, 6, repeats=False, offered=6).together
    assert Environment(never, 5, 5, repeats=True, offered=5).together
    assert not Environment(never, 5, 6, repeats=False, offered=5).together
    assert not Environment(LEAVE, 5, 6, repeats=True, offered=6).together
