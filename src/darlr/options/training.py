"""Options of the simulated session, of the reward, and of a run."""

from dataclasses import dataclass, field
from typing import Literal

from darlr.options.agents import RecommenderConfig, SelectorConfig
from darlr.options.checks import at_least, not_negative, positive, require
from darlr.options.data import SplitConfig, SyntheticConfig
from darlr.options.world import TablesConfig, WorldModelConfig

Method = Literal["mbpo", "mopo", "ips", "dorl", "roler", "darlr", "gt"]
METHOD_TITLES: dict[Method, str] = {
    "mbpo": "MBPO",
    "mopo": "MOPO",
    "ips": "IPS",
    "dorl": "DORL",
    "roler": "ROLeR",
    "darlr": "DARLR",
    "gt": "GT",
}
Mode = Literal["FB", "NX_0", "NX_10"]
OWN = "own"  # in place of the folder of a world model


@dataclass(frozen=True)
class SessionConfig:
    """The simulated session (method.md section 2)."""

    exit: Literal["auto", "none", "category", "distance"] = "auto"
    """When users leave: what the data set names, never, a category repeated, or an item too close to a recent one."""
    window: int = 1
    """N: how many recent items the exit rule looks at."""
    threshold: float = 0.0
    """M: leave when a category occurred more than M times in the window, or an item is closer than M."""
    turns: int = 30
    """T: most turns of a session."""
    repeats: bool = False
    """Whether training sessions may repeat an item; evaluation NX_0 and NX_10 never allow it. Reading."""

    def __post_init__(self) -> None:
        at_least(1, self, ("window", "turns"), "session")


@dataclass(frozen=True)
class RewardConfig:
    """The reward the recommender learns from (method.md sections 3, 6, 7)."""

    lambda_u: float = 0.1
    """lambda_U: weight of the uncertainty penalty."""
    lambda_e: float = 0.1
    """lambda_E: weight of the entropy penalty of DORL."""
    start: Literal["frozen", "neighbours"] = "neighbours"
    """Table that the dynamic reward starts from: world model, or ROLeR's neighbour average. Reading."""
    refine: Literal["previous", "in_place"] = "previous"
    """Eq. 15 averages the start table and only r_prev moves, or averages are written back and read later. Reading."""
    minimum_gain: float = 0.1
    """Smallest value of r_sim + r_div in Eq. 16. Reading."""
    estimate: Literal["dynamic", "static"] = "dynamic"
    """DARLR's r: Eq. 15, or (an ablation) the start table as it is."""
    penalty: Literal["dynamic", "static", "none"] = "dynamic"
    """DARLR's penalty: Eq. 16, or (ablations) the world model's risk P_U, or nothing."""

    def __post_init__(self) -> None:
        not_negative(self, ("lambda_u", "lambda_e"), "reward")
        positive(self, ("minimum_gain",), "reward")


@dataclass(frozen=True)
class DiagnosticsConfig:
    """When a run warns of a failure signature (docs/method.md, Failure signatures); nothing in training reads it."""

    patience: int = 3
    """Epochs in a row that must show a signature."""
    warm_up: int = 50_000
    """Simulated steps before which a critic is not judged."""
    shortening: float = 0.3
    """Share of the longest mean session by which sessions must have become shorter."""
    hacking: float = 0.1
    """Rise of the dynamic reward's held-out error over its least, as a share of that, while the selector earns more."""
    inflation: float = 0.1
    """Without held-out events: rise of the mean of r - r0 on shown items, as a share of the range of rewards."""
    growth: float = 10.0
    """Growth of a critic's squared error over its least."""
    gradient_growth: float = 100.0
    """Growth of the gradient norm over its least; a policy that makes up its mind grows it tenfold in health."""

    def __post_init__(self) -> None:
        at_least(1, self, ("patience",), "diagnostics")
        not_negative(self, ("warm_up", "hacking", "inflation"), "diagnostics")
        require(0 <= self.shortening <= 1, "diagnostics.shortening", f"must be from 0 to 1, not {self.shortening}")
        at_least(1, self, ("growth", "gradient_growth"), "diagnostics")


@dataclass(frozen=True)
class TrainConfig:
    """One training run: a method, its budget and its parts."""

    method: Method = "darlr"
    """The reward function: one learner, seven methods; gt reads the truth and is a reference, not a method."""
    epochs: int = 20
    """Epochs; a checkpoint and a log line each. 0 leaves the untrained policy."""
    steps: int = 50_000
    """Simulated steps in an epoch, at least (whole rollouts)."""
    sessions: int = 128
    """B: sessions simulated side by side."""
    keep: Literal["best", "last"] = "best"
    """Policy that the run hands over: the best of its start and its epochs by greedy return on r_0, or the last."""
    seed: int = 0
    """Seed of initial weights and every draw."""
    threads: int = 1
    """CPU threads; more than one pays only for large nets on idle cores."""
    device: str = "cpu"
    """cpu or cuda."""
    compile: bool = False
    """Compile the inner loop at the start: half a minute, less once it is cached, that long runs earn back."""
    session: SessionConfig = field(default_factory=SessionConfig)
    tables: TablesConfig = field(default_factory=TablesConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    recommender: RecommenderConfig = field(default_factory=RecommenderConfig)
    selector: SelectorConfig = field(default_factory=SelectorConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)

    def __post_init__(self) -> None:
        not_negative(self, ("epochs",))
        at_least(1, self, ("steps", "sessions"))


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on: data, split, world model and training."""

    data: str = "synthetic"
    """synthetic, coat, kuairec, kuairec_binary, kuairand, yahoo, or the folder of a prepared data set."""
    label: str = ""
    """Name in tables; default: the method. Runs of one label are seeds of one row."""
    world: str = OWN
    """Folder of a world model from `darlr fit`; own: the run fits its own."""
    split: SplitConfig = field(default_factory=SplitConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    world_model: WorldModelConfig = field(default_factory=WorldModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    @property
    def fits_world(self) -> bool:
        """Whether the run fits a world model of its own."""
        return self.world == OWN
