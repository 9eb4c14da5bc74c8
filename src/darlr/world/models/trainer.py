"""Training of the DeepFM members. They are trained together, each with its own order of rows and negatives."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.options import WorldModelConfig
from darlr.world.implicit import row_weights
from darlr.world.models.bayesian import BayesianFM
from darlr.world.models.deepfm import DeepFM, SideTable, gaussian_nll
from darlr.world.models.mixture import Mixture
from darlr.world.models.negatives import NegativeSampler
from darlr.world.models.scale import Scale

SCORE_ROWS = 16_384  # the most rows that are scored in one batch


@dataclass(frozen=True)
class Rows:
    """Rows to train on or to score.

    user, item: int64 [L]. target: float32 [L], standardised rewards. logged: bool [L], False for a sampled negative.
    weight: float32 [L], the weight of each row in the training loss.
    """

    user: Tensor
    item: Tensor
    target: Tensor
    logged: Tensor
    weight: Tensor


class Trainer:
    """The state of one fit: the model, its rows and its optimiser."""

    def __init__(
        self, model: DeepFM, log: InteractionLog, config: WorldModelConfig, scale: Scale, generator: torch.Generator
    ) -> None:
        self.model, self.log, self.config, self.scale, self.generator = model, log, config, scale, generator
        self.negative = scale.standardise(torch.tensor(scale.low))  # the target of a negative
        self.rows = logged_rows(log, config, scale)
        self.negatives = NegativeSampler(log)
        tables = [model.user.table, model.item.table]
        deep = [p for p in model.parameters() if not any(p is table for table in tables)]
        groups: list[dict[str, Any]] = [{"params": deep, "weight_decay": config.weight_decay}]
        self.optimisers: list[torch.optim.Optimizer] = []
        if config.gradients == "sparse":
            self.optimisers.append(torch.optim.SparseAdam(tables, lr=config.learning_rate))
        else:
            groups.append({"params": tables, "weight_decay": 0.0})
        # fused: five times faster than one kernel for each operation
        self.optimisers.append(torch.optim.AdamW(groups, lr=config.learning_rate, fused=True))
        self.touched = [
            _touched(side, codes, config) for side, codes in ((model.user, log.user), (model.item, log.item))
        ]

    def epoch(self) -> float:
        """Train on all logged rows once; returns the mean loss of a row."""
        rows, config = self.rows, self.config
        n = len(rows.user)
        order = torch.rand(config.members, n, generator=self.generator).argsort(1)
        total = torch.zeros(())
        for picked in torch.split(order, config.batch, dim=1):
            user, item, target = rows.user[picked], rows.item[picked], rows.target[picked]  # [K, B]
            weight = rows.weight[picked]
            if config.loss == "pointneg":
                other = user.unsqueeze(2).repeat(1, 1, config.negatives)
                drawn, found = self.negatives.draw(other, self.generator)
                items = torch.cat([item.unsqueeze(2), drawn], 2)
                target = torch.cat([target.unsqueeze(2), self.negative.expand(other.shape)], 2).flatten(1)
                weight = torch.cat([weight.unsqueeze(2), found.float()], 2).flatten(1)
                mean, log_variance = (part.flatten(1) for part in self.model.lists(user, items, self.generator))
            else:
                mean, log_variance = self.model(user, item, self.generator)
            loss = (gaussian_nll(mean, log_variance, target) * weight).sum(1) / weight.sum(1)
            self.model.zero_grad(set_to_none=True)
            loss.sum().backward()  # type: ignore[no-untyped-call]
            self.prior()
            for optimiser in self.optimisers:
                optimiser.step()
            total += loss.detach().mean() * picked.shape[1]
        return float(total) / n

    def prior(self) -> None:
        """Add the gradient of the negative log density of the tables' Gaussian priors, divided by the logged rows.

        A prior of strength s has the effect of s more logged rows of reward 0, as in the shrunk mean sum(r) / (n + s).
        Unlike an L2 penalty at every step, it depends neither on the batch size nor on how often an id occurs. A sparse
        gradient has it for the rows of the batch alone, divided by the chance that a batch has the row.
        """
        rows, d = len(self.rows.user), self.config.embedding
        parts = (slice(d), self.config.embedding_decay / rows), (slice(d, None), self.config.bias_decay / rows)
        for side, touched in zip((self.model.user, self.model.item), self.touched, strict=True):
            table, gradient = side.table.detach(), side.table.grad
            assert gradient is not None
            if touched is None:
                for columns, decay in parts:
                    gradient[:, columns].add_(table[:, columns], alpha=decay)
                continue
            side.table.grad = gradient = gradient.coalesce()
            place = gradient.indices()[0]
            for columns, decay in parts:
                pulled = table[place][:, columns] / touched[place % side.n_codes, None]
                gradient.values()[:, columns].add_(pulled, alpha=decay)

    def held_out_rows(self, log: InteractionLog) -> Rows:
        """The rows for early stopping: held-out rows and, with the loss pointneg, one fixed sample of negatives."""
        rows = logged_rows(log, self.config, self.scale)
        if self.config.loss == "point":
            return rows
        user = rows.user.repeat(self.config.negatives)
        generator = torch.Generator().manual_seed(self.config.seed + 1)
        item, found = NegativeSampler(self.log, log).draw(user, generator)
        user, item = user[found], item[found]
        return Rows(
            torch.cat([rows.user, user]),
            torch.cat([rows.item, item]),
            torch.cat([rows.target, self.negative.expand(user.shape)]),
            torch.cat([rows.logged, torch.zeros(user.shape, dtype=torch.bool)]),
            torch.cat([rows.weight, torch.ones(user.shape)]),
        )


def _touched(side: SideTable, codes: NDArray[np.int64], config: WorldModelConfig) -> Tensor | None:
    """The chance that a batch of logged rows has each code of a side, float32 [codes]; None with dense gradients."""
    if config.gradients != "sparse":
        return None
    used = torch.from_numpy(np.bincount(codes, minlength=side.n_ids))
    count = torch.zeros(side.n_codes, dtype=torch.float64)
    count.index_add_(0, side.codes.flatten(), used.double().repeat_interleave(side.codes.shape[1]))
    share = (count / max(1, len(codes))).clamp(max=1 - 1e-9)
    chance: Tensor = -torch.expm1(config.batch * torch.log1p(-share))
    return chance.clamp(min=config.batch / max(1, len(codes))).float()


@torch.no_grad()
def score(model: DeepFM | BayesianFM | Mixture, rows: Rows, scale: Scale) -> tuple[float, float]:
    """The mean log loss of the members' mixture, and the RMSE of their mean on logged rows, in reward units."""
    loss, error = [], []
    for user, item, target in zip(
        *(torch.split(t, SCORE_ROWS) for t in (rows.user, rows.item, rows.target)), strict=True
    ):
        mean, log_variance = model(user.expand(model.members, -1), item.expand(model.members, -1))
        loss.append(-gaussian_nll(mean, log_variance, target).neg().logsumexp(0))
        error.append(mean.mean(0) - target)
    squared = torch.cat(error)[rows.logged].square()
    return float(torch.cat(loss).mean()) + math.log(model.members), float(squared.mean().sqrt()) * scale.spread


def logged_rows(log: InteractionLog, config: WorldModelConfig, scale: Scale) -> Rows:
    """The events of a log, to train on or to score."""
    reward = scale.standardise(torch.from_numpy(log.reward))
    logged = torch.ones(len(log), dtype=torch.bool)
    return Rows(torch.from_numpy(log.user), torch.from_numpy(log.item), reward, logged, row_weights(log, config))
