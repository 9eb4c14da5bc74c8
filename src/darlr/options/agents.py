"""Options of the two agents."""

from dataclasses import dataclass, field
from typing import Literal

from darlr.options.checks import at_least, not_negative, positive, require, spelt

Precision = Literal["float32", "bfloat16"]


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
        at_least(1, self, ("window", "dim", "layers", "heads"), where)
        require(self.dim % self.heads == 0, f"{where}.heads", f"must divide {where}.dim ({self.dim})")
        require(0 <= self.dropout < 1, f"{where}.dropout", f"must be at least 0 and below 1, not {self.dropout}")


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
        require(all(width >= 1 for width in self.hidden), f"{where}.hidden", "every width must be at least 1")
        at_least(1, self, ("minibatch",), where)
        positive(self, ("learning_rate", "max_grad_norm"), where)
        not_negative(self, ("value_coefficient", "entropy_coefficient"), where)
        for name in ("gamma", "gae_lambda"):
            value = getattr(self, name)
            require(0 <= value <= 1, spelt(where, name), f"must be from 0 to 1, not {value}")


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
        at_least(1, self, ("picks", "projection"), "selector")
        if self.candidates:
            least = f"must be 0 (everyone) or at least selector.picks ({self.picks}), not {self.candidates}"
            require(self.candidates >= self.picks, "selector.candidates", least)
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
        not_negative(self, ("prior", "belief", "caution"), "recommender")
        require(not self.belief or self.prior > 0, "recommender.belief", "needs recommender.prior above 0")
        self.tracker.check("recommender.tracker")
        self.a2c.check("recommender.a2c")
