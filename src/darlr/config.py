"""Every option and its default: frozen dataclasses, the only home of a default.

The command line is generated from these classes; a field's docstring is its help text.
"Reading" marks a choice the paper's text leaves open (see docs/method.md).
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from darlr.errors import ConfigError

Method = Literal["mbpo", "mopo", "ips", "dorl", "roler", "darlr", "gt"]
Precision = Literal["float32", "bfloat16"]
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
LARGEST_REWARD = 1e12  # squares of larger ones, summed over a log, leave float32


def _require(condition: bool, option: str, problem: str) -> None:
    if not condition:
        raise ConfigError(f"option {option}: {problem}")


def _at_least(least: int, config: Any, names: tuple[str, ...], where: str = "") -> None:
    for name in names:
        value = getattr(config, name)
        _require(value >= least, _spelt(where, name), f"must be at least {least}, not {value}")


def _positive(config: Any, names: tuple[str, ...], where: str = "") -> None:
    for name in names:
        value = getattr(config, name)
        _require(value > 0, _spelt(where, name), f"must be positive, not {value}")


def _not_negative(config: Any, names: tuple[str, ...], where: str = "") -> None:
    for name in names:
        value = getattr(config, name)
        _require(value >= 0, _spelt(where, name), f"must not be negative, not {value}")


def _spelt(where: str, name: str) -> str:
    """An option as `darlr train` spells it; the command line leaves out what another command's spelling lacks."""
    return (f"{where}.{name}" if where else name).replace("_", "-")


@dataclass(frozen=True)
class SyntheticConfig:
    """The built-in synthetic world."""

    users: int = 300
    """Number of users."""
    items: int = 200
    """Number of items."""
    categories: int = 40
    """Number of item categories."""
    events_per_user: int = 30
    """Mean number of logged events of a user."""
    latent: int = 4
    """Dimension of the latent tastes."""
    noise: float = 0.5
    """Standard deviation of the noise on a logged reward (reward units, scale 1 to 5)."""
    boredom: float = 0.8
    """What a logged reward loses when a category of the item occurred in the last events (reward units)."""
    popularity_bias: float = 1.0
    """How strongly exposure follows popularity; 0 exposes items uniformly."""
    seed: int = 0
    """Seed of the world; another seed is another world."""

    def __post_init__(self) -> None:
        _at_least(2, self, ("users",), "synthetic")
        _at_least(1, self, ("items", "categories", "events_per_user", "latent"), "synthetic")
        _not_negative(self, ("noise",), "synthetic")


@dataclass(frozen=True)
class KuaiRecConfig:
    """How KuaiRec's raw files become rewards."""

    reward: Literal["clipped", "raw", "normalised"] = "clipped"
    """Watch ratio clipped at 5; as it is; or 0 to 1 between a video's 2nd and 98th percentile in the log."""


@dataclass(frozen=True)
class SplitConfig:
    """How the log is split into a training and a held-out part."""

    kind: Literal["random", "time"] = "random"
    """Random within each user, or each user's last events by time."""
    held_out: float = 0.1
    """Share of each user's events that is held out (users with one event keep it for training)."""
    seed: int = 0
    """Seed of the random split."""
    keep: float = 1.0
    """Share of the events that is kept before anything else; below 1 a stress test of sparsity."""
    isolated: float = 0.0
    """Share of the users who lose all their events before anything else; above 0 a stress test likewise."""
    refit: bool = True
    """Once the held-out part has chosen the epoch, fit the world model again on the whole log for as many."""
    evaluation: float | None = None
    """Share of each user's items whose events training never sees, kept for the evaluation world model of `darlr
    evaluate`; left out: 0 where the data set has a truth, else 0.3."""

    def __post_init__(self) -> None:
        _require(0 < self.held_out < 1, "split.held-out", f"must be above 0 and below 1, not {self.held_out:g}")
        _require(0 < self.keep <= 1, "split.keep", f"must be above 0 and at most 1, not {self.keep}")
        for name in ("isolated", "evaluation"):
            value = getattr(self, name) or 0.0
            _require(0 <= value < 1, f"split.{name}", f"must be at least 0 and below 1, not {value}")


@dataclass(frozen=True)
class WorldModelConfig:
    """The world model (method.md section 1); the defaults were chosen on held-out log, see docs/world-model.md."""

    kind: Literal["auto", "deepfm", "bayesian", "mixed", "history"] = "auto"
    """A DeepFM ensemble; draws of a factorisation machine from its posterior; both, averaged (mixed); or a model of
    what users logged outside the block. auto: history where only positives are logged and whom we recommend to have
    none on the service's items, else deepfm. mixed is like auto where only positives are logged."""
    members: int = 5
    """Ensemble members K, each with its own initial weights, trained in one batched pass; mixed has as many of each."""
    embedding: int = 8
    """Size of an embedding; number of factors."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the deep part."""
    loss: Literal["auto", "point", "pointneg"] = "auto"
    """Likelihood on logged rows (point), or also on sampled negatives of the least reward (pointneg). auto: point;
    where all logged rewards are equal pointneg, and options left at their defaults take values for such logs."""
    weighting: Literal["none", "inverse-popularity"] = "none"
    """Weights of logged rows: all 1, or inverse to the number of the item's events (IPS)."""
    negatives: int = 5
    """Sampled negatives for each logged row (loss pointneg)."""
    epochs: int = 60
    """Most epochs; early stopping usually ends sooner."""
    patience: int = 5
    """Epochs without a better held-out log loss before a fit stops."""
    batch: int = 256
    """Logged rows in a minibatch."""
    learning_rate: float = 5e-3
    """Adam step size."""
    bias_decay: float = 1.0
    """Strength of the prior that pulls first-order weights to 0 (in logged rows)."""
    embedding_decay: float = 50.0
    """Strength of the prior that pulls embeddings to 0 (in logged rows)."""
    initial_scale: float = 0.1
    """Standard deviation of initial embeddings."""
    weight_decay: float = 1e-2
    """Decoupled weight decay on the deep part."""
    dropout: float = 0.1
    """Dropout in the deep part."""
    seed: int = 0
    """Seed of initial weights, minibatches, dropout and negatives."""

    def __post_init__(self) -> None:
        _at_least(1, self, ("members", "embedding", "negatives", "patience", "batch"), "model")
        good = len(self.hidden) >= 1 and min(self.hidden) >= 1
        _require(good, "model.hidden", "needs one or more widths of at least 1")
        _positive(self, ("learning_rate",), "model")
        _require(0 <= self.dropout < 1, "model.dropout", f"must be at least 0 and below 1, not {self.dropout}")
        _not_negative(self, ("epochs", "bias_decay", "embedding_decay", "initial_scale", "weight_decay"), "model")


@dataclass(frozen=True)
class TablesConfig:
    """What is derived from the world model before any agent learns."""

    indicator: Literal["auto", "predicted", "logged"] = "auto"
    """A user's feedback vector p_u: row of the predicted matrix, or logged feedback (0 = missing); auto: logged where
    only positives are logged. Reading."""
    indicator_centre: Literal["none", "item", "user"] = "item"
    """Subtract the item's or the user's mean from p_u before cosines; raw rows of rewards are all alike. Reading."""
    neighbours: int = 15
    """k of ROLeR's neighbour table."""
    neighbour_weights: Literal["cosine", "uniform"] = "cosine"
    """Weights of the neighbour average (method.md section 6)."""
    neighbour_source: Literal["auto", "predicted", "logged"] = "auto"
    """What is averaged: neighbours' predicted rewards, or what they logged; auto: logged in logs of positives."""
    logged_neighbours: int = 100
    """Neighbours whose logged feedback is averaged (neighbour-source logged)."""
    neighbour_self: bool = True
    """Whether a user is among its own neighbours (the predecessors' code says yes)."""
    neighbour_risk: Literal["zero", "variance"] = "variance"
    """ROLeR's risk: none, or the variance of the neighbours' predicted rewards."""

    def __post_init__(self) -> None:
        _at_least(1, self, ("neighbours", "logged_neighbours"), "tables")


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
        _at_least(1, self, ("window", "turns"), "session")


@dataclass(frozen=True)
class TrackerConfig:
    """The state tracker: what an agent sees of a session."""

    kind: Literal["mean", "transformer"] = "transformer"
    """Mean of the window (DORL), or a Transformer encoder (ROLeR, DARLR)."""
    window: int = 3
    """w: how many recent tokens the state covers."""
    dim: int = 32
    """Width of a token inside the tracker."""
    layers: int = 2
    """Transformer layers."""
    heads: int = 1
    """Attention heads."""
    dropout: float = 0.0
    """Dropout while learning; acting never drops, so any value above 0 makes acting and learning differ."""

    def check(self, where: str) -> None:
        """Raise ConfigError unless this can work. where: its place on the command line, which its agent knows."""
        _at_least(1, self, ("window", "dim", "layers", "heads"), where)
        _require(self.dim % self.heads == 0, f"{where}.heads", f"must divide {where}.dim ({self.dim})")
        _require(0 <= self.dropout < 1, f"{where}.dropout", f"must be at least 0 and below 1, not {self.dropout}")


@dataclass(frozen=True)
class A2CConfig:
    """Advantage actor-critic, one for both agents (method.md sections 3 and 4)."""

    hidden: tuple[int, ...] = (64, 64)
    """Widths of the trunk that actor and critic share."""
    learning_rate: float = 1e-3
    """Adam step size."""
    gamma: float = 0.9
    """Discount."""
    gae_lambda: float = 1.0
    """GAE lambda; 1 gives Monte-Carlo returns."""
    value_coefficient: float = 0.5
    """Weight of the critic's loss."""
    entropy_coefficient: float = 0.0
    """Weight of the policy-entropy bonus."""
    normalise_advantages: bool = True
    """Centre and scale advantages in each minibatch; off is the textbook form. Reading."""
    minibatch: int = 1024
    """Transitions in a gradient step."""
    max_grad_norm: float = 1.0
    """Gradient clipping by global norm."""

    def check(self, where: str) -> None:
        """Raise ConfigError unless this can work. where: its place on the command line, which its agent knows."""
        _require(all(width >= 1 for width in self.hidden), f"{where}.hidden", "every width must be at least 1")
        _at_least(1, self, ("minibatch",), where)
        _positive(self, ("learning_rate", "max_grad_norm"), where)
        _not_negative(self, ("value_coefficient", "entropy_coefficient"), where)
        for name in ("gamma", "gae_lambda"):
            value = getattr(self, name)
            _require(0 <= value <= 1, _spelt(where, name), f"must be from 0 to 1, not {value}")


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
        _not_negative(self, ("lambda_u", "lambda_e"), "reward")
        _positive(self, ("minimum_gain",), "reward")


@dataclass(frozen=True)
class SelectorConfig:
    """The selector agent (method.md section 4); K_sel, lambda_s and lambda_d are the paper's tuned values."""

    kind: Literal["learned", "nearest", "random", "none"] = "learned"
    """Who picks references: the agent, or (ablations) largest cosines, chance at every turn, only the user itself."""
    picks: int = 10
    """K_sel: reference users picked for each recommendation."""
    candidates: int | None = None
    """Users that a pick is made from: three quarters of them the nearest by p, the others drawn once by chance; 0:
    everyone; left out: everyone among up to 2,048 users, else 64, or 4 K_sel if that is more. A pool is another method
    than picking from everyone, not only a cheaper one. Reading."""
    lambda_s: float = 5.0
    """lambda_s: weight of similarity in the selector's reward (Eq. 12)."""
    lambda_d: float = 0.1
    """lambda_d: weight of diversity in the selector's reward (Eq. 12)."""
    reward: Literal["set_mean", "own", "none"] = "set_mean"
    """r in Eq. 12: mean over the set so far, the picked user's own, or left out. Reading."""
    projection: int = 32
    """Size to which a feedback vector p is projected before it enters the state. Reading."""
    tracker: TrackerConfig = field(default_factory=lambda: TrackerConfig(layers=1))
    """The Transformer over the last w_sel selection tokens."""
    a2c: A2CConfig = field(default_factory=lambda: A2CConfig(minibatch=8192))
    """The selector's own actor, critic and optimiser."""

    def __post_init__(self) -> None:
        _at_least(1, self, ("picks", "projection"), "selector")
        if self.candidates:
            least = f"must be 0 (everyone) or at least selector.picks ({self.picks}), not {self.candidates}"
            _require(self.candidates >= self.picks, "selector.candidates", least)
        self.tracker.check("selector.tracker")
        self.a2c.check("selector.a2c")


@dataclass(frozen=True)
class RecommenderConfig:
    """The recommender agent (method.md section 3)."""

    user_in_state: bool = True
    """Whether the state holds the user's feedback vector; the predecessors leave the user out. Reading."""
    feedback_in_state: bool = True
    """Whether tokens carry the session's rewards."""
    prior: float = 0.0
    """Weight in the logits of the table that the estimate starts from, which they then learn to correct; 0 = none."""
    belief: float = 0.0
    """How far session feedback moves those scores: 1 = as the log says that tastes vary; 0 = not at all."""
    caution: float = 0.0
    """How far the logits of items that would make the user leave are lowered (category exits); 0 = not."""
    precision: Precision = "float32"
    """Of the products behind the logits of all items; bfloat16 pays for thousands of items at best."""
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    """The state tracker."""
    a2c: A2CConfig = field(default_factory=A2CConfig)
    """The recommender's actor, critic and optimiser."""

    def __post_init__(self) -> None:
        _not_negative(self, ("prior", "belief", "caution"), "recommender")
        _require(not self.belief or self.prior > 0, "recommender.belief", "needs recommender.prior above 0")
        self.tracker.check("recommender.tracker")
        self.a2c.check("recommender.a2c")


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
        _at_least(1, self, ("patience",), "diagnostics")
        _not_negative(self, ("warm_up", "hacking", "inflation"), "diagnostics")
        _require(0 <= self.shortening <= 1, "diagnostics.shortening", f"must be from 0 to 1, not {self.shortening}")
        _at_least(1, self, ("growth", "gradient_growth"), "diagnostics")


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
        _not_negative(self, ("epochs",))
        _at_least(1, self, ("steps", "sessions"))


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on: data, split, world model and training."""

    data: str = "synthetic"
    """synthetic, coat, kuairec, kuairec_binary, kuairand, yahoo, or the folder of a prepared data set."""
    label: str = ""
    """Name in tables; default: the method. Runs of one label are seeds of one row."""
    world: str | None = None
    """World folder from `darlr fit`; left out, the run fits its own."""
    split: SplitConfig = field(default_factory=SplitConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    world_model: WorldModelConfig = field(default_factory=WorldModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


@dataclass(frozen=True)
class TableConfig:
    """A user's own files: CSV, TSV (plain, .gz or .zst) or Parquet, and which column means what."""

    log: Path | tuple[Path, ...]
    """Files of logged events, one event a row: files, folders or quoted patterns."""
    user: str = "user"
    """Column of user ids, in the log and in the users' file."""
    item: str = "item"
    """Column of item ids, in the log and in the items' file."""
    reward: str = "reward"
    """Column of rewards."""
    implicit: bool = False
    """The log has no rewards: each event (a click, a purchase) is a positive of reward 1."""
    timestamp: str | None = None
    """Column of times (numbers or ISO 8601); only their order counts."""
    propensity: str | None = None
    """Column of logging probabilities, above 0 and at most 1."""
    users: Path | None = None
    """File of user features, one user a row; every column but the id is a feature."""
    items: Path | None = None
    """File of item features, one item a row; items without events stay in the catalogue."""
    category: str | None = None
    """Item feature that drives the exit rule: users leave when it repeats."""
    separator: str = "|"
    """What separates the values of a multi-valued feature."""
    multi: tuple[str, ...] = ()
    """Features to read as multi-valued; others are when the separator occurs in them."""
    categorical: tuple[str, ...] = ()
    """Features to read as categorical although they look like numbers or lists."""
    ignore: tuple[str, ...] = ()
    """Columns of the users' and items' files that are no features."""
    reward_range: tuple[float, float] | None = None
    """Lowest and highest possible reward; by default what occurs (0 and the value where only one occurs)."""
    name: str | None = None
    """Name of the data set; by default that of the log's first file."""

    def __post_init__(self) -> None:
        _require(self.separator != "", "separator", "must not be empty")
        _require(self.category is None or self.items is not None, "category", "needs the file of items (option items)")
        _require(not self.implicit or self.reward == "reward", "implicit", f"reward '{self.reward}' is named too")
        for name in self.ignore:
            read = name in (self.category, *self.multi, *self.categorical)
            _require(not read, "ignore", f"'{name}' is also named as a feature to read; leave out one of the two")
        if self.reward_range is not None:
            low, high = self.reward_range
            limits = f"must lie between -{LARGEST_REWARD:g} and {LARGEST_REWARD:g}"
            for end in self.reward_range:
                _require(abs(end) <= LARGEST_REWARD, "reward-range", f"{end} {limits}")
            apart = struct.pack("f", low) != struct.pack("f", high)
            held = not self.implicit or low <= 1 <= high
            _require(held, "reward-range", f"{low} to {high} must hold 1, the reward of all events with --implicit")
            _require(low < high and apart, "reward-range", f"{low} must be below {high}, in float32 too")
