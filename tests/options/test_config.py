"""Impossible options are refused at once, by name."""

import pytest

from darlr.errors import ConfigError
from darlr.options import (
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


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        (SyntheticConfig, {"users": 1}, "synthetic.users"),
        (SplitConfig, {"held_out": 1.0}, "split.held-out"),
        (SplitConfig, {"evaluation": 1.0}, "split.evaluation"),
        (SplitConfig, {"evaluation": -0.1}, "split.evaluation"),
        (WorldModelConfig, {"members": 0}, "model.members"),
        (SessionConfig, {"window": 0}, "session.window"),
        (SessionConfig, {"turns": 0}, "session.turns"),
        (RecommenderConfig, {"tracker": TrackerConfig(heads=3)}, "recommender.tracker.heads"),
        (RecommenderConfig, {"tracker": TrackerConfig(heads=0)}, "recommender.tracker.heads"),
        (SelectorConfig, {"tracker": TrackerConfig(layers=0)}, "selector.tracker.layers"),
        (RecommenderConfig, {"tracker": TrackerConfig(dropout=1.0)}, "recommender.tracker.dropout"),
        (SelectorConfig, {"a2c": A2CConfig(minibatch=0)}, "selector.a2c.minibatch"),
        (RecommenderConfig, {"a2c": A2CConfig(learning_rate=0.0)}, "recommender.a2c.learning-rate"),
        (RecommenderConfig, {"a2c": A2CConfig(max_grad_norm=0.0)}, "recommender.a2c.max-grad-norm"),
        (SelectorConfig, {"a2c": A2CConfig(gamma=1.1)}, "selector.a2c.gamma"),
        (RecommenderConfig, {"a2c": A2CConfig(entropy_coefficient=-0.1)}, "recommender.a2c.entropy-coefficient"),
        (RecommenderConfig, {"a2c": A2CConfig(hidden=(64, 0))}, "recommender.a2c.hidden"),
        (RewardConfig, {"lambda_u": -1.0}, "reward.lambda-u"),
        (RewardConfig, {"minimum_gain": 0.0}, "reward.minimum-gain"),
        (SelectorConfig, {"picks": 0}, "selector.picks"),
        (RecommenderConfig, {"prior": -1.0}, "recommender.prior"),
        (RecommenderConfig, {"belief": 101.0, "prior": 10.0}, "recommender.belief"),
        (TrainConfig, {"sessions": 0}, "sessions"),
        (TrainConfig, {"epochs": -1}, "epochs"),
    ],
)
def test_an_impossible_option_is_refused_by_name(kind, options, named):
    with pytest.raises(ConfigError, match=f"option {named}: "):
        kind(**options)
