"""A matrix that is completed from feedback on random items, for data sets without a published complete truth.

Expected reward = low + (high - low) * sigmoid(m + a_u + c_i + p_u . q_i). The pair (a_u, p_u) is the sum of the rows of
one table for the user's id and features; (c_i, q_i) is made likewise for the item. This is a factorisation machine
(Rendle 2010) without products inside a side. Both tables have Gaussian priors. L-BFGS minimises the log loss of rewards
that are scaled to 0..1. Biases are fitted first. Preferences start from the leading singular directions of the
residuals, because their gradient is 0 at 0. Only random events are read, and none of the log.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from darlr.data.log import FeatureColumn, IntArray, InteractionLog
from darlr.data.split import split
from darlr.evaluation.held_out import report
from darlr.options import SplitConfig
from darlr.world.models.features import encode

Reals = NDArray[np.float64]
SIZE = 8  # of p_u and q_i
HELD_OUT = 0.2
CHOOSING = 0.125  # the share of the fitted events that chooses the priors, a tenth of all events
BIAS_PRIORS, PREFERENCE_PRIORS = (30.0, 8.0, 2.0, 0.5), (100.0, 30.0, 10.0, 6.0, 3.0, 1.0)  # strongest first
CURVATURE, SPREAD = 0.25, 0.1  # largest curvature of the log loss in a logit; usual size of squared preferences
START, POWERS = 0.02, 60  # root mean square logit of each preference at the start; power iterations that find it
WORSE = 0.003  # the search for a prior ends where the loss rises by this relative amount
STEPS, TOLERANCE = 200, 1e-6  # the most steps of a fit, and the relative gain that ends it
SHRINKAGE = 5.0  # extra events of the item means that the completion is compared with
CHUNK = 1_000_000  # cells that are computed at once


@dataclass(frozen=True)
class Completion:
    """The fitted model. user: a_u and p_u, float64 [U, 1 + d]; item: c_i and q_i, float64 [I, 1 + d]; mean: m."""

    mean: float
    user: Reals
    item: Reals
    reward_range: tuple[float, float]

    def logits(self, users: IntArray, items: IntArray) -> Reals:
        """Return the logits of the pairs (users[j], items[j])."""
        return _logits(self.mean, self.user[users], self.item[items])

    def predict(self, users: IntArray, items: IntArray) -> Reals:
        """Return the expected rewards of the pairs (users[j], items[j])."""
        return self._scaled(self.logits(users, items))

    def table(self, users: IntArray) -> Tensor:
        """Return the expected reward of these users on every item, float32 [users, I]."""
        rewards = torch.empty(len(users), len(self.item))
        rows = max(1, CHUNK // len(self.item))
        left, right = (np.insert(side, at, 1.0, axis=1) for side, at in ((self.user, 1), (self.item, 0)))
        for start in range(0, len(users), rows):
            part = self.mean + left[users[start : start + rows]] @ right.T
            rewards[start : start + rows] = torch.from_numpy(self._scaled(part))
        return rewards

    def _scaled(self, logit: Reals) -> Reals:
        low, high = self.reward_range
        return np.asarray(low + (high - low) * expit(logit))


@dataclass(frozen=True)
class Priors:
    """Strengths of the priors in units of the log loss. bias: of a and c. preference: of p and q, if there are any.

    by_member: whether the prior of a feature counts once for each member with the feature. Otherwise it counts once,
    which suits few events, while with millions of events an uninformative feature would fit noise.
    """

    bias: float
    preference: float | None = None
    by_member: bool = False


def complete(random: InteractionLog, seed: int = 0) -> tuple[Completion, list[str]]:
    """Fit a matrix to four fifths of the random events; the lines compare it with baselines on the other fifth."""
    fitted, held = split(random, SplitConfig(held_out=HELD_OUT, seed=seed))
    priors = choose(*split(fitted, SplitConfig(held_out=CHOOSING, seed=seed + 1)), seed)
    completion, biases = fit(fitted, priors, seed), fit(fitted, Priors(priors.bias), seed)
    mean = np.full(random.n_items, float(fitted.reward.mean(dtype=np.float64)))
    count = np.bincount(fitted.item, minlength=random.n_items)
    total = np.bincount(fitted.item, fitted.reward, minlength=random.n_items)
    means = (total + SHRINKAGE * mean) / (count + SHRINKAGE)
    predicted = {
        "completed": completion.predict(held.user, held.item),
        "biases alone": biases.predict(held.user, held.item),
        "item mean": means[held.item],
        "constant": mean[held.item],
    }
    return completion, report(predicted, held, fitted=len(fitted))


def choose(train: InteractionLog, held: InteractionLog, seed: int) -> Priors:
    """Choose the priors with the least held-out log loss: of biases, then of preferences with either `by_member`."""

    def loss(priors: Priors) -> float:
        logit = fit(train, priors, seed).logits(held.user, held.item)
        return float(np.mean(np.logaddexp(0.0, logit) - _shares(held) * logit))

    best, least = _first_best([Priors(bias) for bias in BIAS_PRIORS], loss)
    found = [(best, least)]
    for by_member in (False, True):
        preferences = [replace(best, preference=strength, by_member=by_member) for strength in PREFERENCE_PRIORS]
        found.append(_first_best(preferences, loss, least))
    return min(found, key=lambda one: one[1])[0]


def _first_best(
    priors: Sequence[Priors], loss: Callable[[Priors], float], known: float = np.inf
) -> tuple[Priors, float]:
    """Find the best priors and their loss, from strong to weak, until the loss exceeds `known` or the least loss."""
    best, least = priors[0], np.inf
    for one in priors:
        found = loss(one)
        if found < least:
            best, least = one, found
        if found > min(least, known) * (1 + WORSE):
            break
    return best, least


def fit(log: InteractionLog, priors: Priors, seed: int) -> Completion:
    """Fit the tables to the log's events. seed: of the search for leading directions."""
    order = np.argsort(log.user, kind="stable")
    log = replace(log, user=log.user[order], item=log.item[order], reward=log.reward[order])
    users, items = _slots(log.n_users, log.user_features), _slots(log.n_items, log.item_features)
    shares, n = _shares(log), len(log)
    counts = [np.bincount(log.user, minlength=log.n_users), np.bincount(log.item, minlength=log.n_items)]
    events = np.append(0, np.cumsum(counts[0]))
    cut = users.shape[1]

    def cells(wrong: Reals) -> sp.csr_matrix:
        return sp.csr_matrix((wrong, log.item, events), shape=(log.n_users, log.n_items))

    def logits(mean: float, table: Reals) -> tuple[Reals, Reals, Reals]:
        user, item = users @ table[:cut], items @ table[cut:]
        return _logits(mean, user[log.user], item[log.item]), user, item

    squared = [side.multiply(side) for side in (users, items)]  # weights of table rows in members
    weighed = np.concatenate([part.T @ of.astype(np.float64) for part, of in zip(squared, counts, strict=True)])

    def solve(mean: float, start: Reals, strength: Reals) -> tuple[float, Reals]:
        steepness = CURVATURE * np.where(np.arange(start.shape[1]) == 0, 1.0, SPREAD) * weighed[:, None]
        whole = 1 / np.sqrt(CURVATURE * n)
        unit = 1 / np.sqrt(strength + steepness)  # rows with few and with many events take steps of one size

        def loss(point: Reals) -> tuple[float, Reals]:
            table = point[1:].reshape(start.shape) * unit
            logit, user, item = logits(point[0] * whole, table)
            wrong = expit(logit) - shares
            by_cell = cells(wrong)
            of_user, of_item = by_cell @ _led_by_one(item), by_cell.T @ _led_by_one(user)
            slope = np.concatenate([users.T @ of_user, items.T @ of_item]) + strength * table
            value = np.logaddexp(0.0, logit).sum() - shares @ logit + 0.5 * (strength * table**2).sum()
            return float(value / n), np.append(wrong.sum() * whole, slope * unit) / n

        options = {"maxiter": STEPS, "ftol": TOLERANCE, "gtol": 0.0}
        found = minimize(loss, np.append(mean / whole, start / unit), jac=True, method="L-BFGS-B", options=options).x
        return float(found[0] * whole), found[1:].reshape(start.shape) * unit

    share = shares.mean().clip(1e-6, 1 - 1e-6)
    rows = cut + items.shape[1]
    bias = np.full((rows, 1), priors.bias)
    mean, table = solve(float(np.log(share / (1 - share))), np.zeros((rows, 1)), bias)
    if priors.preference is not None:
        start = np.zeros((rows, SIZE))
        left = cells(shares - expit(logits(mean, table)[0]))
        start[: log.n_users], start[cut : cut + log.n_items] = _leading(left, np.random.default_rng(seed))
        members = np.ones(rows)
        if priors.by_member:
            members = np.concatenate([np.maximum(np.asarray(part.sum(0)).ravel(), 1.0) for part in squared])
        strength = np.column_stack([bias, np.outer(priors.preference * members, np.ones(SIZE))])
        mean, table = solve(mean, np.column_stack([table, start]), strength)
    return Completion(mean, users @ table[:cut], items @ table[cut:], log.reward_range)


def _leading(cells: sp.csr_matrix, generator: np.random.Generator) -> tuple[Reals, Reals]:
    """Find preferences of users [U, d] and items [I, d] along the leading singular directions, START strong."""
    n_users, n_items = cells.shape
    item = generator.normal(size=(n_items, SIZE))
    for _ in range(POWERS):
        item = _orthonormal(cells.T @ _orthonormal(cells @ item))
    user = _orthonormal(cells @ item)
    size = np.sqrt(START * np.sqrt(n_users * n_items))
    return user * size, item * size


def _orthonormal(columns: Reals) -> Reals:
    """Return an orthonormal basis of the columns, with zeros where there are more of them than rows."""
    basis = np.zeros_like(columns)
    found = np.linalg.qr(columns)[0]
    basis[:, : found.shape[1]] = found
    return basis


def _logits(mean: float, user: Reals, item: Reals) -> Reals:
    """Return the logits [n] of rows [n, 1 + d] of users and items."""
    return np.asarray(mean + user[:, 0] + item[:, 0] + np.einsum("nd,nd->n", user[:, 1:], item[:, 1:]))


def _led_by_one(side: Reals) -> Reals:
    """Return the factors of the other side's bias and preference in a logit: 1, and this side's preference."""
    return np.column_stack([np.ones(len(side)), side[:, 1:]])


def _shares(log: InteractionLog) -> Reals:
    """Scale the rewards to 0..1."""
    low, high = log.reward_range
    return np.asarray((log.reward.astype(np.float64) - low) / (high - low))


def _slots(n: int, columns: tuple[FeatureColumn, ...]) -> sp.csr_matrix:
    """Return the weights of the table's rows in each of n members, [n, rows]; all features weigh as much as the id."""
    side = encode(n, columns)
    weights = side.weights.double().numpy()
    weights[:, 1:] /= np.sqrt(max(side.n_fields - 1, 1))
    rows = np.repeat(np.arange(n), side.codes.shape[1])
    cells = (weights.ravel(), (rows, side.codes.numpy().ravel()))
    return sp.csr_matrix(cells, shape=(n, side.n_codes))
