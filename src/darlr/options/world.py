"""Options of the world model and of the tables that are computed from it."""

from dataclasses import dataclass
from typing import Literal

from darlr.options.checks import at_least, not_negative, positive, require


@dataclass(frozen=True)
class WorldModelConfig:
    """The world model, which predicts rewards (method.md section 1, world-model.md)."""

    kind: Literal["auto", "deepfm", "bayesian", "mixed", "history", "implicit", "given"] = "auto"
    """deepfm: an ensemble of DeepFM networks. bayesian: samples from the posterior of a factorisation machine.
    mixed: the mean of both. history: a model of the events that users logged on items other than the recommended ones.
    implicit: the mean of EASE and ALS, calibrated to the probability of a positive, for logs of positives alone.
    given: factors of another library, which are named by the option world and not fitted.
    auto: deepfm for ratings. Where only positives are logged: history if none is on a pair of user and item to
    recommend, otherwise implicit.
    On a log of positives, mixed does what auto does."""
    members: int = 5
    """K: number of ensemble members. mixed has this many of each of its two kinds."""
    embedding: int = 8
    """Size of an embedding in deepfm, and number of factors in bayesian."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the layers in the deep part of DeepFM."""
    loss: Literal["auto", "point", "pointneg"] = "auto"
    """point: the likelihood of the logged rewards.
    pointneg: sampled unlogged items count as the lowest reward as well.
    auto: pointneg where all logged rewards are equal, otherwise point.
    Where auto chooses pointneg, other options that are left at their defaults take values that suit such logs."""
    weighting: Literal["none", "inverse-popularity"] = "none"
    """Weights of the logged events: all 1, or inverse to the number of events of the item (IPS)."""
    negatives: int = 5
    """Number of sampled negatives for each logged event, with the loss pointneg."""
    epochs: int = 60
    """Largest number of epochs. Early stopping usually ends the fit sooner."""
    patience: int = 5
    """The fit stops after this many epochs without a lower held-out log loss."""
    batch: int = 256
    """Number of logged events in a minibatch."""
    learning_rate: float = 5e-3
    """Step size of Adam."""
    gradients: Literal["auto", "dense", "sparse"] = "auto"
    """Gradients of the embeddings. dense: of all rows at each step. sparse: of the rows of the minibatch, by Adagrad.
    auto: sparse where there are more than 100,000 users and items together."""
    order: Literal["auto", "whole", "blocks"] = "auto"
    """Order of the logged events in an epoch. whole: all events are shuffled.
    blocks: blocks of 4,096 neighbouring events are drawn, and 256 of them are shuffled at a time, in little memory.
    auto: blocks where there are more than 20 million events."""
    bias_decay: float = 1.0
    """Strength of the prior that pulls first-order weights to 0, as a number of logged events."""
    embedding_decay: float = 50.0
    """Strength of the prior that pulls embeddings to 0, as a number of logged events."""
    estimates: Literal["auto", "table", "factors"] = "auto"
    """How predicted rewards are held. table: one number for each user and item.
    factors: 64 numbers for each user and each item, which lose a little; the fit states how much.
    auto: factors where there are more than 200 million pairs of a user and an item."""
    initial_scale: float = 0.1
    """Standard deviation of the initial embeddings."""
    weight_decay: float = 1e-2
    """Decoupled weight decay in the deep part of DeepFM."""
    dropout: float = 0.1
    """Dropout rate in the deep part of DeepFM."""
    seed: int = 0
    """Seed of the initial weights, minibatches, dropout and negatives."""

    def __post_init__(self) -> None:
        at_least(1, self, ("members", "embedding", "negatives", "patience", "batch"), "model")
        good = len(self.hidden) >= 1 and min(self.hidden) >= 1
        require(good, "model.hidden", "needs one or more widths of at least 1")
        positive(self, ("learning_rate",), "model")
        require(0 <= self.dropout < 1, "model.dropout", f"must be at least 0 and below 1, not {self.dropout}")
        not_negative(self, ("epochs", "bias_decay", "embedding_decay", "initial_scale", "weight_decay"), "model")


@dataclass(frozen=True)
class TablesConfig:
    """Tables that are computed from the world model before the agents learn."""

    indicator: Literal["auto", "predicted", "logged"] = "auto"
    """Feedback vector p of a user. predicted: its predicted rewards. logged: its logged rewards, and 0 elsewhere.
    auto: logged for logs of positives, otherwise predicted. The paper leaves this open."""
    indicator_centre: Literal["none", "item", "user"] = "item"
    """Mean that is subtracted from p before cosines are computed. With none all users look alike.
    The paper leaves this open."""
    neighbours: int = 15
    """k: number of neighbours in the neighbour table of ROLeR."""
    neighbour_weights: Literal["cosine", "uniform"] = "cosine"
    """Weights of the neighbours in the neighbour table (method.md section 6)."""
    neighbour_source: Literal["auto", "predicted", "logged"] = "auto"
    """What the neighbour table averages: the predicted or the logged rewards of the neighbours.
    auto: logged for logs of positives, unless the world model is implicit, otherwise predicted."""
    logged_neighbours: int = 100
    """Number of neighbours when the neighbour table averages logged rewards."""
    neighbour_self: bool = True
    """A user is one of its own neighbours, as in the published code of ROLeR."""
    neighbour_risk: Literal["zero", "variance"] = "variance"
    """Risk of ROLeR. zero: there is none. variance: the variance of the rewards predicted for the neighbours."""

    def __post_init__(self) -> None:
        at_least(1, self, ("neighbours", "logged_neighbours"), "tables")
