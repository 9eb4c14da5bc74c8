"""The kinds of world model by the name that the option `model.kind` gives them: how each is fitted and read."""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import scope_of
from darlr.data.split import newest
from darlr.errors import ConfigError, DataError
from darlr.options import WorldModelConfig
from darlr.world.kind import EpochReport, Kind, Scale, SweepReport, Task, Trained, part
from darlr.world.models.bayesian import BayesianFM, fit_bayesian
from darlr.world.models.conditioned import condition
from darlr.world.models.deepfm import DeepFM
from darlr.world.models.features import Side, encode
from darlr.world.models.given import GivenFactors
from darlr.world.models.history import HistoryModel, fit_history
from darlr.world.models.implicit import ImplicitModel, fit_implicit
from darlr.world.models.mixture import Mixture
from darlr.world.models.trainer import Trainer, logged_rows, score
from darlr.world.prior import answers_of

LEAST_GAIN = 1e-5  # the smallest fall of the held-out log loss, in nats per event, that counts as an improvement


def train_deepfm(task: Task) -> Trained:
    """Train all members together, and keep the epoch with the lowest held-out log loss of the ensemble.

    All members stop at one epoch, because the ensemble is what is used, and K choices on the same few held-out events
    would fit their noise K times. Without held-out events all epochs run. Raises DataError when training diverges.
    """
    log, config, scale, warm = task.train, task.config, task.scale, task.warm
    generator = torch.Generator().manual_seed(config.seed)
    before = None if warm is None else warm.model
    assert before is None or isinstance(before, DeepFM)
    known = (None, None) if before is None else (before.user.n_ids, before.item.n_ids)
    sides = (log.n_users, log.user_features, known[0]), (log.n_items, log.item_features, known[1])
    model = DeepFM(encode(*sides[0]), encode(*sides[1]), config, generator)
    if before is not None:
        model.take_over(before)
    trainer = Trainer(model, log, config, scale, generator, None if warm is None else warm.replay)
    unseen = task.held_out if warm is None else newest(task.held_out)  # older ones may have been fitted
    held_out = trainer.held_out_rows(unseen) if len(unseen) else None
    history: list[EpochReport] = []
    best_epoch, best_loss, best_state = 0, math.inf, _copy(model)
    for epoch in range(config.epochs + 1):
        train_loss = trainer.epoch() if epoch else None
        if train_loss is not None and not math.isfinite(train_loss):
            raise DataError(
                f"option model.learning-rate: {config.learning_rate} is too high, as the world model diverged in epoch "
                f"{epoch}; lower it"
            )
        loss, rmse = score(model, held_out, scale) if held_out is not None else (None, None)
        rmse = None if rmse is None else rmse * log.unit.scale
        if loss is None or loss < best_loss - LEAST_GAIN:
            best_epoch, best_loss, best_state = epoch, math.inf if loss is None else loss, _copy(model)
        history.append(EpochReport(epoch, config.epochs, train_loss, loss, rmse, best_epoch))
        task.report(history[-1])
        if epoch - best_epoch >= config.patience:
            break
    model.load_state_dict(best_state)
    best = history[best_epoch]
    return Trained(model, scale, task.metrics(best.held_out_loss, best.held_out_rmse, history))


def _copy(model: DeepFM) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def train_bayesian(task: Task) -> Trained:
    """Sample a factorisation machine from its posterior (docs/world-model.md)."""
    model = _sampled(task)
    score, more = _held_out_score(model, task, task.scale), answers_of(model, task.scale, task.train, task.held_out)
    return Trained(model, task.scale, task.metrics(*score, [], **more))


def train_mixed(task: Task) -> Trained:
    """Fit both of the above to the same events, and average them (docs/world-model.md)."""
    deep_task, chain_task = task, task
    if task.warm is not None:
        assert isinstance(task.warm.model, Mixture)
        halves = task.warm.model.deep, task.warm.model.bayesian
        deep_task, chain_task = (replace(task, warm=replace(task.warm, model=half)) for half in halves)
    deep = train_deepfm(deep_task)
    assert isinstance(deep.model, DeepFM)
    model = Mixture(deep.model, _sampled(chain_task))
    if not len(task.held_out):
        return replace(deep, model=model)
    loss, rmse = _held_out_score(model, task, deep.scale)
    more = answers_of(model, deep.scale, task.train, task.held_out)
    return replace(deep, model=model, metrics={**deep.metrics, "held_out_loss": loss, "held_out_rmse": rmse, **more})


def train_history(task: Task) -> Trained:
    """Predict the scope's items from users' events on other items. Cross-validation over users chooses the model."""
    log = task.train
    model, explained = fit_history(log, scope_of(log), task.config)
    chosen = {"explained": explained, "coordinates": model.coordinates.shape[1]}
    return Trained(model, _shares(log), task.metrics(None, None, [], held_out_rows=0, **chosen))


def train_implicit(task: Task) -> Trained:
    """Average EASE and ALS, and calibrate them. One event of each user in the training log decides how."""
    model, chosen = fit_implicit(task.train, task.config)
    return Trained(model, _shares(task.train), task.metrics(None, None, [], held_out_rows=0, chosen=chosen))


def _shares(log: InteractionLog) -> Scale:
    """The scale of probabilities of a positive."""
    positive = float(log.reward[0])
    return Scale(0.0, positive, min(0.0, positive), max(0.0, positive))


def _sampled(task: Task) -> BayesianFM:
    rows = logged_rows(task.train, task.config, task.scale)
    if task.warm is not None:
        assert isinstance(task.warm.model, BayesianFM)
        return condition(task.warm.model, task.train, rows.target, rows.weight, task.config.seed)
    return fit_bayesian(
        task.train, rows.target, rows.weight, task.config, lambda *done: task.report(SweepReport(*done))
    )


def _held_out_score(model: BayesianFM | Mixture, task: Task, scale: Scale) -> tuple[float | None, float | None]:
    """The held-out log loss, and the RMSE in the log's unit; None without held-out events."""
    if not len(task.held_out):
        return None, None
    loss, rmse = score(model, logged_rows(task.held_out, task.config, scale), scale)
    return loss, rmse * task.held_out.unit.scale


def _load_deepfm(state: Mapping[str, Tensor], config: WorldModelConfig) -> DeepFM:
    model = DeepFM(_side(state, "user"), _side(state, "item"), config, torch.Generator())
    model.load_state_dict(state)
    return model


def _side(state: Mapping[str, Tensor], name: str) -> Side:
    pool, n_codes = state[f"{name}.pool"], len(state[f"{name}.linear_table"]) // len(state[f"{name}.first"])
    return Side(state[f"{name}.codes"], state[f"{name}.weights"], pool.argmax(1), n_codes, pool.shape[1])


def _load_mixed(state: Mapping[str, Tensor], config: WorldModelConfig) -> Mixture:
    return Mixture(_load_deepfm(part(state, "deep."), config), BayesianFM(**part(state, "bayesian.")))


def _load_implicit(state: Mapping[str, Tensor], config: WorldModelConfig) -> ImplicitModel | GivenFactors:
    return ImplicitModel(**state) if config.estimates == "table" else GivenFactors(**state)


def refuse_given(task: Task | None = None) -> Trained:
    """Raise ConfigError: another library has fitted such a model."""
    raise ConfigError(
        "option model.kind: given is a model of another library, which is not fitted here; make it with "
        "darlr.WorldModel.from_factors, and name its folder (option world)"
    )


KINDS: dict[str, Kind] = {
    "deepfm": Kind(train_deepfm, _load_deepfm, random_start=True),
    "bayesian": Kind(train_bayesian, lambda state, config: BayesianFM(**state)),
    "mixed": Kind(train_mixed, _load_mixed),
    "history": Kind(train_history, lambda state, config: HistoryModel(**state), uses_held_out=False, pairs=False),
    "implicit": Kind(train_implicit, _load_implicit, uses_held_out=False),
    "given": Kind(refuse_given, lambda state, config: GivenFactors(**state), uses_held_out=False),
}
