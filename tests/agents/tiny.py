"""Tiny worlds, options and learners for the tests of the agents."""

from dataclasses import replace

import torch

from darlr.agents.learner import build_learner, build_simulator
from darlr.data.item_features import category_bits
from darlr.options import A2CConfig, RecommenderConfig, SelectorConfig, SessionConfig, TrackerConfig, TrainConfig
from darlr.simulation.exits import CategoryExit, never
from darlr.world.drawn import Factors, Tastes
from darlr.world.entropy import EntropyTable
from darlr.world.estimates import Dense
from darlr.world.feedback import standardise
from darlr.world.tables import World


def make_world(n_users=5, n_items=6, seed=0, reward=None):
    """A world with random tables; pairs of neighbouring items have an entropy."""
    generator = torch.Generator().manual_seed(seed)
    if reward is None:
        reward = 1 + 4 * torch.rand(n_users, n_items, generator=generator)
    n_users, n_items = reward.shape
    centred = reward - reward.mean(0)
    pairs = torch.arange(n_items - 1)
    return World(
        reward=Dense(reward),
        risk=Dense(torch.rand(n_users, n_items, generator=generator)),
        user_features=standardise(centred),
        unit=torch.nn.functional.normalize(centred),
        item_vectors=torch.randn(n_items, 3, generator=generator),
        entropy=EntropyTable(
            torch.rand(n_items, generator=generator),
            pairs * n_items + pairs + 1,
            torch.rand(n_items - 1, generator=generator),
        ),
        reward_range=(1.0, 5.0),
    )


def with_tastes(world, draws=6, seed=0):
    """The same world with drawn worlds around it: draws of two factors."""
    generator = torch.Generator().manual_seed(seed)
    sides = (torch.randn(draws, size, 2, generator=generator) for size in (world.n_users, world.n_items))
    noise = 0.1 + torch.rand(world.n_items, generator=generator)
    return replace(world, tastes=Tastes(Factors(*sides), noise, *world.reward_range))


def options(method="mbpo", **changes):
    """Small networks; a change goes wherever its name belongs: a config field, or `part__field` of a part.

    Parts: recommender, tracker, a2c (of the recommender), selector, selector_tracker, selector_a2c, reward, session.
    """
    parts = {
        "tracker": {"dim": 8, "layers": 1},
        "a2c": {"hidden": (16,)},
        "recommender": {},
        "selector_tracker": {"dim": 8, "layers": 1},
        "selector_a2c": {"hidden": (16,)},
        "selector": {"picks": 3, "projection": 4},
        "reward": {},
        "session": {"exit": "none", "turns": 5},
        "train": {"method": method},
    }
    for name, value in changes.items():
        part, _, option = name.rpartition("__")
        parts[part or "train"][option] = value
    return TrainConfig(
        recommender=RecommenderConfig(
            tracker=TrackerConfig(**parts["tracker"]), a2c=A2CConfig(**parts["a2c"]), **parts["recommender"]
        ),
        selector=SelectorConfig(
            tracker=TrackerConfig(**parts["selector_tracker"]),
            a2c=A2CConfig(**parts["selector_a2c"]),
            **parts["selector"],
        ),
        reward=replace(TrainConfig().reward, **parts["reward"]),
        session=SessionConfig(**parts["session"]),
        **parts["train"],
    )


def build(world, config, exit_rule=never, decided=True):
    """Learner and simulator; `decided` makes first policies far from uniform, so that mistakes show."""
    world = with_tastes(world) if config.session.tastes == "drawn" and world.tastes is None else world
    learner = build_learner(world, config)
    if decided:
        for agent in (learner.recommender, learner.selector):
            if agent is not None:
                agent.heads.actor.weight.data.mul_(300)
    return learner, build_simulator(world, learner.tables, exit_rule, config)


def same_category_leaves(categories):
    """Leave when the category of the last item repeats; categories: one a item."""
    codes = torch.tensor(categories)[:, None]
    return CategoryExit(category_bits(codes, int(codes.max()) + 1))
