"""A world model for logs of positives with a block: what users like among the scope's items, from what they logged
elsewhere.

Nobody whom we recommend to has logged the scope's items there, so an id embedding of theirs never meets those items.
What they logged elsewhere tells, in three ways that err differently and are averaged: regressions on its leading
principal coordinates (Hastie, Tibshirani and Friedman 2009, section 3.5), the share of positives among users with alike
histories, and factors (`darlr.world.models.factors`). Not in the paper; why: docs/world-model.md.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy  # its solvers load when they are first used
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope
from darlr.errors import ConfigError
from darlr.options import WorldModelConfig
from darlr.world.implicit import distinct, lacks_events_of_scope, row_weights
from darlr.world.logged_neighbours import logged_feedback, logged_neighbour_table
from darlr.world.models.factors import factorise
from darlr.world.models.vectors import unit_square

Reals = NDArray[np.float64]

SIZES = (16, 32, 64, 96)  # principal coordinates to choose from
RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0)  # of coordinates whose rows have mean square length 1
RARITY = 0.25  # a logged item counts 1 / events ** RARITY
LENGTH = 0.5  # a user's row is divided by its length ** LENGTH
FOLDS = 5
NEIGHBOURS = 100  # users with alike histories whose share of positives counts
DIRECTIONS = 16  # directions of what a history does not tell
DENSE = 256  # a matrix with a side no longer is decomposed whole
LEAST = 1e-3  # probability, and so variance, at least


class HistoryModel(nn.Module):
    """K members: the mean of a ridge regression, on a bootstrap sample of the users, and of what they all share.

    coordinates: float32 [U, d]; base: [K, Is], weight: [K, d, Is], of the regressions, in units of the positive reward;
    shared: [Us, Is], the mean of neighbours' shares and factors; row: int64 [U] and place: int64 [I], row of each user
    and column of each item, -1 outside the scope; scale: [Is], of the predictions, 1 or inverse propensities.
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
        """Every pair of users int64 [u] and items int64 [i] of the scope, log codes: mean and log-variance [K, u, i].

        The mean in units of the positive reward; the variance that of a coin with this mean.
        """
        columns, rows = self.place[items], self.row[users]
        regression = self.base[:, None, columns] + self.coordinates[users] @ self.weight[:, :, columns]
        mean = (regression.clamp(0, 1) + 2 * self.shared[rows][:, columns]) / 3
        mean = (mean * self.scale[columns]).clamp(0, 1)
        inside = mean.clamp(LEAST, 1 - LEAST)
        return mean, (inside * (1 - inside)).log()

    def over(self, items: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """`table` of these items, for users to come."""
        return partial(self.table, items=items)

    def vectors(self, size: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors of these users and items of the scope, float32 [u, size], [i, size], of unit mean square over all.

        The leading factors of the product of coordinates and mean weights.
        """
        left, strength, right = torch.linalg.svd(self.weight.mean(0), full_matrices=False)
        of_users, of_items = self.coordinates @ left[:, :size], (strength[:size, None] * right[:size]).T
        return unit_square(of_users, size)[users], unit_square(of_items, size)[self.place[items]]


def fit_history(log: InteractionLog, scope: Scope, config: WorldModelConfig) -> tuple[HistoryModel, float]:
    """Choose coordinates and ridge on users left out, then fit K members; also the variance explained on those users.

    Raises ConfigError for other logs.
    """
    if not lacks_events_of_scope(log):
        raise ConfigError(
            "option model.kind: history is for logs of positives with a block (users x items that have no events), "
            "and users outside of it; leave it at auto"
        )

    learners = scope.candidates(log)
    every = coordinates(log, scope.feedback_items(log), max(SIZES))
    target = logged_feedback(log, learners, scope.items)[1]
    size, ridge, explained = choose(every[learners], target, config.seed)
    points = every[:, :size].contiguous()
    generator = np.random.default_rng(config.seed)
    n = len(learners)
    # A lone member is no bootstrap: it takes every user once.
    counts = np.ones((1, n)) if config.members == 1 else generator.multinomial(n, np.full(n, 1 / n), config.members)
    members = [_ridge(points[learners], target, ridge, torch.from_numpy(count).float()) for count in counts]
    base, weight = (torch.stack(parts) for parts in zip(*members, strict=True))
    model = HistoryModel(
        coordinates=points,
        base=base,
        weight=weight,
        shared=(neighbour_shares(log, scope) + factor_shares(log, scope, config.seed)) / 2,
        row=_place(log.n_users, scope.users),
        place=_place(log.n_items, scope.items),
        scale=_inverse_propensities(log, config)[torch.from_numpy(scope.items)],
    )
    return model, explained


def neighbour_shares(log: InteractionLog, scope: Scope) -> Tensor:
    """The share of positives among users with alike histories, float32 [Us, Is]."""
    return logged_neighbour_table(log, scope, NEIGHBOURS) / float(log.reward[0])


def factor_shares(log: InteractionLog, scope: Scope, seed: int) -> Tensor:
    """What factors expect of the scope's cells, float32 [Us, Is], in units of the positive reward.

    Factors shrink; one number stretches them to the positives of the users who logged the scope's items.
    """
    learners = scope.candidates(log)
    user, item = factorise(log, log.block, seed)
    item = item[scope.items]
    expected = float((user[learners] @ item.T).clip(0, 1).sum())
    found = float(logged_feedback(log, learners, scope.items)[1].sum())
    factor = found / expected if expected > 0 else 0.0
    return torch.from_numpy((user[scope.users] @ item.T * factor).clip(0, 1).astype(np.float32))


def _place(size: int, codes: NDArray[np.int64]) -> Tensor:
    """Where each of `size` log codes is among `codes`, int64 [size]; -1 = nowhere."""
    place = torch.full((size,), -1)
    place[torch.from_numpy(codes)] = torch.arange(len(codes))
    return place


def preference_directions(log: InteractionLog, scope: Scope, seed: int, turns: int) -> tuple[Tensor, float]:
    """Along which directions users differ beyond their histories: float32 [Is, d] and the noise of a session's reward.

    Principal directions of the learners' out-of-fold residuals, each scaled by its deviation over users, in units of
    the noise: the root mean square of these residuals where a session would go, at a user's `turns` best items.
    """
    from scipy.sparse import linalg  # loads when it is first used

    learners = scope.candidates(log)
    every = coordinates(log, scope.feedback_items(log), max(SIZES))
    target = logged_feedback(log, learners, scope.items)[1]
    size, ridge, _ = choose(every[learners], target, seed)
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
    _, strength, right = _leading(linalg.aslinearoperator(centred), k)
    directions = right.T * strength / len(learners) ** 0.5
    return torch.from_numpy(directions.astype(np.float32)) / noise, noise


def coordinates(log: InteractionLog, items: NDArray[np.int64], most: int) -> Tensor:
    """The leading principal coordinates of all users' events on `items`, float32 [U, <= most], strongest first.

    Rare items count more (RARITY), long histories less a head (LENGTH); rows have mean square length 1 before centring.
    """
    from scipy.sparse import linalg  # loads when it is first used

    log = distinct(log)
    column = np.full(log.n_items, -1)
    column[items] = np.arange(len(items))
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
    left, strength, _ = _leading(centred, k)
    return torch.from_numpy((left * strength).astype(np.float32))


def _leading(matrix: "scipy.sparse.linalg.LinearOperator", k: int) -> tuple[Reals, Reals, Reals]:
    """The k strongest singular triplets, strongest first: left [n, k], strengths [k], right [k, m]."""
    from scipy.sparse import linalg  # loads when it is first used

    n, m = matrix.shape
    if min(n, m) <= DENSE:
        dense = matrix @ np.eye(m) if m <= n else (matrix.H @ np.eye(n)).T
        left, strength, right = np.linalg.svd(dense, full_matrices=False)
        return left[:, :k], strength[:k], right[:k]
    # A constant vector would be centred away, and a search that starts from nothing finds nothing.
    start = np.random.default_rng(0).standard_normal(min(matrix.shape))
    left, strength, right = linalg.svds(matrix, k=k, v0=start)
    order = np.argsort(-strength)
    return left[:, order], strength[order], right[order]


def choose(points: Tensor, target: Tensor, seed: int) -> tuple[int, float, float]:
    """Number of coordinates and ridge with the least squared error on users left out, over FOLDS folds.

    Also how much of the variance around the items' means they explain there.
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
    """Intercepts [Is] and weights [d, Is]; count [n]: how often each user takes part. The intercept is not shrunk."""
    centre = (count[:, None] * points).sum(0) / count.sum()
    mean = (count[:, None] * target).sum(0) / count.sum()
    x = points - centre
    weighted = x * count[:, None]
    weight = torch.linalg.solve(weighted.T @ x + ridge * torch.eye(x.shape[1]), weighted.T @ (target - mean))
    return mean - centre @ weight, weight


def _inverse_propensities(log: InteractionLog, config: WorldModelConfig) -> Tensor:
    """Factor of each item's predictions, float32 [I]: the weight of its logged rows (IPS: E[logged / propensity])."""
    cells = distinct(log)
    factor = torch.ones(log.n_items)
    factor[torch.from_numpy(cells.item)] = row_weights(cells, config)
    return factor
