"""A world model of implicit logs with a block: it predicts positives in the block from users' events elsewhere.

The scope's users have no events on its items, so that id embeddings cannot learn their preferences for them. The model
averages three predictors that use their other events: ridge regressions on the leading principal coordinates of the
events (Hastie, Tibshirani and Friedman 2009, section 3.5), the share of positives among users with similar histories,
and matrix factors (`darlr.world.models.factors`). It is not in the paper; docs/world-model.md gives the reasons for it.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy  # its solvers load when they are first used
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from darlr.data.log import IntArray, InteractionLog
from darlr.data.scope import Scope, places
from darlr.errors import ConfigError
from darlr.options import WorldModelConfig
from darlr.world.implicit import distinct, item_weights, lacks_events_of_scope
from darlr.world.logged_neighbours import logged_feedback, logged_neighbour_table
from darlr.world.models.factors import factorise
from darlr.world.vectors import unit_square

Reals = NDArray[np.float64]

SIZES = (16, 32, 64, 96)  # candidates for the number of principal coordinates
RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0)  # candidates for the penalty; rows of coordinates have mean square length 1
RARITY = 0.25  # an item has the weight 1 / events ** RARITY
LENGTH = 0.5  # a user's row is divided by its length ** LENGTH
FOLDS = 5
NEIGHBOURS = 100  # the number of users with similar histories
DIRECTIONS = 16  # the most directions of preference
DENSE = 256  # a matrix whose shorter side is at most this is decomposed in full
LEAST = 1e-3  # the smallest probability in a variance


class HistoryModel(nn.Module):
    """K members: each averages a ridge regression, on a bootstrap sample of users, and the predictors that all share.

    coordinates: float32 [U, d]. base: [K, Is] and weight: [K, d, Is], the intercepts and weights of the regressions in
    units of the positive reward. shared: [Us, Is], the mean of the neighbours' shares and the factors' predictions.
    row: int64 [U] and place: int64 [I], the row of each user and the column of each item, -1 outside the scope.
    scale: [Is], the factors of predictions: 1, or inverse propensities.
    """

    coordinates: Tensor
    base: Tensor
    weight: Tensor
    shared: Tensor
    row: Tensor
    place: Tensor
    scale: Tensor

    def __init__(self, **tables: Tensor) -> None:
        super().__init__()
        for name in ("coordinates", "base", "weight", "shared", "row", "place", "scale"):
            self.register_buffer(name, tables.pop(name))
        if tables:
            raise TypeError(f"unknown tables: {', '.join(tables)}")
        self.members = len(self.base)

    def table(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and log-variance [K, u, i] of all pairs of users int64 [u] and items int64 [i] of the scope.

        The mean is in units of the positive reward. The variance is that of a Bernoulli variable of this mean.
        """
        columns, rows = self.place[items], self.row[users]
        regression = self.base[:, None, columns] + self.coordinates[users] @ self.weight[:, :, columns]
        mean = (regression.clamp(0, 1) + 2 * self.shared[rows][:, columns]) / 3
        mean = (mean * self.scale[columns]).clamp(0, 1)
        inside = mean.clamp(LEAST, 1 - LEAST)
        return mean, (inside * (1 - inside)).log()

    def over(self, items: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """See `WorldModel.over`."""
        return partial(self.table, items=items)

    def vectors(self, size: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The leading factors of coordinates times mean weights, for users and items of the scope; see `WorldModel`."""
        left, strength, right = torch.linalg.svd(self.weight.mean(0), full_matrices=False)
        of_users, of_items = self.coordinates @ left[:, :size], (strength[:size, None] * right[:size]).T
        return unit_square(of_users, size)[users], unit_square(of_items, size)[self.place[items]]


def fit_history(log: InteractionLog, scope: Scope, config: WorldModelConfig) -> tuple[HistoryModel, float]:
    """The model, and the share of variance that it explains on users who are left out of the fit.

    The number of coordinates and the penalty are chosen by cross-validation over users. Raises ConfigError unless
    `lacks_events_of_scope`.
    """
    if not lacks_events_of_scope(log):
        raise ConfigError(
            "option model.kind: history is for implicit logs with a block (users x items that have no events) and with "
            "users outside the block; leave it at auto"
        )
    learners, target, every, size, ridge, explained = _regression(log, scope, config.seed)
    points = every[:, :size].contiguous()
    generator = np.random.default_rng(config.seed)
    n = len(learners)
    # a single member is fitted to every user once, not to a bootstrap sample
    counts = np.ones((1, n)) if config.members == 1 else generator.multinomial(n, np.full(n, 1 / n), config.members)
    members = [_ridge(points[learners], target, ridge, torch.from_numpy(count).float()) for count in counts]
    base, weight = (torch.stack(parts) for parts in zip(*members, strict=True))
    model = HistoryModel(
        coordinates=points,
        base=base,
        weight=weight,
        shared=(neighbour_shares(log, scope) + factor_shares(log, scope, config.seed)) / 2,
        row=torch.from_numpy(places(scope.users, log.n_users)),
        place=torch.from_numpy(places(scope.items, log.n_items)),
        scale=item_weights(log, config)[torch.from_numpy(scope.items)],
    )
    return model, explained


def _regression(log: InteractionLog, scope: Scope, seed: int) -> tuple[IntArray, Tensor, Tensor, int, float, float]:
    """The users to learn from, their positives on the scope's items, all users' coordinates, and `choose` of these."""
    learners, every = scope.candidates(log), coordinates(log, scope.feedback_items(log), max(SIZES))
    target = logged_feedback(log, learners, scope.items)[1]
    return learners, target, every, *choose(every[learners], target, seed)


def neighbour_shares(log: InteractionLog, scope: Scope) -> Tensor:
    """The shares of positives among users with similar histories, float32 [Us, Is]."""
    return logged_neighbour_table(log, scope, NEIGHBOURS) / float(log.reward[0])


def factor_shares(log: InteractionLog, scope: Scope, seed: int) -> Tensor:
    """The predictions of matrix factors for the scope's cells, float32 [Us, Is], in units of the positive reward.

    The penalty shrinks the factors. All predictions are therefore multiplied by one number, which makes their sum over
    the users outside the block equal to the number of their positives.
    """
    learners = scope.candidates(log)
    user, item = factorise(log, log.block, seed)
    item = item[scope.items]
    expected = float((user[learners] @ item.T).clip(0, 1).sum())
    found = float(logged_feedback(log, learners, scope.items)[1].sum())
    factor = found / expected if expected > 0 else 0.0
    return torch.from_numpy((user[scope.users] @ item.T * factor).clip(0, 1).astype(np.float32))


def preference_directions(log: InteractionLog, scope: Scope, seed: int, turns: int) -> tuple[Tensor, float]:
    """Directions of preference that histories do not explain, float32 [Is, d], and the noise of a session's reward.

    They are the principal directions of out-of-fold residuals of the users outside the block, each scaled by its
    standard deviation over users, in units of the noise. The noise is the root mean square residual on the items that a
    session would show, each user's `turns` items with the largest predictions.
    """
    from scipy.sparse import linalg  # loads when it is first used

    learners, target, every, size, ridge, _ = _regression(log, scope, seed)
    points = every[learners, :size]
    fold = _folds(len(learners), seed)
    residual, squared = target.clone(), 0.0
    for k in range(FOLDS):
        out = fold == k
        if not out.any() or out.all():
            continue
        base, weight = _ridge(points[~out], target[~out], ridge, torch.ones(int((~out).sum())))
        predicted = (base + points[out] @ weight).clamp(0, 1)
        residual[out] -= predicted
        best = predicted.topk(min(turns, predicted.shape[1]), dim=1).indices
        squared += float(residual[out].gather(1, best).square().sum()) / best.shape[1]
    noise = max((squared / len(learners)) ** 0.5, LEAST)
    centred = (residual - residual.mean(0)).double().numpy()
    k = min(DIRECTIONS, min(centred.shape) - 1)
    if k < 1:
        return torch.zeros(len(scope.items), 1), noise
    _, strength, right = strongest(linalg.aslinearoperator(centred), k)
    directions = right.T * strength / len(learners) ** 0.5
    return torch.from_numpy(directions.astype(np.float32)) / noise, noise


def coordinates(log: InteractionLog, items: NDArray[np.int64], most: int) -> Tensor:
    """The leading principal coordinates of all users' events on `items`, float32 [U, <= most], the strongest first.

    Rare items have larger weights (RARITY), and events of long histories smaller ones (LENGTH). Rows have mean square
    length 1 before they are centred.
    """
    from scipy.sparse import linalg  # loads when it is first used

    log = distinct(log)
    column = places(items, log.n_items)
    inside = column[log.item] >= 0
    user, item = log.user[inside], column[log.item[inside]]
    weight = np.bincount(item, minlength=len(items)).clip(1)[item] ** -RARITY
    rows = scipy.sparse.csr_matrix((weight, (user, item)), shape=(log.n_users, len(items)))
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(1))).ravel()
    rows = scipy.sparse.diags(np.where(length > 0, length, 1) ** -LENGTH) @ rows
    total = rows.multiply(rows).sum()
    rows = rows * np.sqrt(log.n_users / total) if total > 0 else rows
    mean = np.asarray(rows.mean(0)).ravel()
    centred = linalg.LinearOperator(
        rows.shape,
        matvec=lambda v: rows @ v.ravel() - mean @ v.ravel(),
        rmatvec=lambda v: rows.T @ v.ravel() - mean * v.sum(),
        dtype=np.float64,
    )
    k = min(most, *(side - 1 for side in rows.shape))
    if k < 1 or total == 0:
        return torch.zeros(log.n_users, 1)
    left, strength, _ = strongest(centred, k)
    return torch.from_numpy((left * strength).astype(np.float32))


def strongest(matrix: "scipy.sparse.linalg.LinearOperator", k: int) -> tuple[Reals, Reals, Reals]:
    """The k largest singular values in descending order, [k], with their left [n, k] and right [k, m] vectors.

    A small matrix is decomposed as a whole: the iteration for large ones draws without a seed where the rank is less.
    """
    from scipy.sparse import linalg  # loads when it is first used

    n, m = matrix.shape
    if min(n, m) <= DENSE:
        dense = matrix @ np.eye(m) if m <= n else (matrix.H @ np.eye(n)).T
        left, strength, right = np.linalg.svd(dense, full_matrices=False)
        return left[:, :k], strength[:k], right[:k]
    # the start is random, because the matrix is centred and maps a constant vector to 0
    start = np.random.default_rng(0).standard_normal(min(matrix.shape))
    left, strength, right = linalg.svds(matrix, k=k, v0=start)
    order = np.argsort(-strength)
    return left[:, order], strength[order], right[order]


def choose(points: Tensor, target: Tensor, seed: int) -> tuple[int, float, float]:
    """The number of coordinates and the penalty with the least squared error in cross-validation over users.

    Also returns the share of the variance around the items' means that is explained on users left out of the fit.
    """
    n, most = points.shape
    sizes = sorted({min(size, most) for size in SIZES})
    fold = _folds(n, seed)
    error, variance = torch.zeros(len(sizes), len(RIDGES)), 0.0
    for k in range(FOLDS):
        kept, out = fold != k, fold == k
        if not (kept.any() and out.any()):
            continue
        base = target[kept].mean(0)
        variance += float((target[out] - base).square().sum())
        gram = points[kept].T @ points[kept]
        moment = points[kept].T @ (target[kept] - base)
        for row, size in enumerate(sizes):
            values, basis = torch.linalg.eigh(gram[:size, :size])
            inside, rotated = points[out][:, :size] @ basis, basis.T @ moment[:size]
            for column, ridge in enumerate(RIDGES):
                predicted = base + (inside / (values.clamp(min=0) + ridge)) @ rotated
                error[row, column] += (predicted - target[out]).square().sum()
    row, column = divmod(int(error.argmin()), len(RIDGES))
    return sizes[row], RIDGES[column], 1 - float(error.min()) / variance if variance else 0.0


def _folds(n: int, seed: int) -> Tensor:
    """The fold of each of n users, int64 [n]."""
    return torch.from_numpy(np.random.default_rng(seed).permutation(n) % FOLDS)


def _ridge(points: Tensor, target: Tensor, ridge: float, count: Tensor) -> tuple[Tensor, Tensor]:
    """The intercepts [Is], which are not shrunk, and weights [d, Is]. count: [n], how often each user counts."""
    centre = (count[:, None] * points).sum(0) / count.sum()
    mean = (count[:, None] * target).sum(0) / count.sum()
    x = points - centre
    weighted = x * count[:, None]
    weight = torch.linalg.solve(weighted.T @ x + ridge * torch.eye(x.shape[1]), weighted.T @ (target - mean))
    return mean - centre @ weight, weight
