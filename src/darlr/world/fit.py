"""Fitting a world model of any kind."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope, scope_of
from darlr.errors import ConfigError, DataError
from darlr.options import WorldModelConfig
from darlr.world.answers import Answers
from darlr.world.belief import Belief
from darlr.world.estimates import Dense, Estimate
from darlr.world.factored import Factored, PairModel
from darlr.world.fitted import FittedWorldModel, predict, risk_of
from darlr.world.implicit import distinct, resolve
from darlr.world.kind import Progress, Scale, Task, Warm, WorldModel
from darlr.world.kinds import KINDS
from darlr.world.low_rank import LowRank, compress
from darlr.world.prior import belief_of, of_positives

NOISE_PAIRS = 100_000  # pairs whose mean risk is the noise of a logged reward


@dataclass(frozen=True)
class Fit:
    """A trained model without its tables. metrics: how training went, `best_epoch` among them."""

    model: WorldModel
    config: WorldModelConfig
    scale: Scale
    metrics: dict[str, Any]
    scope: Scope

    def finish(self, report: Callable[[int], None] = lambda _: None) -> FittedWorldModel:
        """Compute the tables of the scope, which takes longer than training where there are many users and items.

        report: called with the number of users done.
        """
        users, items = torch.from_numpy(self.scope.users), torch.from_numpy(self.scope.items)
        if self.config.estimates == "factors":
            return self._finished(users, items, *self._factors(users, items))
        reward, risk = torch.empty(len(users), len(items)), torch.empty(len(users), len(items))
        for rows, mean, log_variance in predict(self.model, users, items):
            reward[rows] = self.scale.reward(mean).mean(0)
            risk[rows] = self.scale.variance(log_variance.amax(0))
            report(rows.stop)
        return self._finished(users, items, Dense(reward), Dense(risk))

    def _finished(self, users: Tensor, items: Tensor, reward: Estimate, risk: Estimate) -> FittedWorldModel:
        vectors = self.model.vectors(self.config.embedding, users, items)
        about = self.model, self.config, self.scale
        return FittedWorldModel(*about, users, items, reward, risk, *vectors, self.metrics)

    def _factors(self, users: Tensor, items: Tensor) -> tuple[LowRank, Factored]:
        """r0 as factors, and P_U as the model predicts it at each call. The noise is the mean P_U of some pairs."""
        if not KINDS[self.config.kind].pairs or not isinstance(self.model, PairModel):
            raise ConfigError(f"option model.estimates: factors cannot hold a world model of kind {self.config.kind}")
        risk = risk_of(self.model, self.scale, users, items)
        generator = torch.Generator().manual_seed(self.config.seed)
        user, item = (torch.randint(len(side), (NOISE_PAIRS,), generator=generator) for side in (users, items))
        noise, bounds = float(risk.pairs(user, item).mean()), (self.scale.low, self.scale.high)
        return compress(Factored(self.model, self.scale, users, items), noise, bounds, self.config.seed), risk


def fit_world(
    log_train: InteractionLog, log_held_out: InteractionLog, config: WorldModelConfig, progress: Progress | None = None
) -> FittedWorldModel:
    """Train a world model and compute its tables; see `train_world`."""
    return train_world(log_train, log_held_out, config, progress).finish()


def train_world(
    log_train: InteractionLog,
    log_held_out: InteractionLog,
    config: WorldModelConfig,
    progress: Progress | None = None,
    warm: Warm | None = None,
) -> Fit:
    """Train a world model of the kind that the options name; `darlr.world.kinds` trains each kind.

    The duplicate cells of an implicit log are dropped first. progress: called before the first epoch, after each epoch,
    and with the sweeps of the sampler. warm: the model to go on from. Raises DataError where the training log is empty
    and where training diverges, ConfigError where the kind does not suit the log.
    """
    if len(log_train) == 0:
        raise DataError(f"{log_train.name}: the training log is empty; nothing to fit a world model on")
    config = resolve(config, log_train)
    if log_train.implicit:
        log_train, log_held_out = distinct(log_train), distinct(log_held_out, log_train)
    done = KINDS[config.kind].fit(Task(log_train, log_held_out, config, progress, warm))
    return Fit(done.model, config, done.scale, done.metrics, scope_of(log_train))


def fit_belief(log: InteractionLog, train: InteractionLog, held_out: InteractionLog, seed: int = 0) -> Belief:
    """The prior of the users of a log, for the items of its scope. seed: of the sampler.

    train: the log without the held-out events, which say how much answers count (`darlr.world.answers`).
    """
    config, answers = WorldModelConfig("bayesian", members=1, seed=seed), None
    if log.implicit:
        return of_positives(log)
    if len(train) < len(log) and len(train) and len(held_out):
        answers = Answers(**train_world(train, held_out, config).metrics.get("answers", {}))
    fit = train_world(log, held_out, config)
    answers = Answers(**fit.metrics.get("answers", {})) if answers is None else answers
    found = belief_of(fit.model, fit.scale, log, answers)
    assert found is not None
    return found
