"""Options of the world model and of the tables that are read off it."""

from dataclasses import dataclass
from typing import Literal

from darlr.options.checks import at_least, not_negative, positive, require


@dataclass(frozen=True)
class WorldModelConfig:
    """The world model (method.md section 1); the defaults were chosen on held-out log, see docs/world-model.md."""

    kind: Literal["auto", "deepfm", "bayesian", "mixed", "history"] = "auto"
    """A DeepFM ensemble; draws of a factorisation machine from its posterior; both, averaged (mixed); or a model of
    what users logged outside the block. auto: history where only positives are logged and whom we recommend to have
    none on the scope's items, else deepfm. mixed is like auto where only positives are logged."""
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
        at_least(1, self, ("members", "embedding", "negatives", "patience", "batch"), "model")
        good = len(self.hidden) >= 1 and min(self.hidden) >= 1
        require(good, "model.hidden", "needs one or more widths of at least 1")
        positive(self, ("learning_rate",), "model")
        require(0 <= self.dropout < 1, "model.dropout", f"must be at least 0 and below 1, not {self.dropout}")
        not_negative(self, ("epochs", "bias_decay", "embedding_decay", "initial_scale", "weight_decay"), "model")


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
        at_least(1, self, ("neighbours", "logged_neighbours"), "tables")
