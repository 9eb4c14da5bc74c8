"""Implicit logs (every logged reward the same), and weights of logged rows."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.split import select
from darlr.errors import ConfigError
from darlr.options import WorldModelConfig

MOST_WEIGHT = 10.0  # of an inverse-popularity weight, in mean weights: a row of a rare item must not rule a minibatch
MANY = 100_000  # users and items from which on gradients are sparse
IMPLICIT: dict[str, Any] = {  # a budget of CPU time, see docs/world-model.md, "Implicit logs"
    "members": 3,
    "negatives": 5,
    "hidden": (32,),
    "epochs": 2,
    "patience": 1,
    "batch": 4096,
    "embedding": 16,
    "dropout": 0.0,
}


def lacks_events_of_scope(log: InteractionLog) -> bool:
    """Whether only positives are logged, none by the block's users on its items, but some by other users."""
    return log.implicit and log.block is not None and len(np.unique(log.block.users)) < log.n_users


def resolve(config: WorldModelConfig, log: InteractionLog) -> WorldModelConfig:
    """The options with `kind = auto` and `loss = auto` replaced by what suits the log.

    The kind becomes history where only positives are logged and the users of the scope have none on its items, unless a
    loss is named; otherwise it becomes deepfm. Kind mixed is for ratings, and means auto where only positives are
    logged. The loss becomes point for ratings, and pointneg for positives; options that still have their defaults then
    take the values of IMPLICIT. A loss that is named leaves all other options as they are.
    Raises ConfigError for kind bayesian where only positives are logged, and for bayesian or mixed with loss pointneg.
    """
    if config.gradients == "auto":
        many = log.n_users + log.n_items > MANY
        config = replace(config, gradients="sparse" if many else "dense")
    if config.kind in ("bayesian", "mixed") and config.loss == "pointneg":
        raise ConfigError(f"option model.kind: {config.kind} samples no negatives; with loss pointneg choose deepfm")
    if config.kind == "bayesian" and log.implicit:
        raise ConfigError(
            f"option model.kind: bayesian needs ratings, and all rewards of {log.name} are equal; leave it at auto"
        )
    if config.kind == "auto" or (config.kind == "mixed" and log.implicit):
        config = replace(config, kind="history" if config.loss == "auto" and lacks_events_of_scope(log) else "deepfm")
    if config.kind == "history":
        return config
    if config.loss != "auto":
        return config
    if not log.implicit:
        return replace(config, loss="point")
    plain = {field.name: field.default for field in fields(WorldModelConfig)}
    return replace(
        config,
        loss="pointneg",
        **{name: value for name, value in IMPLICIT.items() if getattr(config, name) == plain[name]},
    )


def distinct(log: InteractionLog, known: InteractionLog | None = None) -> InteractionLog:
    """The first event of every cell; with `known` only of cells that it does not hold."""
    cell = log.user * log.n_items + log.item
    keep = np.zeros(len(log), dtype=bool)
    keep[np.unique(cell, return_index=True)[1]] = True
    if known is not None:
        keep &= ~np.isin(cell, known.user * known.n_items + known.item)
    return select(log, keep)


def row_weights(log: InteractionLog, config: WorldModelConfig) -> Tensor:
    """Weight of each logged row, float32 [L] of mean 1.

    "inverse-popularity": 1 / events of the item, an estimate of the inverse propensity up to a factor (IPS, method.md
    section 7; Schnabel et al., arXiv 1602.05352), cut at MOST_WEIGHT mean weights.
    """
    if config.weighting == "none" or len(log) == 0:
        return torch.ones(len(log))
    weight: NDArray[np.float64] = 1 / np.bincount(log.item, minlength=log.n_items)[log.item]
    weight = np.minimum(weight / weight.mean(), MOST_WEIGHT)
    return torch.from_numpy((weight / weight.mean()).astype(np.float32))
