"""Options of the simulated session, of the reward, and of a run."""

from dataclasses import dataclass, field
from typing import Literal

from darlr.options.agents import RecommenderConfig, SelectorConfig
from darlr.options.checks import at_least, not_negative, positive, require
from darlr.options.data import SplitConfig, SyntheticConfig
from darlr.options.world import TablesConfig, WorldModelConfig

Mode = Literal["FB", "NX_0", "NX_10"]
Users = Literal["known", "new", "both"]
OWN = "own"  # in place of the folder of a world model


@dataclass(frozen=True)
class SessionConfig:
    """The simulated session (method.md section 2)."""

    exit: str = "auto"
    """When a user leaves. none: never. category: a category repeats. distance: an item is close to a recent one.
    felt: a reward lies below session.threshold. learned: by a hazard that is fitted to the sessions of the log.
    tired: by chance, with a probability that grows as categories repeat.
    auto: the rule that the data set names. A rule that you add is chosen by its name."""
    window: int = 1
    """N: number of recent items that the exit rule looks at."""
    threshold: float = 0.0
    """M: a user leaves when a category occurs more than M times in the window.
    With the distance rule a user leaves when an item is closer than M to one in the window.
    With the felt rule M is the reward, in the unit of the log, below which an item disappoints.
    With the tired rule a user leaves with probability 1 - exp(-M F), where F counts repeated categories."""
    patience: int = 1
    """With the felt rule, the number of disappointing items of a session after which a user leaves."""
    chance: float = 1.0
    """With the felt rule, the probability that a user whose patience is at an end leaves after such an item."""
    fatigue: Literal["none", "learned"] = "none"
    """How rewards fall in a session as categories repeat. learned: as the sessions of the log show, where that is sure.
    DARLR+ for new users then knows it. Training sessions do not."""
    recovery: float = 0.7
    """With the tired rule, the share of the fatigue F from a category that is left one item later."""
    gap: float | None = None
    """With a learned rule or fatigue, the longest time between two events of a session.
    It is in the unit of the log's timestamps. The default is where the logged times fall into two groups."""
    turns: int = 30
    """T: largest number of turns in a session."""
    tastes: Literal["mean", "drawn", "auto"] = "mean"
    """What users of training sessions like. mean: the estimates of the world model, as in the paper.
    drawn: each session is played in a world that is drawn from the posterior of the world model, and its feedback has
    the noise of ratings, so that sessions say what is new. Worlds are draws of a Gibbs sampler, or members of the
    ensemble where there is no posterior. auto: drawn where the world model has a posterior, otherwise mean."""
    repeats: bool = False
    """Training sessions may show an item twice. The evaluation modes NX_0 and NX_10 never do.
    The paper leaves this open."""

    def __post_init__(self) -> None:
        at_least(1, self, ("window", "turns", "patience"), "session")
        require(0 <= self.recovery <= 1, "session.recovery", f"must be from 0 to 1, not {self.recovery}")
        require(self.gap is None or self.gap > 0, "session.gap", f"must be above 0, not {self.gap}")
        require(0 < self.chance <= 1, "session.chance", f"must be above 0 and at most 1, not {self.chance}")


@dataclass(frozen=True)
class RewardConfig:
    """The reward that the recommender learns from (method.md sections 3, 6, 7)."""

    lambda_u: float = 0.1
    """lambda_U: weight of the uncertainty penalty."""
    lambda_e: float = 0.1
    """lambda_E: weight of the entropy penalty (DORL)."""
    start: Literal["frozen", "neighbours"] = "neighbours"
    """Initial estimates of the dynamic reward. frozen: the predictions of the world model.
    neighbours: the neighbour table of ROLeR. The paper leaves this open."""
    refine: Literal["previous", "in_place"] = "previous"
    """previous: Eq. 15 averages the initial estimates of the references.
    in_place: Eq. 15 averages their newest estimates. The paper leaves this open."""
    minimum_gain: float = 0.1
    """Smallest value of r_sim + r_div in Eq. 16. The paper leaves this open."""
    estimate: Literal["dynamic", "static"] = "dynamic"
    """Estimate of DARLR. dynamic: Eq. 15. static (an ablation): the initial estimates stay as they are."""
    penalty: Literal["dynamic", "static", "none"] = "dynamic"
    """Penalty of DARLR. dynamic: Eq. 16. The ablations are static (the risk P_U of the world model) and none."""

    def __post_init__(self) -> None:
        not_negative(self, ("lambda_u", "lambda_e"), "reward")
        positive(self, ("minimum_gain",), "reward")


@dataclass(frozen=True)
class DiagnosticsConfig:
    """When a run warns that training goes wrong (method.md, Failure signatures). They change nothing in training."""

    patience: int = 3
    """Number of epochs in a row that must show a signature before it is reported."""
    warm_up: int = 50_000
    """Number of simulated steps before the error of a critic is checked."""
    shortening: float = 0.3
    """Warn when the mean session is shorter than the longest so far by this share."""
    hacking: float = 0.1
    """Warn when the held-out error of the dynamic reward exceeds its minimum by this share.
    It is checked while the reward of the selector rises."""
    inflation: float = 0.1
    """Warn when the mean of r - r_0 on shown items rises by this share of the range of rewards.
    It is checked where there are no held-out events."""
    growth: float = 10.0
    """Warn when the squared error of a critic is this many times its minimum."""
    gradient_growth: float = 100.0
    """Warn when the gradient norm is this many times its minimum. In healthy training it grows about tenfold."""

    def __post_init__(self) -> None:
        at_least(1, self, ("patience",), "diagnostics")
        not_negative(self, ("warm_up", "hacking", "inflation"), "diagnostics")
        require(0 <= self.shortening <= 1, "diagnostics.shortening", f"must be from 0 to 1, not {self.shortening}")
        at_least(1, self, ("growth", "gradient_growth"), "diagnostics")


@dataclass(frozen=True)
class TrainConfig:
    """One training run: a method, its budget and its parts."""

    method: str = "darlr"
    """Method, which sets the reward that the agent learns from: mbpo, mopo, ips, dorl, roler, darlr, darlr+, gt,
    or one that you add. darlr+ is darlr with other defaults. gt learns from the ground truth, only as a reference."""
    epochs: int = 20
    """Number of epochs. Each ends with a checkpoint and a line of metrics. 0 keeps the untrained policy."""
    steps: int = 50_000
    """Smallest number of simulated steps in an epoch. An epoch consists of whole rollouts."""
    sessions: int = 128
    """B: number of sessions that are simulated side by side."""
    keep: Literal["best", "sure", "last"] = "best"
    """Policy that the run keeps. last: the policy of the last epoch.
    best: the untrained policy or that of an epoch, whichever has the highest greedy return on the initial estimates.
    sure: the untrained policy, unless an epoch surely has a higher greedy return where each user is paid by one member
    of the world model. Training knows only the mean of the members. Of several such epochs the best is kept.
    With session.tastes drawn, best and sure play in drawn worlds that training never meets."""
    seed: int = 0
    """Seed of the initial weights and of all sampling in training."""
    threads: int = 1
    """Number of CPU threads. More than one is faster only for large worlds on idle cores."""
    device: str = "cpu"
    """Where to train: cpu, or cuda for a GPU."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the inner loop before the first step. Results of compiled and plain runs differ by rounding.
    auto: where the planned steps repay the time of compiling, or this machine has compiled the same loop before.
    The plan says which, and a resumed run goes on with that. on, off: in any case, for the same bits on every call."""
    session: SessionConfig = field(default_factory=SessionConfig)
    tables: TablesConfig = field(default_factory=TablesConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    recommender: RecommenderConfig = field(default_factory=RecommenderConfig)
    selector: SelectorConfig = field(default_factory=SelectorConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)

    def __post_init__(self) -> None:
        not_negative(self, ("epochs",))
        at_least(1, self, ("steps", "sessions", "threads"))
        weighs = self.selector.objective == "likelihood"
        still = not weighs or self.reward.refine == "previous"
        require(still, "reward.refine", "in_place has no meaning with selector.objective likelihood; leave it out")
        slate, turns = self.recommender.slate, self.session.turns
        enough = not slate or slate >= turns
        require(enough, "recommender.slate", f"must be 0 or at least session.turns ({turns}), not {slate}")


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on: data, split, world model and training."""

    data: str = "synthetic"
    """Data set: synthetic, coat, kuairec, kuairec_binary, kuairand, yahoo, or the folder of a prepared one."""
    label: str = ""
    """Name of the run in tables. The default is its method. Runs with the same label count as seeds of one row."""
    world: str = OWN
    """Folder of a world model from `darlr fit` or `darlr.WorldModel.save`. own: the run fits a world model itself."""
    split: SplitConfig = field(default_factory=SplitConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    world_model: WorldModelConfig = field(default_factory=WorldModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    @property
    def fits_world(self) -> bool:
        """Whether the run fits a world model of its own."""
        return self.world == OWN
