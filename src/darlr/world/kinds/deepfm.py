"""Kind deepfm: the ensemble of DeepFM members on the logged feedback (method.md section 1)."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from darlr.errors import DataError
from darlr.options import WorldModelConfig
from darlr.world.kinds.kind import EpochReport, Kind, Task, Trained, metrics_of
from darlr.world.models.deepfm import DeepFM
from darlr.world.models.features import Side, encode
from darlr.world.models.scale import scale_of
from darlr.world.models.trainer import Rows, Trainer, score

LEAST_GAIN = 1e-5  # nats a row that count as a better held-out log loss


def fit(task: Task) -> Trained:
    """Train all members together; keep the epoch with the lowest held-out log loss of the ensemble.

    There is one stopping point for all members: the ensemble is what is used, and K choices on the same few held-out
    rows would fit their noise K times. Without held-out rows all epochs run. With loss pointneg the range of rewards
    reaches down to 0. Raises DataError when training diverges.
    """
    log, config = task.train, task.config
    scale = scale_of(log, config)
    generator = torch.Generator().manual_seed(config.seed)
    model = DeepFM(encode(log.n_users, log.user_features), encode(log.n_items, log.item_features), config, generator)
    trainer = Trainer(model, log, config, scale, generator)
    held_out = trainer.held_out_rows(task.held_out) if len(task.held_out) else None
    history = _train(trainer, held_out, task)
    best = history[history[-1].best_epoch]
    return Trained(model, scale, metrics_of(task, (best.held_out_loss, best.held_out_rmse), history))


def _train(trainer: Trainer, held_out: Rows | None, task: Task) -> list[EpochReport]:
    """Run epochs until patience runs out; the model is left at its best epoch."""
    config = task.config
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
        task.report(history[-1])
        if epoch - best_epoch >= config.patience:
            break
    trainer.model.load_state_dict(best_state)
    return history


def _copy(model: DeepFM) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def load(state: Mapping[str, Tensor], config: WorldModelConfig) -> DeepFM:
    """The ensemble from its tensors."""
    model = DeepFM(_side(state, "user"), _side(state, "item"), config, torch.Generator())
    model.load_state_dict(state)
    return model


def _side(state: Mapping[str, Tensor], name: str) -> Side:
    pool = state[f"{name}.pool"]
    return Side(
        codes=state[f"{name}.codes"],
        weights=state[f"{name}.weights"],
        field=pool.argmax(1),
        n_codes=state[f"{name}.table"].shape[0] // len(state[f"{name}.first"]),
        n_fields=pool.shape[1],
    )


KIND = Kind(fit, load, random_start=True)
