"""A Bayesian factorisation machine for a log that was extended, without running its chains anew.

Each kept draw of `darlr.world.models.bayesian` is a state of a chain. In each, the rows of users and items with new
events are drawn anew, given the other side and all of their events: a block Gibbs step (Salakhutdinov and Mnih 2008,
"Bayesian probabilistic matrix factorization"). Other rows stay. The prior of a row is normal around a ridge regression
on its features. Its mean and variance are those of the draw's rows with events.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy  # its solvers load when they are first used
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import FeatureColumn, IntArray, InteractionLog
from darlr.world.models.bayesian import BayesianFM
from darlr.world.models.features import encode

Reals = NDArray[np.float64]
RIDGE = 1.0  # the penalty of the regression on features, as a number of rows
ROUNDS = 2  # steps on both sides; after one, new users have not yet learned from the rewards of new items
LEAST = 1e-6  # the smallest prior variance


@dataclass(frozen=True)
class _Side:
    """Users or items. changed: int64 [c], those with new events, and new ones. known: those with older events.

    weight, total: [c, n of the other side], the sums of the weights, and of the weighted rewards, of each pair's
    events. design: float64 [n, p], the features of all.
    """

    changed: IntArray
    known: IntArray
    weight: "scipy.sparse.csr_matrix"
    total: "scipy.sparse.csr_matrix"
    design: Reals

    @cached_property
    def _regression(self) -> Reals:
        """What leads from the rows of `known` to the coefficients of features, [p, known]."""
        x = self.design[self.known]
        return np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T).astype(np.float64)

    def draw(self, rows: Reals, other: Reals, noise: float, generator: np.random.Generator) -> None:
        """Draw the rows of `changed` anew, in place. rows, other: [n, 1 + d], a linear term and the factors.

        The reward of a user and an item is the sum of their linear terms and the product of their factors.
        """
        mean = rows[self.known].mean(0)
        prior = mean + self.design @ (self._regression @ (rows[self.known] - mean))
        variance: Reals = np.maximum((rows[self.known] - prior[self.known]).var(0), LEAST)
        size = rows.shape[1]
        z = np.insert(other[:, 1:], 0, 1.0, axis=1)
        pairs = (z[:, :, None] * z[:, None, :]).reshape(len(z), -1)
        precision = (self.weight @ pairs).reshape(-1, size, size) / noise + np.diag(1 / variance)
        slope = (self.total @ z - self.weight @ (z * other[:, :1])) / noise + prior[self.changed] / variance
        root = np.linalg.cholesky(precision)
        centre = np.linalg.solve(precision, slope[..., None])
        spread = np.linalg.solve(root.swapaxes(1, 2), generator.standard_normal(centre.shape))
        rows[self.changed] = (centre + spread)[..., 0]


def condition(model: BayesianFM, log: InteractionLog, target: Tensor, weight: Tensor, seed: int) -> BayesianFM:
    """The model for the whole of an extended log. model: that of the log before its last part was added.

    target, weight: float32 [L], the standardised rewards and the weights of the events.
    """
    generator = np.random.default_rng(seed)
    sides = _sides(model, log, target.double().numpy(), weight.double().numpy())
    tables = [_longer(model, side, log) for side in ("user", "item")]  # [K, D, n, 1 + d] each
    for k, draw in np.ndindex(*tables[0].shape[:2]):
        user, item = (table[k, draw].double().numpy() for table in tables)
        for _ in range(ROUNDS):
            sides[0].draw(user, item, float(model.noise[k]), generator)
            sides[1].draw(item, user, float(model.noise[k]), generator)
        for table, rows, side in zip(tables, (user, item), sides, strict=True):
            table[k, draw, side.changed] = torch.from_numpy(rows[side.changed]).float()
    found = {"noise": model.noise}
    for name, table in zip(("user", "item"), tables, strict=True):
        found |= {f"{name}_linear": table[..., 0].contiguous(), f"{name}_vector": table[..., 1:].contiguous()}
    return BayesianFM(**found)


def _sides(model: BayesianFM, log: InteractionLog, target: Reals, weight: Reals) -> tuple[_Side, _Side]:
    older, sizes = log.parts[-1], (log.n_users, log.n_items)
    before, codes = (model.user_linear.shape[2], model.item_linear.shape[2]), (log.user, log.item)
    columns = (log.user_features, log.item_features)

    def side(own: int) -> _Side:
        new = np.arange(before[own], sizes[own])
        changed, known = np.union1d(codes[own][older:], new), np.unique(codes[own][:older])
        row = np.searchsorted(changed, codes[own])
        there = changed[np.minimum(row, len(changed) - 1)] == codes[own] if len(changed) else row < 0
        place, shape = (row[there], codes[1 - own][there]), (len(changed), sizes[1 - own])
        count, total = (scipy.sparse.csr_matrix((v[there], place), shape) for v in (weight, weight * target))
        return _Side(changed, known, count, total, _design(sizes[own], columns[own], before[own]))

    return side(0), side(1)


def _design(n: int, columns: tuple[FeatureColumn, ...], known: int) -> Reals:
    """The features of users or items, float64 [n, p]."""
    side = encode(n, columns, known)
    design = np.zeros((n, side.n_codes - n))
    codes, weights = side.codes.numpy()[:, 1:] - n, side.weights.numpy()[:, 1:]  # the first is that of the id
    np.add.at(design, (np.arange(n)[:, None], codes), weights)
    return design


def _longer(model: BayesianFM, side: str, log: InteractionLog) -> Tensor:
    """The linear terms and factors of one side, float32 [K, D, n, 1 + d], 0 for new ids."""
    linear, vector = getattr(model, f"{side}_linear"), getattr(model, f"{side}_vector")
    more = getattr(log, f"n_{side}s") - linear.shape[2]
    return torch.nn.functional.pad(torch.cat([linear[..., None], vector], -1), (0, 0, 0, more))
