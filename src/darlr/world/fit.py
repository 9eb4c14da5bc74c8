"""Fitting a world model of any kind."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope, scope_of
from darlr.errors import DataError
from darlr.options import WorldModelConfig
from darlr.world.fitted import FittedWorldModel, finish
from darlr.world.implicit import distinct, resolve
from darlr.world.kinds.kind import Progress, Task, WorldModel
from darlr.world.kinds.registry import KINDS
from darlr.world.models.scale import Scale


@dataclass(frozen=True)
class Fit:
    """A trained model before its tables are computed. metrics: how training went, `best_epoch` among them."""

    model: WorldModel
    config: WorldModelConfig
    scale: Scale
    metrics: dict[str, Any]
    scope: Scope

    def finish(self, report: Callable[[int], None] = lambda _: None) -> FittedWorldModel:
        """With the tables of the scope: the costlier part where there are many users and items.

        report: called with the number of users done.
        """
        return finish(self.model, self.config, self.scale, self.metrics, self.scope, report)


def fit_world(
    log_train: InteractionLog,
    log_held_out: InteractionLog,
    config: WorldModelConfig,
    progress: Progress | None = None,
) -> FittedWorldModel:
    """`train_world`, and the tables of the scope."""
    return train_world(log_train, log_held_out, config, progress).finish()


def train_world(
    log_train: InteractionLog,
    log_held_out: InteractionLog,
    config: WorldModelConfig,
    progress: Progress | None = None,
) -> Fit:
    """Fit the kind of world model that the options name; `darlr.world.kinds` says how each is fitted.

    An implicit log is fitted, and scored, on its distinct cells. progress: called with epoch 0 (untrained), after each
    epoch, and with the sweeps of the sampler. Raises DataError when the training log is empty, and when training
    diverges; ConfigError when the kind does not suit the log.
    """
    if len(log_train) == 0:
        raise DataError(f"{log_train.name}: the training log is empty; nothing to fit a world model on")
    config = resolve(config, log_train)
    if log_train.implicit:
        log_train, log_held_out = distinct(log_train), distinct(log_held_out, log_train)
    done = KINDS[config.kind].fit(Task(log_train, log_held_out, config, progress))
    return Fit(done.model, config, done.scale, done.metrics, scope_of(log_train))
