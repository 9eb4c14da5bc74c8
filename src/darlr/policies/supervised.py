"""Supervised recommenders: matrix factorisation with biases, implicit ALS, EASE and item-kNN."""

import contextlib
import importlib
import io
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from darlr.data.log import InteractionLog
from darlr.errors import MachineError
from darlr.policies.fixed import UserGreedy
from darlr.world.context import Context, events
from darlr.world.estimates import MOST
from darlr.world.models.trainer import NegativeSampler
from darlr.world.views import Product

FACTORS, EPOCHS, STRENGTH, LEARNING_RATE = 20, 20, 0.1, 0.01
IMPLICIT_FACTORS, IMPLICIT_STRENGTH, SWEEPS, CONFIDENCE = 32, 1.0, 15, 10.0
NEAREST, SHRINKAGE = 1000, 50.0  # of item-kNN: the most neighbours of an item, and what shrinks their cosines
ROWS, CELLS = 10_000, 2**28  # the most rows of EASE's inverted matrix and the most cells: a minute, some gigabytes

Reals = NDArray[np.float64]


def optional(name: str) -> Any:
    """The module `name` of an optional library; MachineError with the extra to install when it is missing.

    Libraries are imported when a baseline is fitted, and never to load or play it.
    """
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # deprecations inside the libraries (d3rlpy imports gym)
        try:
            return importlib.import_module(name)
        except ImportError as error:
            raise MachineError(
                f"this baseline needs {name.partition('.')[0]}: install it with pip install 'darlr[baselines]'"
            ) from error


def fit_matrix_factorisation(context: Context, seed: int = 0, factors: int = FACTORS) -> UserGreedy:
    """SVD of scikit-surprise: mean, biases and factors by stochastic gradient.

    In a log of positives all rewards are equal, so a rating model could learn nothing. For each positive, one unlogged
    cell outside the block is then sampled with reward 0.
    """
    surprise = optional("surprise")
    log = context.log
    user, item, reward = events(log)
    if context.implicit:
        generator = torch.Generator().manual_seed(seed)
        users = torch.from_numpy(user)
        drawn, found = NegativeSampler(log).draw(users, generator)
        user, item = np.concatenate([user, users[found].numpy()]), np.concatenate([item, drawn[found].numpy()])
        reward = np.concatenate([reward, np.zeros(int(found.sum()), dtype=np.float32)])
    data = surprise.Dataset(surprise.Reader(rating_scale=(float(reward.min()), float(reward.max()))))
    rows = list(zip(user.tolist(), item.tolist(), reward.tolist(), [None] * len(user), strict=True))
    full = data.construct_trainset(rows)
    model = surprise.SVD(factors, n_epochs=EPOCHS, reg_all=STRENGTH, lr_all=LEARNING_RATE, random_state=seed)
    model.fit(full)
    # Users and items without an event keep bias and factors 0.
    users_known = [full.to_raw_uid(k) for k in full.all_users()]
    items_known = [full.to_raw_iid(k) for k in full.all_items()]
    u, i = np.zeros((log.n_users, factors + 1)), np.zeros((log.n_items, factors + 1))
    u[users_known], i[items_known] = np.c_[model.pu, model.bu], np.c_[model.qi, model.bi]
    u, i = u[context.scope.users], i[context.scope.items]
    scores = full.global_mean + u[:, -1:] + i[:, -1] + u[:, :-1] @ i[:, :-1].T
    return UserGreedy(torch.from_numpy(scores.astype(np.float32)))


def positive_cells(context: Context) -> csr_matrix:
    """The cells [U, I], in log codes, with a positive event: 1 each.

    All events of a log of positives are positive, else those with a reward above the middle of the range.
    """
    log: InteractionLog = context.log
    keep = np.ones(len(log), dtype=bool) if context.implicit else log.reward > sum(log.reward_range) / 2
    cell = np.unique(log.user[keep] * log.n_items + log.item[keep])
    ones = np.ones(len(cell), dtype=np.float32)
    return csr_matrix((ones, (cell // log.n_items, cell % log.n_items)), (log.n_users, log.n_items))


def outside_block(log: InteractionLog) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The users, bool [U], and the items, bool [I], outside the log's block; all users if the block has every user.

    Cells of the block are unobserved and no negatives. Models are therefore fitted on users outside it, and users
    inside it are described by items outside it.
    """
    users, items = np.ones(log.n_users, dtype=bool), np.ones(log.n_items, dtype=bool)
    if log.block is not None:
        users[log.block.users] = False
        items[log.block.items] = False
    return (users if users.any() else ~users), items


def fit_implicit(context: Context, seed: int = 0, factors: int = IMPLICIT_FACTORS) -> UserGreedy:
    """Alternating least squares of `implicit` (Hu et al. 2008) on `positive_cells`, fitted as in `outside_block`."""
    implicit = optional("implicit.als")
    positive, (outside, shared) = positive_cells(context), outside_block(context.log)

    def als() -> Any:
        return implicit.AlternatingLeastSquares(
            factors,
            regularization=IMPLICIT_STRENGTH,
            alpha=CONFIDENCE,
            iterations=SWEEPS,
            random_state=seed,
            num_threads=1,
            use_gpu=False,
        )

    with warnings.catch_warnings(), optional("threadpoolctl").threadpool_limits(1, "blas"):  # as implicit asks for
        warnings.simplefilter("ignore")
        fitted_on, inside = np.flatnonzero(outside), np.flatnonzero(~outside)
        model = als()
        model.fit(positive[fitted_on], show_progress=False)
        users = np.zeros((len(outside), model.item_factors.shape[1]), dtype=np.float32)
        users[fitted_on] = model.user_factors
        if len(inside):
            fold_in = als()
            fold_in.item_factors = np.ascontiguousarray(model.item_factors[shared])
            cells = positive[inside][:, np.flatnonzero(shared)]
            users[inside] = fold_in.recalculate_user(np.arange(len(inside)), cells)
    found = users[context.scope.users], model.item_factors[context.scope.items]
    if len(found[0]) * len(found[1]) > MOST:
        return UserGreedy(Product(*map(torch.from_numpy, found)))
    return UserGreedy(torch.from_numpy(found[0] @ found[1].T))


def fit_ease(context: Context, seed: int = 0) -> UserGreedy:
    """EASE, an item-item model in closed form (Steck 2019, arXiv 1905.03375, equations 8 and 9).

    The scores are X B with B = I - P diag(1 / diag P) and P = (X^T X + strength I)^-1, where X holds `positive_cells`;
    B is fitted as in `outside_block`. The strength is the mean number of positive cells of an item, which is what the
    published strength is for its data set (500 on MovieLens-20M). `seed` has no effect. Raises MachineError for more
    users and items than dense matrices can hold.
    """
    cells, (users, items) = positive_cells(context), outside_block(context.log)
    n_users, n_items = cells.shape
    if min(n_users, n_items) > ROWS or n_users * n_items > CELLS:
        raise MachineError(f"EASE uses dense matrices, which are too large for {n_users:,} users and {n_items:,} items")
    fitted_on = cells[users].toarray().astype(np.float64)
    strength = max(float(fitted_on.sum()) / fitted_on.shape[1], 1.0)
    known = cells[context.scope.users].toarray().astype(np.float64)
    if not items.all():
        inside = ~np.isin(context.scope.users, np.flatnonzero(users))
        known[np.ix_(inside, ~items)] = 0.0
    product, diagonal = _ridge_inverse(known, fitted_on, strength)
    scores = (known - product / diagonal)[:, context.scope.items]
    return UserGreedy(torch.from_numpy(scores.astype(np.float32)))


def fit_item_knn(context: Context, seed: int = 0) -> UserGreedy:
    """Item-kNN: the sum of the similarities to the items of a user (Deshpande and Karypis 2004), on `positive_cells`.

    The similarity of two items is n_ij / (sqrt(n_i n_j) + SHRINKAGE), with the numbers of users who have both and each
    of them. Each item keeps its NEAREST neighbours. Similarities are counted and users are described as in
    `outside_block`. `seed` has no effect. Raises MachineError where the scores would not fit into a table.
    """
    cells, (users, items) = positive_cells(context), outside_block(context.log)
    if len(context.scope.users) * len(context.scope.items) > MOST:
        raise MachineError(f"item-kNN holds a table, too large for {cells.shape[0]:,} users x {cells.shape[1]:,} items")
    fitted_on = cells[users]
    both = (fitted_on.T @ fitted_on).tocoo()
    events = both.diagonal()
    similar = both.data / (np.sqrt(events[both.row] * events[both.col]) + SHRINKAGE)
    order = np.lexsort((-similar, both.col))
    order = order[both.row[order] != both.col[order]]
    place = np.arange(len(order)) - np.searchsorted(both.col[order], both.col[order])
    order = order[place < NEAREST]
    weights = csr_matrix((similar[order], (both.row[order], both.col[order])), both.shape)
    known = cells[context.scope.users]
    if not items.all():
        inside = ~np.isin(context.scope.users, np.flatnonzero(users))
        hidden = np.where(inside[:, None], ~items, False)
        known = csr_matrix(known.multiply(~hidden))
    scores = (known @ weights[:, context.scope.items]).toarray()
    return UserGreedy(torch.from_numpy(scores.astype(np.float32)))


def _ridge_inverse(known: Reals, fitted_on: Reals, strength: float) -> tuple[Reals, Reals]:
    """known @ P, [U, I], and the diagonal of P, [I], for P = (X^T X + strength I)^-1 and X = fitted_on, [F, I].

    With fewer users than items, Woodbury's identity inverts the matrix of users instead:
    P = (I - X^T (X X^T + strength I)^-1 X) / strength.
    """
    n_users, n_items = fitted_on.shape
    if n_items <= n_users:
        inverse = np.linalg.inv(fitted_on.T @ fitted_on + strength * np.eye(n_items))
        return known @ inverse, np.diag(inverse)
    solved = np.linalg.solve(fitted_on @ fitted_on.T + strength * np.eye(n_users), fitted_on)
    product = (known - (known @ fitted_on.T) @ solved) / strength
    return product, (1 - (fitted_on * solved).sum(0)) / strength
