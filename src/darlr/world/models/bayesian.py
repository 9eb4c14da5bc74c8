"""A Bayesian factorisation machine (Rendle 2010), sampled from its posterior by `darlr.world.models.gibbs`.

The hyper-parameters are sampled, too. The model is not in the paper; docs/world-model.md gives the reasons for it.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from darlr.data.log import InteractionLog
from darlr.options import WorldModelConfig
from darlr.world.models.gibbs import Chains
from darlr.world.vectors import principal

BURN_IN = 50  # the number of sweeps before the first draw is kept
DRAWS = 20  # the number of draws that are kept of each chain
THIN = 5  # the number of sweeps between kept draws
SWEEPS = BURN_IN + DRAWS * THIN
CELLS = 10_000  # the cells of a table in one batch, for one chain


class BayesianFM(nn.Module):
    """K members, each of which predicts standardised rewards by the mean over the D draws of a chain.

    user_linear: float32 [K, D, U] and item_linear: [K, D, I], the terms of one side. user_vector: [K, D, U, d] and
    item_vector: [K, D, I, d], sums of the fields' factors. noise: [K], the variance of a reward.
    """

    user_linear: Tensor
    user_vector: Tensor
    item_linear: Tensor
    item_vector: Tensor
    noise: Tensor

    def __init__(self, **tables: Tensor) -> None:
        super().__init__()
        for name in ("user_linear", "user_vector", "item_linear", "item_vector", "noise"):
            self.register_buffer(name, tables.pop(name))
        if tables:
            raise TypeError(f"unknown tables: {', '.join(tables)}")
        self.members = len(self.noise)

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and log-variance, float32 [K, B] each, of users and items int64 [K, B]."""
        parts = []
        for k in range(self.members):
            u, i = users[k], items[k]
            linear = self.user_linear[k, :, u] + self.item_linear[k, :, i]
            parts.append(self._moments(k, linear + (self.user_vector[k, :, u] * self.item_vector[k, :, i]).sum(-1)))
        mean, log_variance = zip(*parts, strict=True)
        return torch.stack(mean), torch.stack(log_variance)

    def over(self, items: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """See `WorldModel.over`."""
        linear, vector = self.item_linear[:, :, None, items], self.item_vector[:, :, items].mT

        @torch.no_grad()
        def of(users: Tensor) -> tuple[Tensor, Tensor]:
            size = max(1, CELLS // max(1, len(items)))
            rows = []
            for some in torch.split(users, size):
                own, along = self.user_linear[:, :, some, None], self.user_vector[:, :, some]
                parts = [self._moments(k, own[k] + linear[k] + along[k] @ vector[k]) for k in range(self.members)]
                rows.append([torch.stack(part) for part in zip(*parts, strict=True)])
            mean, log_variance = zip(*rows, strict=True)
            return torch.cat(mean, 1), torch.cat(log_variance, 1)

        return of

    def bilinear(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `darlr.world.factored.Bilinear`; p = K D d + 2. It is exact but for the clipping of each member."""
        draws = self.user_linear.shape[0] * self.user_linear.shape[1]
        x, y = self.user_vector[:, :, users], self.item_vector[:, :, items]
        own, other = self.user_linear[:, :, users].mean((0, 1)), self.item_linear[:, :, items].mean((0, 1))
        left = torch.cat([x.permute(2, 0, 1, 3).flatten(1) / draws, own[:, None], torch.ones_like(own)[:, None]], 1)
        right = torch.cat([y.permute(2, 0, 1, 3).flatten(1), torch.ones_like(other)[:, None], other[:, None]], 1)
        return left, right

    def vectors(self, size: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `WorldModel.vectors`."""
        sides = ((self.user_vector, self.user_linear), (self.item_vector, self.item_linear))
        of_users, of_items = (
            principal(torch.cat([vector.permute(2, 0, 1, 3).flatten(1), linear.flatten(0, 1).T], 1), size)
            for vector, linear in sides
        )
        return of_users[users], of_items[items]

    def _moments(self, k: int, draws: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the log of the predictive variance, noise plus spread, of draws [D, ...] of member k."""
        variance, mean = torch.var_mean(draws, dim=0, correction=0)
        return mean, (variance + self.noise[k]).log()


def fit_bayesian(
    log: InteractionLog,
    target: Tensor,
    weight: Tensor,
    config: WorldModelConfig,
    progress: Callable[[int, int], None] | None = None,
) -> BayesianFM:
    """Run `config.members` chains of SWEEPS sweeps over the log, with `config.embedding` factors.

    target, weight: float32 [L], the standardised rewards and the weights of the events. progress: called with the
    number of finished sweeps, from 0, and of all sweeps.
    """
    chains = Chains(log, target.double().numpy(), weight.double().numpy(), config)
    kept, noise = [], []
    for sweep in range(1, SWEEPS + 1):
        if progress is not None:
            progress(sweep - 1, SWEEPS)
        chains.sweep()
        if sweep > BURN_IN and (sweep - BURN_IN) % THIN == 0:
            kept.append(chains.draw())
            noise.append(1 / chains.precision)
    if progress is not None:
        progress(SWEEPS, SWEEPS)
    tables = {
        name: torch.from_numpy(np.stack([draw[name] for draw in kept], 1, dtype=np.float32, casting="same_kind"))
        for name in kept[0]
    }
    return BayesianFM(**tables, noise=torch.from_numpy(np.mean(noise, 0).astype(np.float32)))
