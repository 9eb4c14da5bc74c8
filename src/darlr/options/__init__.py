"""Every option and its default: frozen dataclasses, the only home of a default.

The command line is generated from these classes; a field's docstring is its help text.
A text that ends with "The paper leaves this open." marks a reading of the paper, which docs/method.md lists.
"""

from darlr.options.agents import A2CConfig, Precision, RecommenderConfig, SelectorConfig, TrackerConfig
from darlr.options.data import (
    LARGEST_REWARD,
    CoatConfig,
    ColumnsConfig,
    KuaiRecConfig,
    SplitConfig,
    SyntheticConfig,
    TableConfig,
    YahooConfig,
)
from darlr.options.training import OWN, DiagnosticsConfig, Mode, RewardConfig, RunConfig, SessionConfig, TrainConfig
from darlr.options.world import TablesConfig, WorldModelConfig

__all__ = [
    "LARGEST_REWARD",
    "OWN",
    "A2CConfig",
    "CoatConfig",
    "ColumnsConfig",
    "DiagnosticsConfig",
    "KuaiRecConfig",
    "Mode",
    "Precision",
    "RecommenderConfig",
    "RewardConfig",
    "RunConfig",
    "SelectorConfig",
    "SessionConfig",
    "SplitConfig",
    "SyntheticConfig",
    "TableConfig",
    "TablesConfig",
    "TrackerConfig",
    "TrainConfig",
    "WorldModelConfig",
    "YahooConfig",
]
