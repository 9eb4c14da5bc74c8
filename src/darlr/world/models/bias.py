"""Shrunk user and item biases, the simplest model of ratings."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope
from darlr.world.estimates import MOST, Dense, Estimate
from darlr.world.views import Product

STRENGTHS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
SWEEPS = 20

FloatVector = NDArray[np.float64]


@dataclass(frozen=True)
class BiasModel:
    """r(u, i) = mean + user[u] + item[i]. The ridge penalties user_strength and item_strength count in events."""

    mean: float
    user: FloatVector
    item: FloatVector
    user_strength: float
    item_strength: float

    def predict(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> FloatVector:
        """The expected rewards of pairs of users and items, int64 arrays that broadcast against each other."""
        return self.mean + self.user[users] + self.item[items]

    def table(self) -> FloatVector:
        """The expected reward of every cell, [U, I]."""
        return self.mean + self.user[:, None] + self.item


def fit_bias(log: InteractionLog, user_strength: float, item_strength: float) -> BiasModel:
    """Ridge regression on user and item indicators, by SWEEPS alternating exact steps."""
    mean = float(log.reward.mean())
    residual = log.reward.astype(np.float64) - mean
    user, item = np.zeros(log.n_users), np.zeros(log.n_items)
    user_count = np.bincount(log.user, minlength=log.n_users) + user_strength
    item_count = np.bincount(log.item, minlength=log.n_items) + item_strength
    for _ in range(SWEEPS):
        item = np.bincount(log.item, residual - user[log.user], minlength=log.n_items) / np.maximum(item_count, 1e-12)
        user = np.bincount(log.user, residual - item[log.item], minlength=log.n_users) / np.maximum(user_count, 1e-12)
    return BiasModel(mean, user, item, user_strength, item_strength)


def choose_bias(train: InteractionLog, held_out: InteractionLog, *, quick: bool = False) -> BiasModel:
    """The model with the strengths of the smallest squared error on the held-out log, or 5 and 5 where it is empty.

    quick: whether the strength of users is chosen first, beside 5 for items, and not all pairs of strengths are tried.
    """
    if len(held_out) == 0:
        return fit_bias(train, 5.0, 5.0)

    def best(pairs: Iterable[tuple[float, float]]) -> BiasModel:
        models = [fit_bias(train, *pair) for pair in pairs]
        errors = [np.square(m.predict(held_out.user, held_out.item) - held_out.reward).mean() for m in models]
        return models[int(np.argmin(errors))]

    if quick:
        of_users = best((strength, 5.0) for strength in STRENGTHS).user_strength
        return best((of_users, strength) for strength in STRENGTHS)
    return best(product(STRENGTHS, STRENGTHS))


def bias_estimate(train: InteractionLog, held_out: InteractionLog, fitted: InteractionLog, scope: Scope) -> Estimate:
    """The scope's scores by a bias model, float64 [Us, Is], fitted to `fitted`; `choose_bias` gives the strengths.

    They are held as a table where it has at most MOST entries.
    """
    few = len(scope.users) * len(scope.items) <= MOST
    chosen = choose_bias(train, held_out, quick=not few)
    model = fit_bias(fitted, chosen.user_strength, chosen.item_strength)
    if few:
        return Dense(torch.from_numpy(model.predict(scope.users[:, None], scope.items)))
    of_users, of_items = (torch.from_numpy(part) for part in (model.user[scope.users], model.item[scope.items]))
    return Product(of_users[:, None], torch.ones_like(of_items)[:, None], model.mean + of_items)
