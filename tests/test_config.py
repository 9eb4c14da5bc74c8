"""Impossible options are refused at once, by name."""

import pytest

from darlr.config import (
    A2CConfig,
    RecommenderConfig,
    RewardConfig,
    SelectorConfig,
    SessionConfig,
    SplitConfig,
    SyntheticConfig,
    TrackerConfig,
    TrainConfig,
    WorldModelConfig,
)
from darlr.errors import ConfigError


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        (SyntheticConfig, {"users": 1}, "users"),
        (SplitConfig, {"held_out": 1.0}, "held-out"),
        (WorldModelConfig, {"members": 0}, "members"),
        (SessionConfig, {"window": 0}, "session.window"),
        (SessionConfig, {"turns": 0}, "session.turns"),
        (TrackerConfig, {"heads": 3}, "tracker.heads"),
        (TrackerConfig, {"heads": 0}, "tracker.heads"),
        (TrackerConfig, {"layers": 0}, "tracker.layers"),
        (TrackerConfig, {"dropout": 1.0}, "tracker.dropout"),
        (A2CConfig, {"minibatch": 0}, "a2c.minibatch"),
        (A2CConfig, {"learning_rate": 0.0}, "a2c.learning_rate"),
        (A2CConfig, {"max_grad_norm": 0.0}, "a2c.max_grad_norm"),
        (A2CConfig, {"gamma": 1.1}, "a2c.gamma"),
        (A2CConfig, {"entropy_coefficient": -0.1}, "a2c.entropy_coefficient"),
        (A2CConfig, {"hidden": (64, 0)}, "a2c.hidden"),
        (RewardConfig, {"lambda_u": -1.0}, "reward.lambda_u"),
        (RewardConfig, {"minimum_gain": 0.0}, "reward.minimum_gain"),
        (SelectorConfig, {"picks": 0}, "selector.picks"),
        (RecommenderConfig, {"prior": -1.0}, "recommender.prior"),
        (TrainConfig, {"sessions": 0}, "sessions"),
        (TrainConfig, {"epochs": -1}, "epochs"),
    ],
)
def test_an_impossible_option_is_refused_by_name(kind, options, named):
    with pytest.raises(ConfigError, match=f"option {named}: "):
        kind(**options)
