"""Options of the two agents."""

from dataclasses import dataclass, field
from typing import Literal

from darlr.options.checks import at_least, not_negative, positive, require, spelt

MOST_LOGGED = 64  # the most logged items of a user that a slate and a belief read
MOST_BELIEF = 100  # beyond it single precision cannot hold what sessions tell

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class TrackerConfig:
    """The state tracker, which encodes the recent turns of a session into the state of an agent."""

    kind: Literal["mean", "transformer"] = "transformer"
    """mean: the state is the mean of the window (DORL). transformer: a Transformer encodes it (ROLeR, DARLR)."""
    window: int = 3
    """w: number of recent turns, or picks of the selector, that the state covers."""
    dim: int = 32
    """Size of the vector of a turn or pick in the tracker."""
    layers: int = 2
    """Number of Transformer layers."""
    heads: int = 1
    """Number of attention heads."""
    dropout: float = 0.0
    """Dropout rate during updates. Acting uses no dropout, so above 0 it uses another network than the updates."""

    def check(self, where: str) -> None:
        """Raise ConfigError for values out of range. where: the prefix of the names of these options."""
        at_least(1, self, ("window", "dim", "layers", "heads"), where)
        require(self.dim % self.heads == 0, f"{where}.heads", f"must divide {where}.dim ({self.dim})")
        require(0 <= self.dropout < 1, f"{where}.dropout", f"must be at least 0 and below 1, not {self.dropout}")


@dataclass(frozen=True)
class A2CConfig:
    """Advantage actor-critic, which both agents use (method.md sections 3 and 4)."""

    hidden: tuple[int, ...] = (64, 64)
    """Widths of the layers that actor and critic share."""
    learning_rate: float = 1e-3
    """Step size of Adam."""
    gamma: float = 0.9
    """Discount factor of future rewards."""
    gae_lambda: float = 1.0
    """Lambda of generalised advantage estimation. 1 gives Monte-Carlo returns."""
    value_coefficient: float = 0.5
    """Weight of the loss of the critic."""
    entropy_coefficient: float = 0.0
    """Weight of the entropy bonus of the policy."""
    normalise_advantages: bool = True
    """Advantages are centred and scaled in each minibatch, unlike in plain A2C. The paper leaves this open."""
    minibatch: int = 1024
    """Number of transitions in a gradient step."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this global norm."""

    def check(self, where: str) -> None:
        """Raise ConfigError for values out of range. where: the prefix of the names of these options."""
        require(all(width >= 1 for width in self.hidden), f"{where}.hidden", "every width must be at least 1")
        at_least(1, self, ("minibatch",), where)
        positive(self, ("learning_rate", "max_grad_norm"), where)
        not_negative(self, ("value_coefficient", "entropy_coefficient"), where)
        for name in ("gamma", "gae_lambda"):
            value = getattr(self, name)
            require(0 <= value <= 1, spelt(where, name), f"must be from 0 to 1, not {value}")


@dataclass(frozen=True)
class SelectorConfig:
    """The selector agent, which picks reference users (method.md section 4)."""

    kind: Literal["learned", "nearest", "random", "none"] = "learned"
    """Who picks the reference users. learned: the selector agent.
    The ablations are nearest (by cosine), random (users drawn at every turn) and none (only the user itself)."""
    objective: Literal["reward", "likelihood"] = "reward"
    """What chooses the references and their weights. reward: an agent picks them for the reward of Eq. 12.
    likelihood: all users who logged the item are references, and weights that maximise the likelihood of the log say
    how far their rewards move the world model's estimate. No agent learns, and Eq. 12 is not used.
    It needs ratings and estimates held as a table. The paper leaves this open."""
    folds: int = 4
    """With the objective likelihood, the number of parts of the log that are left out, one and two at a time.
    The world model is fitted anew without them, 10 times with 4 folds."""
    picks: int = 10
    """K_sel: number of reference users that are picked for each recommendation."""
    candidates: int | None = None
    """Number of users that the selector may pick from.
    Three quarters are the nearest users, and the rest are sampled once. 0 means all users.
    The default is all users where there are at most 2,048, and otherwise the larger of 64 and 4 K_sel.
    Picking from candidates is another method than picking from all users. The paper leaves this open."""
    lambda_s: float = 5.0
    """lambda_s: weight of similarity in the reward of the selector (Eq. 12)."""
    lambda_d: float = 0.1
    """lambda_d: weight of diversity in the reward of the selector (Eq. 12)."""
    reward: Literal["set_mean", "own", "none"] = "set_mean"
    """r in Eq. 12. set_mean: the mean over the users picked so far. own: the reward of the picked user alone.
    none: there is no such term. The paper leaves this open."""
    projection: int = 32
    """Size to which the feedback vector p of a user is projected for the state. The paper leaves this open."""
    tracker: TrackerConfig = field(default_factory=lambda: TrackerConfig(layers=1))
    """The tracker, which reads the last w_sel picks."""
    a2c: A2CConfig = field(default_factory=lambda: A2CConfig(minibatch=8192))
    """The actor, the critic and the optimiser of the selector."""

    def __post_init__(self) -> None:
        at_least(1, self, ("picks", "projection"), "selector")
        at_least(3, self, ("folds",), "selector")
        agrees = self.objective == "reward" or self.kind == "learned"
        require(agrees, "selector.objective", f"likelihood needs selector.kind learned, not {self.kind}")
        if self.candidates:
            least = f"must be 0 (all users) or at least selector.picks ({self.picks}), not {self.candidates}"
            require(self.candidates >= self.picks, "selector.candidates", least)
        self.tracker.check("selector.tracker")
        self.a2c.check("selector.a2c")


@dataclass(frozen=True)
class RecommenderConfig:
    """The recommender agent, which picks items (method.md section 3)."""

    user_in_state: bool = True
    """The state holds the feedback vector of the user. Earlier methods leave it out. The paper leaves this open."""
    feedback_in_state: bool = True
    """The state holds the rewards that the session has brought so far."""
    prior: float | None = None
    """Weight of the initial reward estimates in the logits, so that the policy starts from them. 0 leaves them out.
    The default is 10 with the world model implicit, and otherwise 0. The paper has no such term."""
    belief: float = 0.0
    """How strongly the rewards of a session update the estimates that recommender.prior adds to the logits.
    1 follows the variance of preferences in the log. 0 never updates the estimates. At most 100."""
    belief_scale: float = 1.0
    """Factor of the belief in the state of the policy, where it is divided by the range of rewards.
    The range of rewards over their noise, about 4 for ratings, makes it as large as the other inputs."""
    caution: float = 0.0
    """How far the policy lowers the logits of items that would make the user leave. 0 leaves the logits as they are.
    The built-in exit rule category supports it, and the rule distance does not."""
    price: float = 0.0
    """How far the policy lowers the estimates of items by P(leave) times what leaving costs.
    1 follows the index of staying. It acts where rewards or fatigue make users leave, not where items alone do."""
    slate: int | None = None
    """Number of items that the world model ranks first for a user and that can be recommended, in large catalogues.
    0 means all items. The default is all items up to 20,000, and otherwise 400. The paper knows no slates.
    A slate must hold at least as many items as a session has turns."""
    slate_random: int = 100
    """Number of items that are drawn at random into the slate of each user."""
    precision: Precision = "float32"
    """Number format of the matrix products that give the logits. bfloat16 can be faster with thousands of items."""
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    """The tracker, which reads the last w turns."""
    a2c: A2CConfig = field(default_factory=A2CConfig)
    """The actor, the critic and the optimiser of the recommender."""

    def __post_init__(self) -> None:
        positive(self, ("belief_scale",), "recommender")
        not_negative(self, ("belief", "caution", "price", "slate_random"), "recommender")
        require(self.prior is None or self.prior >= 0, "recommender.prior", f"must be at least 0, not {self.prior}")
        require(self.slate is None or self.slate >= 0, "recommender.slate", f"must be at least 0, not {self.slate}")
        most = f"must be at most {MOST_BELIEF}, not {self.belief:g}"
        require(self.belief <= MOST_BELIEF, "recommender.belief", most)
        self.tracker.check("recommender.tracker")
        self.a2c.check("recommender.a2c")
