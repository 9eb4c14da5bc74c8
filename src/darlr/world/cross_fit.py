"""Predictions of logged rewards by world models that did not see them.

A residual of a model that was fitted to the reward itself is too small, and the residuals of an item add up to about 0,
so that each of them tells the negative of the others. What learns from residuals must therefore leave out both the
event that it predicts and, for the residual of another event, that event too. Events are left out by folds, one or two
at a time, and the model is fitted anew (nested cross-validation; Stone 1974).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope, places
from darlr.data.split import select
from darlr.world.logged_neighbours import logged_feedback

FitTable = Callable[[InteractionLog], Tensor]
"""A function from a log to r0 of the scope, float32 [U, I], by a world model that is fitted to this log."""


@dataclass(frozen=True)
class CrossFit:
    """The logged cells of a scope of U users and I items, in K folds.

    reward: the mean logged reward of each cell, 0 elsewhere. fold: the fold of each logged cell, -1 elsewhere.
    base: r0 of the fit without fold k, for each k. both: for each k and each logged cell, r0 of the fit without fold k
    and without the fold of the cell; 0 elsewhere.
    """

    reward: Float[Tensor, "U I"]
    fold: Int[Tensor, "U I"]
    base: Float[Tensor, "K U I"]
    both: Float[Tensor, "K U I"]

    @property
    def residual(self) -> Float[Tensor, "U I"]:
        """The reward of each logged cell less r0 of the fit without its fold; 0 elsewhere."""
        there = self.fold >= 0
        own = self.base.gather(0, self.fold.clamp(min=0)[None]).squeeze(0)
        return torch.where(there, self.reward - own, 0.0)

    def without(self, k: int) -> tuple[Float[Tensor, "U I"], Tensor]:
        """The residuals of the cells outside fold k, by fits that saw neither, and where they are, bool [U, I]."""
        there = (self.fold >= 0) & (self.fold != k)
        return torch.where(there, self.reward - self.both[k], 0.0), there


def fits(folds: int) -> int:
    """How many world models `cross_fit` fits."""
    return folds * (folds + 1) // 2


def cross_fit(log: InteractionLog, scope: Scope, folds: int, seed: int, fit: FitTable) -> CrossFit:
    """Divide the logged cells of the scope into folds, drawn by the seed, and fit without each one and each two.

    All events of a cell are in one fold. Events outside the scope are in none, and every fit sees them.
    """
    reward, logged = logged_feedback(log, scope.users, scope.items)
    fold = torch.full(reward.shape, -1)
    cells = int(logged.sum())
    drawn = np.random.default_rng(seed).permutation(cells) % folds
    fold[logged > 0] = torch.from_numpy(drawn)
    row, column = places(scope.users, log.n_users)[log.user], places(scope.items, log.n_items)[log.item]
    of_event = np.where((row >= 0) & (column >= 0), fold.numpy()[row, column], -1)
    base = torch.stack([fit(select(log, of_event != k)) for k in range(folds)])
    both = torch.zeros_like(base)
    for k in range(folds):
        both[k] = torch.where(fold == k, base[k], both[k])
    for k, other in combinations(range(folds), 2):
        table = fit(select(log, (of_event != k) & (of_event != other)))
        both[k] = torch.where(fold == other, table, both[k])
        both[other] = torch.where(fold == k, table, both[other])
    return CrossFit(reward, fold, base, both)
