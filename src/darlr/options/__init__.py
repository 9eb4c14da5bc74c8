"""Every option and its default: frozen dataclasses, the only home of a default.

The command line is generated from these classes; a field's docstring is its help text.
"Reading" marks a choice the paper's text leaves open (see docs/method.md).
"""

from darlr.options.agents import A2CConfig, Precision, RecommenderConfig, SelectorConfig, TrackerConfig
from darlr.options.data import LARGEST_REWARD, ColumnsConfig, KuaiRecConfig, SplitConfig, SyntheticConfig, TableConfig
from darlr.options.training import (
    METHOD_TITLES,
    OWN,
    DiagnosticsConfig,
    Method,
    Mode,
    RewardConfig,
    RunConfig,
    SessionConfig,
    TrainConfig,
)
from darlr.options.world import TablesConfig, WorldModelConfig

__all__ = [
    "LARGEST_REWARD",
    "METHOD_TITLES",
    "OWN",
    "A2CConfig",
    "ColumnsConfig",
    "DiagnosticsConfig",
    "KuaiRecConfig",
    "Method",
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
]
