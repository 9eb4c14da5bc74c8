"""How much preferences vary along item features, chosen on the log by the leave-one-out error of residuals."""

import contextlib
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.item_features import feature_vectors
from darlr.data.split import select
from darlr.errors import ConfigError
from darlr.world.context import Context, events
from darlr.world.estimates import MOST
from darlr.world.implicit import lacks_events_of_scope
from darlr.world.models.bias import choose_bias, fit_bias
from darlr.world.models.history import preference_directions

FOLDS = 5
TURNS = 30  # the most residuals of a user, the length of a session
USERS = 1500  # the most users whose residuals are used
LEVEL = 10.0  # the spread of the intercept; it is nearly free, as the mean reward of sessions may differ from the log's
SPREADS = (0.0, 0.1, 0.2, 0.4, 0.8)  # candidates for the prior deviation of a group of features, in units of the noise


def preference_features(context: Context, seed: int = 0) -> tuple[Tensor, float]:
    """Item features float32 [Is, d] along which preferences vary, and the noise in reward units.

    They are the groups of `feature_groups`, each scaled by the deviation of users' weights on it, in units of the
    noise, which is the standard deviation of residuals. On an implicit log where the scope's users have no events on
    its items, they are `preference_directions`.
    """
    if context.implicit and lacks_events_of_scope(context.log):
        directions, noise = preference_directions(context.log, context.scope, seed, context.turns)
        positive = float(context.log.reward[0])
        return directions, noise * positive
    groups = feature_groups(context)
    items, residual = residuals(context, np.random.default_rng(seed))
    noise = float(residual[items >= 0].std()) if len(items) else 0.0
    noise = noise if noise > 0 else 1.0
    spreads = choose_spreads(groups, items, residual / noise)
    return torch.cat([spread * group for spread, group in zip(spreads, groups, strict=True)], dim=1), noise


def feature_groups(context: Context) -> list[Tensor]:
    """An intercept, the item features and the item vectors, each float32 [Is, d] with rows of mean square length 1."""
    groups = [torch.ones(context.catalogue.n_items, 1)]
    with contextlib.suppress(ConfigError):  # raised when there are no item features
        groups.append(feature_vectors(context.catalogue))
    if context.world is not None:
        groups.append(context.world.item_vectors)
    centred = [groups[0], *(group - group.mean(0) for group in groups[1:])]
    return [group / group.square().sum(1).mean().sqrt().clamp(min=1e-6) for group in centred]


def residuals(context: Context, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The scope codes of items int64 [n, TURNS] of n users, -1 for none, and the residuals of their rewards.

    Of ratings they are out-of-fold errors of the bias model. In an implicit log, users outside the block get items
    drawn in proportion to the share of users who logged them; the residual is 1 or 0, less this share, times the
    reward.
    """
    log = context.catalogue
    if not context.implicit:
        fold = generator.permutation(len(log)) % FOLDS
        chosen = choose_bias(context.train, context.held_out, quick=log.n_users * log.n_items > MOST)
        error = np.zeros(len(log), dtype=np.float32)
        for k in range(FOLDS):
            model = fit_bias(select(log, fold != k), chosen.user_strength, chosen.item_strength)
            out = fold == k
            error[out] = log.reward[out] - model.predict(log.user[out], log.item[out])
        return _by_user(log.user, log.item, error, generator)
    user, item, reward = events(log)
    counted = np.bincount(item, minlength=log.n_items)
    present = np.unique(user)
    if context.log.block is not None:
        present = np.setdiff1d(present, context.log.block.users)
    present = generator.permutation(present)[:USERS]
    share = counted / max(len(np.unique(user)), 1)
    turns = min(TURNS, int((counted > 0).sum()))
    key = generator.exponential(size=(len(present), log.n_items)) / np.maximum(share, 1e-12)
    items = np.argpartition(key, turns - 1, axis=1)[:, :turns]
    logged = np.isin(present[:, None] * log.n_items + items, user * log.n_items + item)
    missed = (logged - share[items]) * float(reward.mean())
    return torch.from_numpy(items), torch.from_numpy(missed.astype(np.float32))


def _by_user(
    user: NDArray[np.int64], item: NDArray[np.int64], error: NDArray[np.float32], generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The items and errors of at most USERS users, one row each, of at most TURNS events in random order."""
    order = generator.permutation(len(user))
    order = order[np.argsort(user[order], kind="stable")]
    present, start, count = np.unique(user[order], return_index=True, return_counts=True)
    place = np.arange(len(user)) - np.repeat(start, count)
    row = np.repeat(np.arange(len(present)), count)
    items = np.full((len(present), TURNS), -1)
    values = np.zeros((len(present), TURNS), dtype=np.float32)
    keep = place < TURNS
    items[row[keep], place[keep]] = item[order][keep]
    values[row[keep], place[keep]] = error[order][keep]
    some = generator.permutation(len(present))[:USERS]
    return torch.from_numpy(items[some]), torch.from_numpy(values[some])


def choose_spreads(groups: list[Tensor], items: Tensor, residual: Tensor) -> list[float]:
    """The prior deviations of the groups with the least leave-one-out squared error; that of the first is LEVEL.

    residual: y, float32 [n, T] in units of the noise. The covariance K of a user's residuals is the identity plus the
    sum of the kernels x x^T of the groups, times their squared deviations. The leave-one-out error is
    [K^-1 y]_j / [K^-1]_jj (Rasmussen and Williams 2006, equation 5.12).
    """
    there = (items >= 0).float()
    kernels = [(x := group[items.clamp(min=0)] * there[..., None]) @ x.transpose(1, 2) for group in groups]
    identity = torch.eye(items.shape[1])
    best, least = [0.0] * len(groups), torch.inf
    for spreads in product((LEVEL,), *[SPREADS] * (len(groups) - 1)):
        total = sum((s**2 * kernel for s, kernel in zip(spreads, kernels, strict=True)), start=identity)
        inverse = torch.linalg.inv(total)
        missed = (inverse @ residual[..., None]).squeeze(-1) / inverse.diagonal(dim1=1, dim2=2)
        error = float((missed.square() * there).sum())
        if error < least:
            best, least = list(spreads), error
    return best
