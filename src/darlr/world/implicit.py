"""Implicit logs, in which all rewards are equal, and the weights of logged events."""

from dataclasses import fields, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import scope_of
from darlr.data.split import select
from darlr.errors import ConfigError
from darlr.options import WorldModelConfig
from darlr.world.estimates import MOST

MOST_WEIGHT = 10.0  # the largest inverse-popularity weight, in mean weights: one event must not dominate a minibatch
MANY = 100_000  # users and items from which on gradients are sparse
EVENTS = 20_000_000  # events from which on they are shuffled in blocks
IMPLICIT: dict[str, Any] = {  # they limit the CPU time, see docs/world-model.md, "Implicit logs"
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
    """Whether the log is implicit and has a block, and users outside the block."""
    return log.implicit and log.block is not None and len(np.unique(log.block.users)) < log.n_users


def resolve(config: WorldModelConfig, log: InteractionLog) -> WorldModelConfig:
    """The options with kind auto and loss auto replaced by what suits the log.

    On an implicit log where no loss is named, the kind becomes history where `lacks_events_of_scope`, and implicit
    without a block; otherwise it becomes deepfm. On an implicit log kind mixed means auto. The loss of deepfm becomes
    point for ratings. For an implicit log it becomes pointneg, and all options at their defaults take the values of
    IMPLICIT. Where a loss is named, no other option changes. Raises ConfigError for kind bayesian on an implicit log,
    for bayesian or mixed with loss pointneg, and for implicit on a log of ratings or with a block.
    """
    if config.gradients == "auto":
        many = log.n_users + log.n_items > MANY
        config = replace(config, gradients="sparse" if many else "dense")
    if config.order == "auto":
        config = replace(config, order="blocks" if len(log) > EVENTS else "whole")
    if config.estimates == "auto":
        scope = scope_of(log)
        many = len(scope.users) * len(scope.items) > MOST
        config = replace(config, estimates="factors" if many else "table")
    if config.kind == "given":
        return config
    if config.kind in ("bayesian", "mixed") and config.loss == "pointneg":
        raise ConfigError(f"option model.kind: {config.kind} samples no negatives; with loss pointneg choose deepfm")
    if config.kind == "bayesian" and log.implicit:
        raise ConfigError(
            f"option model.kind: bayesian needs ratings, and all rewards of {log.name} are equal; leave it at auto"
        )
    if config.kind == "auto" or (config.kind == "mixed" and log.implicit):
        config = replace(config, kind=_kind(log) if config.loss == "auto" else "deepfm")
    if config.kind == "implicit":
        if not log.implicit or log.block is not None:
            what = "ratings" if not log.implicit else "a block (users x items that have no events)"
            raise ConfigError(f"option model.kind: implicit is for logs of positives, and {log.name} has {what}")
        return _suited(config, "members", "embedding")
    if config.kind == "history" or config.loss != "auto":
        return config
    if not log.implicit:
        return replace(config, loss="point")
    return replace(_suited(config, *IMPLICIT), loss="pointneg")


def _kind(log: InteractionLog) -> Literal["history", "implicit", "deepfm"]:
    if lacks_events_of_scope(log):
        return "history"
    return "implicit" if log.implicit and log.block is None else "deepfm"


def _suited(config: WorldModelConfig, *names: str) -> WorldModelConfig:
    """The same with the values of IMPLICIT for those of these options that are at their defaults."""
    plain = {field.name: field.default for field in fields(WorldModelConfig)}
    return replace(config, **{name: IMPLICIT[name] for name in names if getattr(config, name) == plain[name]})


def distinct(log: InteractionLog, known: InteractionLog | None = None) -> InteractionLog:
    """The first event of every cell. With `known`, cells that have an event there are left out."""
    cell = log.user * log.n_items + log.item
    keep = np.zeros(len(log), dtype=bool)
    keep[np.unique(cell, return_index=True)[1]] = True
    if known is not None:
        keep &= ~np.isin(cell, known.user * known.n_items + known.item)
    return select(log, keep)


def row_weights(log: InteractionLog, config: WorldModelConfig) -> Tensor:
    """The weight of each logged event, float32 [L] of mean 1.

    Inverse-popularity weights are 1 / the number of events of the item, which estimates the inverse propensity up to a
    factor (IPS, method.md section 7; Schnabel et al., arXiv 1602.05352), cut at MOST_WEIGHT mean weights.
    """
    if config.weighting == "none" or len(log) == 0:
        return torch.ones(1).expand(len(log))
    weight: NDArray[np.float64] = 1 / np.bincount(log.item, minlength=log.n_items)[log.item]
    weight = np.minimum(weight / weight.mean(), MOST_WEIGHT)
    return torch.from_numpy((weight / weight.mean()).astype(np.float32))


def item_weights(log: InteractionLog, config: WorldModelConfig) -> Tensor:
    """The weight of each item's events, float32 [I], by which IPS multiplies predictions; 1 without an event."""
    cells = distinct(log)
    factor = torch.ones(log.n_items)
    factor[torch.from_numpy(cells.item)] = row_weights(cells, config)
    return factor
