"""DARLR+ for users in no log: the start of its training, on an exact belief, from its policy folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from darlr.agents.learner import build_recommender
from darlr.agents.policy import RecommenderPolicy
from darlr.data.split import select
from darlr.serving.folder import content, export, read_policy, served
from darlr.simulation.session import reset
from darlr.world.belief import Belief
from tests.agents.tiny import options
from tests.serving.tiny import CATEGORY, ITEMS, LOG, MODEL, PLAIN, certain, world_of

CONFIG = options(recommender__prior=2.0, recommender__belief=1.0, recommender__caution=5.0, seed=4, **CATEGORY)


def test_new_users_get_the_posterior_and_known_ones_that_of_training(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    belief = Belief(
        torch.randn(ITEMS, generator=generator), torch.randn(ITEMS, 3, generator=generator), torch.ones(ITEMS)
    )
    trained = select(LOG, np.arange(len(LOG)) % 2 == 0)  # the log holds more than training has seen
    world = replace(certain(world_of(MODEL, PLAIN), trained), belief=belief)
    recommender = build_recommender(world, CONFIG).eval()
    export(recommender, world, LOG, CONFIG, tmp_path / "policy")
    items, rewards = torch.tensor([[-1, 3], [5, 7]]), torch.tensor([[0.0, 4.0], [1.0, 5.0]])
    session = replace(reset(torch.arange(2), ITEMS, 2), items=items, rewards=rewards)
    found = belief.given(items, rewards)
    rows = found.rows(found.theta())
    expected = 2.0 * (rows - rows.mean(1, keepdim=True)) / rows.std(1, correction=0, keepdim=True)
    category = torch.arange(ITEMS) % 4
    expected -= 5.0 * (category == category[items[:, -1:]]).float()
    for policy in (read_policy(tmp_path / "policy"), served(content(recommender, world, LOG, CONFIG))):
        torch.testing.assert_close(policy.newcomers.policy(items, rewards).scores(session), expected)
        torch.testing.assert_close(policy.policy.scores(session), RecommenderPolicy(recommender).scores(session))
