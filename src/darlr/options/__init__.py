"""All options and their defaults, as frozen dataclasses. No default is written anywhere else.

The command line is generated from these classes, and a field's docstring is its help text. A text that ends with "The
paper leaves this open." marks a reading of the paper, which docs/method.md lists.
"""

from darlr.options.agents import A2CConfig as A2CConfig
from darlr.options.agents import Precision as Precision
from darlr.options.agents import RecommenderConfig as RecommenderConfig
from darlr.options.agents import SelectorConfig as SelectorConfig
from darlr.options.agents import TrackerConfig as TrackerConfig
from darlr.options.data import LARGEST_REWARD as LARGEST_REWARD
from darlr.options.data import CoatConfig as CoatConfig
from darlr.options.data import ColumnsConfig as ColumnsConfig
from darlr.options.data import KuaiRecConfig as KuaiRecConfig
from darlr.options.data import SplitConfig as SplitConfig
from darlr.options.data import SyntheticConfig as SyntheticConfig
from darlr.options.data import TableConfig as TableConfig
from darlr.options.data import YahooConfig as YahooConfig
from darlr.options.decisions import FeedbackConfig as FeedbackConfig
from darlr.options.decisions import ValueConfig as ValueConfig
from darlr.options.serving import ServeConfig as ServeConfig
from darlr.options.serving import StrategyConfig as StrategyConfig
from darlr.options.training import OWN as OWN
from darlr.options.training import DiagnosticsConfig as DiagnosticsConfig
from darlr.options.training import Mode as Mode
from darlr.options.training import RewardConfig as RewardConfig
from darlr.options.training import RunConfig as RunConfig
from darlr.options.training import SessionConfig as SessionConfig
from darlr.options.training import TrainConfig as TrainConfig
from darlr.options.training import Users as Users
from darlr.options.update import UpdateConfig as UpdateConfig
from darlr.options.world import TablesConfig as TablesConfig
from darlr.options.world import WorldModelConfig as WorldModelConfig
