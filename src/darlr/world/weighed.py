"""The weights of references that likelihood chooses, for a fitted world model; its folder keeps them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from warnings import warn

import numpy as np
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope
from darlr.data.split import select
from darlr.errors import ConfigError, DarlrWarning, RunError
from darlr.io.tensors import read_tensors, write_tensors
from darlr.world.attention import Attention, fit_attention, load_attention
from darlr.world.cross_fit import cross_fit, fits
from darlr.world.fit import train_world
from darlr.world.fitted import FittedWorldModel

MOST_USERS = 4096  # above it the weights of all pairs of users are not computed
LEAVE = "leave selector.objective at reward"


def require_weighable(log: InteractionLog, scope: Scope, kind: str, estimates: str) -> None:
    """Raise ConfigError where likelihood cannot weigh references. kind, estimates: of the world model, not auto."""
    problem = None
    if log.implicit:
        problem = f"likelihood compares ratings, and all rewards of {log.name} are equal"
    elif estimates == "factors" or len(scope.users) > MOST_USERS:
        problem = (
            f"likelihood compares all pairs of users and holds estimates as a table, which is refused above "
            f"{MOST_USERS:,} users and with model.estimates factors; {log.name} has {len(scope.users):,} users and "
            f"{len(scope.items):,} items"
        )
    elif kind == "given":
        problem = "likelihood fits the world model anew to parts of the log, and factors of another library are given"
    if problem is not None:
        raise ConfigError(f"option selector.objective: {problem}; {LEAVE}")


def attention_of(
    fitted: FittedWorldModel,
    log: InteractionLog,
    scope: Scope,
    folds: int,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Attention:
    """The weights for a world model that was fitted to `log`, read from its folder where they were chosen before.

    All fits have the world model's options, seed and number of epochs. report: called before each fit and once at the
    end, with the number of fits done and of all fits. Raises ConfigError as `require_weighable` does.
    """
    require_weighable(log, scope, fitted.config.kind, fitted.config.estimates)
    path = None if fitted.home is None else Path(fitted.home, f"references-{folds}.safetensors")
    if path is not None:
        try:
            tensors, about = read_tensors(path, "delete it", what="file of weights")
            return load_attention(tensors, float(about["gain"]))
        except (FileNotFoundError, RunError, KeyError):
            pass  # a damaged file is replaced
    # without held-out events, all these epochs run
    config = replace(fitted.config, epochs=int(fitted.metrics["best_epoch"]))
    nothing, done, total = select(log, np.zeros(len(log), dtype=bool)), 0, fits(folds)

    def fit(part: InteractionLog) -> Tensor:
        nonlocal done
        report(done, total)
        done += 1
        return train_world(part, nothing, config).finish().reward.whole()

    crossed = cross_fit(log, scope, folds, config.seed, fit)
    report(total, total)
    found = fit_attention(fitted.reward.whole(), crossed, config.seed)
    if path is not None:
        try:
            write_tensors(path, found.state(), {"gain": found.gain})
        except RunError as error:
            warn(f"the next command chooses the weights of references again: {error}", DarlrWarning, stacklevel=2)
    return found
