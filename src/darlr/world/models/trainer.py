"""Training of the DeepFM members: all at once, each with its own order of events and its own sampled negatives."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.options import WorldModelConfig
from darlr.world.implicit import row_weights
from darlr.world.kind import Scale
from darlr.world.models.adagrad import RATE, RowAdagrad
from darlr.world.models.bayesian import BayesianFM
from darlr.world.models.deepfm import DeepFM, SideTable, gaussian_nll
from darlr.world.models.mixture import Mixture

SCORE_ROWS = 16_384  # the most events that are scored in one batch
BLOCK, POOL = 1 << 12, 1 << 20  # neighbouring events that are read together, and events that are shuffled together
ROUNDS = 20  # the most redraws of a negative; only users who logged nearly all items need so many


@dataclass(frozen=True)
class Rows:
    """Events to train on or to score.

    user, item: int64 [L]. target: float32 [L], standardised rewards. logged: bool [L], False for a sampled negative.
    weight: float32 [L], the weight of each event in the training loss.
    """

    user: Tensor
    item: Tensor
    target: Tensor
    logged: Tensor
    weight: Tensor


class NegativeSampler:
    """Draws items uniformly among a user's cells that are neither in the given logs nor in the first log's block."""

    def __init__(self, *logs: InteractionLog) -> None:
        self.n_items = logs[0].n_items
        keys = np.unique(np.concatenate([log.user * self.n_items + log.item for log in logs]))
        self.logged = torch.from_numpy(keys.astype(np.int64))
        self.block_user = torch.zeros(logs[0].n_users, dtype=torch.bool)
        self.block_item = torch.zeros(self.n_items, dtype=torch.bool)
        block = logs[0].block
        if block is not None:
            self.block_user[torch.from_numpy(block.users)] = True
            self.block_item[torch.from_numpy(block.items)] = True

    def forbidden(self, user: Tensor, item: Tensor) -> Tensor:
        """Whether the cells (user, item), int64 of one shape, must not be negatives; bool of that shape."""
        blocked = self.block_user[user] & self.block_item[item]
        if self.logged.shape[0] == 0:
            return blocked
        key = user * self.n_items + item
        place = torch.searchsorted(self.logged, key).clamp(max=self.logged.shape[0] - 1)
        return blocked | (self.logged[place] == key)

    def draw(self, user: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw one item for each entry of `user`; returns items int64 and whether each is allowed, shaped like `user`.

        An item is not allowed where the user has no allowed item, or where ROUNDS draws found none. Callers give such
        an item no weight.
        """
        item = torch.randint(self.n_items, user.shape, generator=generator)
        bad = self.forbidden(user, item)
        for _ in range(ROUNDS):
            if not bad.any():
                break
            item[bad] = torch.randint(self.n_items, (int(bad.sum()),), generator=generator)
            bad = self.forbidden(user, item)
        return item, ~bad


class Trainer:
    """The state of one fit: the model, its events and its optimiser."""

    def __init__(
        self,
        model: DeepFM,
        log: InteractionLog,
        config: WorldModelConfig,
        scale: Scale,
        generator: torch.Generator,
        replay: float | None = None,
    ) -> None:
        """replay: an epoch has the newest part of the log and so many older events for each; None means all."""
        self.model, self.log, self.config, self.scale, self.generator = model, log, config, scale, generator
        self.replay = replay
        self.negative = scale.standardise(torch.tensor(scale.low))  # the target of a negative
        self.rows = logged_rows(log, config, scale)
        if config.loss == "pointneg":
            self.negatives = NegativeSampler(log)
        tables = [table for side in (model.user, model.item) for table in (side.vector_table, side.linear_table)]
        deep = [p for p in model.parameters() if not any(p is table for table in tables)]
        groups: list[dict[str, Any]] = [{"params": deep, "weight_decay": config.weight_decay}]
        self.optimisers: list[torch.optim.Optimizer] = []
        if config.gradients == "sparse":
            self.optimisers.append(RowAdagrad(tables, lr=RATE * config.learning_rate))
        else:
            groups.append({"params": tables, "weight_decay": 0.0})
        # fused: five times faster than one kernel for each operation
        self.optimisers.append(torch.optim.AdamW(groups, lr=config.learning_rate, fused=True))
        self.touched = [
            _touched(side, codes, config) for side, codes in ((model.user, log.user), (model.item, log.item))
        ]

    def epoch(self) -> float:
        """Train on the events of an epoch, and return the mean loss of an event."""
        rows, config = self.rows, self.config
        total, seen = torch.zeros(()), 0
        for picked in self.minibatches():
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
            seen += picked.shape[1]
        return float(total) / seen

    def minibatches(self) -> Iterator[Tensor]:
        """The places of the events of each minibatch, int64 [K, B]; each member reads all events in its own order."""
        for events in self.pools():
            order = torch.rand(self.config.members, len(events), generator=self.generator).argsort(1)
            for picked in torch.split(order, self.config.batch, dim=1):
                yield events[picked]

    def pools(self) -> Iterator[Tensor]:
        """The places of events that are shuffled together: of all, or, with the order "blocks", of POOL at a time.

        These are blocks of BLOCK neighbouring events, drawn at random (CorgiPile, Xu et al., arXiv 2206.05830). So
        little memory is needed beside the events, and they are read in runs, as a file mapped into memory needs it.
        """
        n = len(self.rows.user)
        if self.replay is not None and self.log.parts:
            older = self.log.parts[-1]
            drawn = torch.randperm(older, generator=self.generator)[: round(self.replay * (n - older))]
            yield torch.cat([drawn, torch.arange(older, n)])
            return
        if self.config.order != "blocks":
            yield torch.arange(n)
            return
        blocks = torch.randperm(-(-n // BLOCK), generator=self.generator)
        for some in torch.split(blocks, POOL // BLOCK):
            events = (some[:, None] * BLOCK + torch.arange(BLOCK)).flatten()
            yield events[events < n]

    def prior(self) -> None:
        """Add the gradient of the negative log density of the tables' Gaussian priors, divided by the number of events.

        A prior of strength s acts like s more events of reward 0, as in the shrunk mean sum(r) / (n + s). Unlike an L2
        penalty at every step, it depends neither on the batch size nor on how often an id occurs. A sparse gradient has
        it for the rows of the batch alone, divided by the chance that a batch has the row.
        """
        rows, config = len(self.rows.user), self.config
        for side, touched in zip((self.model.user, self.model.item), self.touched, strict=True):
            for table, decay in ((side.linear_table, config.bias_decay), (side.vector_table, config.embedding_decay)):
                assert table.grad is not None
                if touched is None:
                    table.grad.add_(table.detach(), alpha=decay / rows)
                    continue
                table.grad = table.grad.coalesce()
                place = table.grad.indices()[0]
                pulled = table.detach()[place] / touched[place % side.n_codes, None]
                table.grad.values().add_(pulled, alpha=decay / rows)

    def held_out_rows(self, log: InteractionLog) -> Rows:
        """The data for early stopping: held-out events and, with the loss pointneg, one fixed sample of negatives."""
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
    """The mean log loss of the members' mixture, and the RMSE of their mean on logged events, in reward units."""
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
    logged = torch.ones(1, dtype=torch.bool).expand(len(log))
    return Rows(torch.from_numpy(log.user), torch.from_numpy(log.item), reward, logged, row_weights(log, config))
