"""The agents must solve tiny worlds whose answer is known, in seconds."""

import pytest
import torch

from darlr.agents.learner import learn
from darlr.agents.policy import RecommenderPolicy
from darlr.agents.rollout import rollout
from darlr.simulation.session import reset
from darlr.world.feedback import standardise
from tests.agents.tiny import build, make_world, options, same_category_leaves

QUICK = {"a2c__learning_rate": 0.01, "a2c__minibatch": 64, "selector_a2c__learning_rate": 0.01}


def trained(config, world, rule=None, rounds=40, sessions=64):
    learner, simulator = build(world, config, decided=False, **({} if rule is None else {"exit_rule": rule}))
    for _ in range(rounds):
        metrics = learn(learner, simulator, sessions)
    return learner, simulator, {name: value.item() for name, value in metrics.items()}


def bandit():
    """Four users, each with one best item of its own."""
    reward = torch.full((4, 6), 1.0)
    reward[torch.arange(4), torch.tensor([2, 0, 5, 3])] = 5.0
    return make_world(reward=reward)


@pytest.mark.parametrize(
    ("method", "kind", "repeats"),
    [("mbpo", "transformer", True), ("mbpo", "mean", False), ("dorl", "transformer", False)],
)
def test_every_user_gets_its_own_best_item_first(method, kind, repeats):
    turns = {"session__turns": 2, "session__repeats": repeats, "tracker__kind": kind}
    learner, _, metrics = trained(options(method, **turns, **QUICK), bandit())
    first = RecommenderPolicy(learner.recommender).scores(reset(torch.arange(4), 6, 2)).argmax(1)
    assert first.tolist() == [2, 0, 5, 3]
    # least estimate 1 is shifted to 0: 4 every turn with repeats, once in two turns without
    assert metrics["estimate"] > (4.8 if repeats else 2.9)


def test_feedback_tells_who_the_user_is():
    """Two kinds of users the state does not name: try item 0, stay where it paid, go to item 1 where not."""
    world = make_world(reward=torch.tensor([[5.0, 1.0, 2.0], [1.0, 5.0, 2.0]]))
    config = options(
        session__turns=4, session__repeats=True, recommender__user_in_state=False, tracker__kind="mean",
        tracker__window=1, a2c__entropy_coefficient=0.1,
        **{**QUICK, "a2c__learning_rate": 0.006, "a2c__minibatch": 128},
    )  # fmt: skip
    learner, simulator, _ = trained(config, world, rounds=100, sessions=128)
    played = rollout(learner.recommender, None, simulator, learner.tables, 200, learner.generators)
    later = played.turn > 1
    assert played.turns.shaped.estimate[later].mean() > 4.7  # without feedback 3


def test_exits_are_avoided():
    """The best items share a category, and repeating it ends the session: alternate."""
    world = make_world(reward=torch.tensor([[5.0, 5.0, 5.0, 4.5, 4.5, 4.5, 1.0]]).repeat(4, 1))
    rule = same_category_leaves([0, 0, 0, 1, 1, 1, 2])
    # without the bonus, a third of the seeds learn to leave in the fifth turn
    config = options(session__turns=6, a2c__gamma=0.95, a2c__entropy_coefficient=0.05, **QUICK)
    _, _, metrics = trained(config, world, rule, rounds=60)
    assert metrics["turns"] > 5.7


def circle():
    """Twelve users around a circle: similarity is known, all their rewards are alike."""
    angle = torch.arange(12) * (2 * torch.pi / 12)
    world = make_world(n_users=12)
    unit = torch.stack([angle.cos(), angle.sin()], dim=1)
    return type(world)(**{**world.__dict__, "unit": unit, "user_features": standardise(unit)})


def test_the_selector_finds_the_users_eq_12_pays_for():
    """By dissimilarity alone: two of the three opposite (cos 150 degrees); at random -1/11."""
    config = options(
        "darlr", selector__picks=2, selector__reward="none", selector__lambda_s=-1.0, selector__lambda_d=0.0,
        session__turns=1, selector_a2c__minibatch=128, **QUICK,
    )  # fmt: skip
    _, _, metrics = trained(config, circle(), rounds=100)
    assert metrics["similarity"] < -0.65


def test_the_selector_spreads_out_for_diversity():
    config = options(
        "darlr", selector__picks=2, selector__reward="none", selector__lambda_s=0.0, selector__lambda_d=1.0,
        session__turns=1, selector_a2c__minibatch=128, **QUICK,
    )  # fmt: skip
    _, _, metrics = trained(config, circle(), rounds=70)
    assert metrics["diversity"] > 0.5 * 1.85  # opposite picks: 1 - cos 180 = 2; halved by the first pick's 0
