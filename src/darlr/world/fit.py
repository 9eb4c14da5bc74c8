"""Fitting the world model: the ensemble of DeepFM members on the logged feedback (method.md section 1)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from darlr.config import WorldModelConfig
from darlr.data.log import InteractionLog
from darlr.errors import DataError
from darlr.world.bias import choose_bias
from darlr.world.deepfm import DeepFM, gaussian_nll
from darlr.world.features import encode
from darlr.world.fitted import FittedWorldModel, finish
from darlr.world.negatives import NegativeSampler


@dataclass(frozen=True)
class EpochReport:
    """One epoch of a fit: losses in nats a row (standardised rewards), RMSE in reward units."""

    epoch: int
    epochs: int
    train_loss: float
    held_out_loss: float
    held_out_rmse: float
    best_epoch: int


Progress = Callable[[EpochReport], None]


def fit_world(
    log_train: InteractionLog,
    log_held_out: InteractionLog,
    config: WorldModelConfig,
    progress: Progress | None = None,
) -> FittedWorldModel:
    """Train all members together; keep the epoch with the lowest held-out log loss of the ensemble.

    progress: called after each epoch. Raises DataError for an empty training log.
    """
    if len(log_train) == 0:
        raise DataError(f"data set {log_train.name}: the training log is empty; nothing to fit a world model on")
    generator = torch.Generator().manual_seed(config.seed)
    rows = Rows.of(log_train)
    centre = float(log_train.reward.mean())
    scale = max(float(log_train.reward.std()), 1e-6)
    user = encode(log_train.n_users, log_train.user_features)
    item = encode(log_train.n_items, log_train.item_features)
    model = DeepFM(user, item, config, generator)
    if config.warm_start:
        bias = choose_bias(log_train, log_held_out)
        with torch.no_grad():
            model.user.linear[:, : log_train.n_users, 0] = torch.from_numpy(bias.user / scale).float()
            model.item.linear[:, : log_train.n_items, 0] = torch.from_numpy(bias.item / scale).float()
    train = Trainer(model, rows.standardised(centre, scale), NegativeSampler(log_train), config, scale, centre)
    held_out = train.held_out(
        Rows.of(log_held_out).standardised(centre, scale), NegativeSampler(log_train, log_held_out)
    )
    history = []
    best_loss, best_epoch, best_state = float("inf"), 0, None
    if len(log_held_out):
        loss, rmse = train.score(held_out)
        best_loss = loss
        best_state = {name: value.clone() for name, value in model.state_dict().items()}
        history.append(EpochReport(0, config.epochs, float("nan"), loss, rmse, 0))
    for epoch in range(1, config.epochs + 1):
        train_loss = train.epoch(epoch, generator)
        loss, rmse = train.score(held_out) if len(log_held_out) else (train_loss, 0.0)
        if loss < best_loss - 1e-5:
            best_loss, best_epoch = loss, epoch
            best_state = {name: value.clone() for name, value in model.state_dict().items()}
        history.append(EpochReport(epoch, config.epochs, train_loss, loss, rmse, best_epoch))
        if progress is not None:
            progress(history[-1])
        if epoch - best_epoch >= config.patience:
            break
    if best_state is not None:
        model.load_state_dict(best_state)
    low, high = log_train.reward_range
    if config.loss == "pointneg":
        low = min(low, 0.0)
    metrics = {
        "best_epoch": best_epoch,
        "held_out_loss": best_loss,
        "held_out_rmse": history[best_epoch].held_out_rmse,
        "history": [asdict(h) | {"train_loss": None if h.epoch == 0 else h.train_loss} for h in history],
    }
    return finish(model, config, centre, scale, (low, high), metrics)


@dataclass(frozen=True)
class Rows:
    """Rows to learn from or to score: user, item int64 [L]; target float32 [L]; logged bool [L]."""

    user: Tensor
    item: Tensor
    target: Tensor
    logged: Tensor

    @staticmethod
    def of(log: InteractionLog) -> "Rows":
        """The logged rows of `log`."""
        return Rows(
            torch.from_numpy(log.user),
            torch.from_numpy(log.item),
            torch.from_numpy(log.reward),
            torch.ones(len(log), dtype=torch.bool),
        )

    def standardised(self, centre: float, scale: float) -> "Rows":
        """The same rows with targets in units of the log's standard deviation."""
        return Rows(self.user, self.item, (self.target - centre) / scale, self.logged)


class Trainer:
    """The gradient steps of one fit."""

    def __init__(
        self,
        model: DeepFM,
        rows: Rows,
        negatives: NegativeSampler,
        config: WorldModelConfig,
        scale: float,
        centre: float,
    ) -> None:
        self.model, self.rows, self.negatives, self.config = model, rows, negatives, config
        self.scale, self.zero = scale, -centre / scale
        deep = [*model.weights, *model.biases, model.user.first, model.item.first]
        tables = [t for side in (model.user, model.item) for t in (side.embedding, side.linear)]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": deep, "weight_decay": config.weight_decay},
                {"params": tables, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
        )

    def prior(self) -> Tensor:
        """Minus the log prior of tables, a member's share, per logged row."""
        config, total = self.config, torch.zeros(())
        for side in (self.model.user, self.model.item):
            total = total + 0.5 * config.bias_decay * side.linear.square().sum()
            total = total + 0.5 * config.embedding_decay * side.embedding.square().sum()
        return total / len(self.rows.user)

    def epoch(self, number: int, generator: torch.Generator) -> float:
        """One pass over the logged rows, each member in its own order; the mean training loss of a row."""
        rows, config = self.rows, self.config
        k, n = config.members, len(rows.user)
        order = torch.rand(k, n, generator=generator).argsort(1)
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate * config.decay ** (number - 1)
        total = 0.0
        for picked in order.split(config.batch, dim=1):
            user, item, target = rows.user[picked], rows.item[picked], rows.target[picked]
            weight = torch.ones_like(target)
            if config.loss == "pointneg":
                other = user.repeat(1, config.negatives)
                drawn, found = self.negatives.draw(other, generator)
                user, item = torch.cat([user, other], 1), torch.cat([item, drawn], 1)
                target = torch.cat([target, torch.full(other.shape, self.zero)], 1)
                weight = torch.cat([weight, found.float()], 1)
            mean, log_variance = self.model(user, item, generator)
            loss = (gaussian_nll(mean, log_variance, target) * weight).sum(1) / weight.sum(1)
            self.optimiser.zero_grad(set_to_none=True)
            (loss.sum() + self.prior()).backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            total += float(loss.detach().mean()) * picked.shape[1]
        return total / n

    def held_out(self, rows: Rows, negatives: NegativeSampler) -> Rows:
        """The rows that early stopping scores: held-out rows, and with pointneg one fixed draw of negatives."""
        if self.config.loss == "point":
            return rows
        user = rows.user.repeat(self.config.negatives)
        item, found = negatives.draw(user, torch.Generator().manual_seed(self.config.seed + 1))
        user, item = user[found], item[found]
        return Rows(
            torch.cat([rows.user, user]),
            torch.cat([rows.item, item]),
            torch.cat([rows.target, torch.full(user.shape, self.zero)]),
            torch.cat([rows.logged, torch.zeros(user.shape, dtype=torch.bool)]),
        )

    @torch.no_grad()
    def score(self, rows: Rows) -> tuple[float, float]:
        """Log loss of the ensemble's mixture a row, and RMSE of its mean on logged rows in reward units."""
        k = self.config.members
        mean, log_variance = self.model(rows.user.expand(k, -1), rows.item.expand(k, -1))
        density = torch.logsumexp(-gaussian_nll(mean, log_variance, rows.target), 0) - torch.log(torch.tensor(k))
        error = (mean.mean(0) - rows.target)[rows.logged]
        return float(-density.mean()), float(error.square().mean().sqrt()) * self.scale
