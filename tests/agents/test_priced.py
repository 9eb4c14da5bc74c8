"""The price of leaving in the logits of known users."""

from dataclasses import replace

import pytest
import torch

from darlr.agents.learner import build_learner, build_recommender, build_simulator, learn
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.felt import FeltExit
from darlr.simulation.session import reset, show
from darlr.world.estimates import Dense
from tests.agents.tiny import make_world, options

RULE = FeltExit(2.5, 2.5, patience=2)
LEFT = torch.arange(5, -1.0, -1)
COSTS = torch.stack([torch.stack([0 * LEFT, LEFT], 1), torch.stack([2 * LEFT, 0 * LEFT], 1)])  # leaving, and a strike
CONFIG = options(recommender__prior=2.0, recommender__price=1.0, session__turns=6)


def test_logits_are_lowered_by_what_leaving_costs() -> None:
    world = replace(make_world(), dynamics=Dynamics(RULE, COSTS, spread=4.0))
    priced, plain = (build_recommender(one, CONFIG).eval() for one in (world, replace(world, dynamics=None)))
    session = reset(torch.arange(4), world.n_items, 6)
    bad = torch.tensor([1.0, 4.0, 1.0, 4.0])
    session = show(session, torch.zeros(4, dtype=torch.int64), bad, torch.zeros(4, dtype=torch.bool))
    with torch.no_grad():
        logits = [one(one.observe(session)).logits for one in (priced, plain)]
    mean, deviation = world.reward.rows(session.user), world.risk.rows(session.user).clamp(min=1e-6).sqrt()
    below = torch.special.ndtr((2.5 - mean) / (2 * deviation))
    lost = torch.where(bad < 2.5, 4.0, 8.0)[:, None]  # after one turn: by leaving, or by a strike
    price = 2.0 / mean.std(1, correction=0, keepdim=True) * lost * below  # the first factor is the sharpness
    torch.testing.assert_close(logits[1] - logits[0], price, atol=1e-4, rtol=1e-4)


def test_training_goes_on_with_it_and_a_risk_is_needed() -> None:
    world = replace(make_world(), dynamics=Dynamics(RULE, COSTS, spread=4.0))
    learner = build_learner(world, CONFIG)
    simulator = build_simulator(world, learner.tables, RULE, CONFIG)
    metrics = learn(learner, simulator, 8)
    assert all(bool(value.isfinite().all()) for value in metrics.values())
    assert (
        build_recommender(world, replace(CONFIG, recommender=replace(CONFIG.recommender, price=0.0))).dynamics is None
    )


@pytest.mark.parametrize("price", [0.0, 1.0])
def test_without_a_rule_nothing_changes(price: float) -> None:
    config = replace(CONFIG, recommender=replace(CONFIG.recommender, price=price))
    world = make_world()
    recommender = build_recommender(world, config).eval()
    seen = recommender.observe(reset(torch.arange(3), world.n_items, 6))
    assert seen.shown is None
    assert isinstance(recommender.estimate, Dense)
