"""Two events in all, or users without neighbours: every method still trains."""

import math

import numpy as np
import pytest
import torch

from darlr.agents.learner import build_learner, build_simulator, learn
from darlr.data.sets.synthetic import generate
from darlr.data.split import split, thin
from darlr.methods import METHODS
from darlr.options import SplitConfig, SyntheticConfig, TablesConfig, WorldModelConfig
from darlr.simulation.exits import build_exit
from darlr.world.fit import fit_world
from darlr.world.tables import build_world
from tests.agents.tiny import options

LOG = generate(SyntheticConfig(users=12, items=10, categories=3, events_per_user=5)).log
SPARSE = SplitConfig(keep=2 / len(LOG))
ISOLATED = SplitConfig(isolated=0.5)


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("config", [SPARSE, ISOLATED])
@pytest.mark.parametrize("indicator", ["predicted", "logged"])
def test_every_method_trains(method, config, indicator):
    log = thin(LOG, config)
    train, held_out = split(log, config)
    model = WorldModelConfig(members=2, embedding=2, hidden=(4,), epochs=2)
    world = build_world(fit_world(train, held_out, model), train, TablesConfig(indicator=indicator))
    silent = np.bincount(train.user, minlength=12) == 0
    if indicator == "logged":
        assert (world.unit[torch.from_numpy(silent)] == 0).all()
    changed = options(method, session__exit="category")
    learner = build_learner(world, changed)
    simulator = build_simulator(world, learner.tables, build_exit(changed.session, log, "cpu"), changed)
    metrics = [learn(learner, simulator, 8) for _ in range(2)][-1]
    assert len(log) == 2 or silent.sum() == 6
    assert all(math.isfinite(value) for value in metrics.values())
