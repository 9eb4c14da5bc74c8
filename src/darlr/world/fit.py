"""Fitting the world model: the ensemble of DeepFM members on the logged feedback (method.md section 1)."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope, scope_of
from darlr.errors import DataError
from darlr.options import WorldModelConfig
from darlr.world.fitted import FittedWorldModel, Model, Scale, finish
from darlr.world.implicit import distinct, resolve
from darlr.world.models.bayesian import BayesianFM, fit_bayesian
from darlr.world.models.deepfm import DeepFM
from darlr.world.models.features import encode
from darlr.world.models.history import fit_history
from darlr.world.models.mixture import Mixture
from darlr.world.models.trainer import Rows, Trainer, logged_rows, score

LEAST_GAIN = 1e-5  # nats a row that count as a better held-out log loss


@dataclass(frozen=True)
class EpochReport:
    """One epoch of a fit (0 = before training); losses in nats a row of standardised reward, RMSE in the log's unit.

    Held-out values are None without a held-out log, the training loss at epoch 0.
    """

    epoch: int
    epochs: int
    train_loss: float | None
    held_out_loss: float | None
    held_out_rmse: float | None
    best_epoch: int


@dataclass(frozen=True)
class SweepReport:
    """How many sweeps of the Gibbs sampler are done, of how many."""

    sweep: int
    sweeps: int


Progress = Callable[[EpochReport | SweepReport], None]


@dataclass(frozen=True)
class Fit:
    """A trained model before its tables are computed. metrics: how training went, `best_epoch` among them."""

    model: Model
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
    """Train all members together; keep the epoch with the lowest held-out log loss of the ensemble.

    One stopping point for all members: the ensemble is what is used, and K choices on the same few held-out rows
    would fit their noise K times. Without held-out rows all epochs run. With loss pointneg the range of rewards
    reaches down to 0. An implicit log is fitted, and scored, on its distinct cells. Kind history has no epochs and
    reads no held-out row: it is chosen on users left out (`darlr.world.models.history`). Kinds bayesian and mixed learn
    from the log's rewards, kind bayesian without epochs.
    progress: called with epoch 0 (untrained), after each epoch, and with the sweeps of the sampler.
    Raises DataError when the training log is empty, and when training diverges; ConfigError when the kind does not suit
    the log.
    """
    if len(log_train) == 0:
        raise DataError(f"{log_train.name}: the training log is empty; nothing to fit a world model on")
    config = resolve(config, log_train)
    if log_train.implicit:
        log_train, log_held_out = distinct(log_train), distinct(log_held_out, log_train)
    if config.kind == "history":
        return _fit_history(log_train, config)
    scale = _scale(log_train, config)
    if config.kind == "bayesian":
        return _fit_bayesian(log_train, log_held_out, config, scale, progress)
    generator = torch.Generator().manual_seed(config.seed)
    model = DeepFM(
        encode(log_train.n_users, log_train.user_features),
        encode(log_train.n_items, log_train.item_features),
        config,
        generator,
    )
    trainer = Trainer(model, log_train, config, scale, generator)
    held_out = trainer.held_out_rows(log_held_out) if len(log_held_out) else None
    history = _train(trainer, held_out, config, progress)
    best = history[history[-1].best_epoch]
    metrics = _metrics(log_train, log_held_out, (best.held_out_loss, best.held_out_rmse), history)
    fit = Fit(model, config, scale, metrics, scope_of(log_train))
    return _mixed(fit, log_train, log_held_out, progress) if config.kind == "mixed" else fit


def _metrics(
    log_train: InteractionLog,
    log_held_out: InteractionLog,
    held_out: tuple[float | None, float | None],
    history: list[EpochReport],
) -> dict[str, Any]:
    """held_out: loss and RMSE there; history: of the epochs, where the model has any."""
    return {
        "train_rows": len(log_train),
        "held_out_rows": len(log_held_out),
        "best_epoch": history[-1].best_epoch if history else 0,
        "held_out_loss": held_out[0],
        "held_out_rmse": held_out[1],
        "history": [asdict(report) for report in history],
    }


def _fit_bayesian(
    log_train: InteractionLog,
    log_held_out: InteractionLog,
    config: WorldModelConfig,
    scale: Scale,
    progress: Progress | None,
) -> Fit:
    model = _sampled(log_train, config, scale, progress)
    held_out = _score(model, log_held_out, config, scale) if len(log_held_out) else (None, None)
    return Fit(model, config, scale, _metrics(log_train, log_held_out, held_out, []), scope_of(log_train))


def _sampled(log: InteractionLog, config: WorldModelConfig, scale: Scale, progress: Progress | None) -> BayesianFM:
    def report(sweep: int, sweeps: int) -> None:
        if progress is not None:
            progress(SweepReport(sweep, sweeps))

    rows = logged_rows(log, config, scale)
    return fit_bayesian(log, rows.target, rows.weight, config, report)


def _score(
    model: BayesianFM | Mixture, log: InteractionLog, config: WorldModelConfig, scale: Scale
) -> tuple[float, float]:
    """Held-out log loss, and RMSE in the log's unit."""
    loss, rmse = score(model, logged_rows(log, config, scale), scale)
    return loss, rmse * log.unit.scale


def _mixed(deep: Fit, log_train: InteractionLog, log_held_out: InteractionLog, progress: Progress | None) -> Fit:
    """A fitted DeepFM ensemble averaged with a Bayesian factorisation machine; held-out numbers are the average's."""
    assert isinstance(deep.model, DeepFM)
    model = Mixture(deep.model, _sampled(log_train, deep.config, deep.scale, progress))
    if not len(log_held_out):
        return replace(deep, model=model)
    loss, rmse = _score(model, log_held_out, deep.config, deep.scale)
    return replace(deep, model=model, metrics={**deep.metrics, "held_out_loss": loss, "held_out_rmse": rmse})


def _fit_history(log: InteractionLog, config: WorldModelConfig) -> Fit:
    scope = scope_of(log)
    model, explained = fit_history(log, scope, config)
    positive = float(log.reward[0])
    scale = Scale(0.0, positive, min(0.0, positive), max(0.0, positive))
    metrics: dict[str, Any] = {
        "train_rows": len(log),
        "held_out_rows": 0,
        "best_epoch": 0,
        "held_out_loss": None,
        "held_out_rmse": None,
        "explained": explained,
        "coordinates": model.coordinates.shape[1],
        "history": [],
    }
    return Fit(model, config, scale, metrics, scope)


def _scale(log: InteractionLog, config: WorldModelConfig) -> Scale:
    """Mean and standard deviation of the logged rewards; of an implicit log, of its rows and their negatives."""
    low, high = log.reward_range
    if config.loss == "pointneg":
        low = min(low, log.unit.zero)
    centre, spread = float(log.reward.mean()), float(log.reward.std())
    if config.loss == "pointneg" and log.implicit:
        share, gap = 1 / (1 + config.negatives), centre - low
        centre, spread = low + share * gap, gap * math.sqrt(share * (1 - share))
    return Scale(centre, spread or 1.0, low, high)


def _train(
    trainer: Trainer, held_out: Rows | None, config: WorldModelConfig, progress: Progress | None
) -> list[EpochReport]:
    """Epochs until patience runs out; leaves the model at its best epoch."""
    history: list[EpochReport] = []
    best_epoch, best_loss, best_state = 0, math.inf, _copy(trainer.model)
    for epoch in range(config.epochs + 1):
        train_loss = trainer.epoch() if epoch else None
        if train_loss is not None and not math.isfinite(train_loss):
            raise DataError(
                f"the world model diverged in epoch {epoch}; lower its learning rate ({config.learning_rate}): "
                "--learning-rate of darlr fit, --model.learning-rate of darlr train"
            )
        loss, rmse = score(trainer.model, held_out, trainer.scale) if held_out is not None else (None, None)
        rmse = None if rmse is None else rmse * trainer.log.unit.scale
        if loss is None or loss < best_loss - LEAST_GAIN:
            best_epoch, best_loss, best_state = epoch, math.inf if loss is None else loss, _copy(trainer.model)
        history.append(EpochReport(epoch, config.epochs, train_loss, loss, rmse, best_epoch))
        if progress is not None:
            progress(history[-1])
        if epoch - best_epoch >= config.patience:
            break
    trainer.model.load_state_dict(best_state)
    return history


def _copy(model: DeepFM) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}
