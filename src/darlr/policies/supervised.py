"""The usual first choices of practitioners: matrix factorisation with biases, and an implicit-feedback model."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from darlr.data.log import InteractionLog
from darlr.policies.extras import optional
from darlr.policies.fixed import UserGreedy
from darlr.world.context import Context, events
from darlr.world.models.trainer import NegativeSampler

FACTORS, EPOCHS, STRENGTH, LEARNING_RATE = 20, 20, 0.1, 0.01
IMPLICIT_FACTORS, IMPLICIT_STRENGTH, SWEEPS, CONFIDENCE = 32, 1.0, 15, 10.0


def fit_matrix_factorisation(context: Context, seed: int = 0, factors: int = FACTORS) -> UserGreedy:
    """scikit-surprise's SVD: mean, biases and factors by stochastic gradient.

    In an implicit log, one unlogged cell outside the block is sampled for each positive, with reward 0. Otherwise all
    rewards would be equal, and a rating model could learn nothing.
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
    # users and items without an event keep bias and factors 0
    users_known = [full.to_raw_uid(k) for k in full.all_users()]
    items_known = [full.to_raw_iid(k) for k in full.all_items()]
    u, i = np.zeros((log.n_users, factors + 1)), np.zeros((log.n_items, factors + 1))
    u[users_known], i[items_known] = np.c_[model.pu, model.bu], np.c_[model.qi, model.bi]
    return _greedy(context, u, i, full.global_mean)


def _greedy(context: Context, u: NDArray[Any], i: NDArray[Any], mean: float) -> UserGreedy:
    u, i = u[context.scope.users], i[context.scope.items]
    return UserGreedy(torch.from_numpy((mean + u[:, -1:] + i[:, -1] + u[:, :-1] @ i[:, :-1].T).astype(np.float32)))


def fit_implicit(context: Context, seed: int = 0, factors: int = IMPLICIT_FACTORS) -> UserGreedy:
    """implicit's alternating least squares (Hu et al. 2008) on positive events.

    Positive cells: `positive_cells`. Item factors are fitted on users outside the block, and users inside it get theirs
    from items outside it (`outside_block`).
    """
    implicit = optional("implicit.als")
    log = context.log
    positive, (outside, shared) = positive_cells(context), outside_block(log)
    with _quiet():
        fitted_on = np.flatnonzero(outside)
        model = _als(implicit, factors, seed)
        model.fit(positive[fitted_on], show_progress=False)
        users = np.zeros((log.n_users, model.item_factors.shape[1]), dtype=np.float32)
        users[fitted_on] = model.user_factors
        inside = np.flatnonzero(~outside)
        if len(inside):
            fold_in = _als(implicit, factors, seed)
            fold_in.item_factors = np.ascontiguousarray(model.item_factors[shared])
            users[inside] = fold_in.recalculate_user(
                np.arange(len(inside)), positive[inside][:, np.flatnonzero(shared)]
            )
    table = users[context.scope.users] @ model.item_factors[context.scope.items].T
    return UserGreedy(torch.from_numpy(table))


def _als(implicit: Any, factors: int, seed: int) -> Any:
    return implicit.AlternatingLeastSquares(
        factors,
        regularization=IMPLICIT_STRENGTH,
        alpha=CONFIDENCE,
        iterations=SWEEPS,
        random_state=seed,
        num_threads=1,
        use_gpu=False,
    )


def positive_cells(context: Context) -> csr_matrix:
    """Pairs of user and item with a positive event, 1 each, [U, I] in log codes.

    Positive: all events of a log of positives alone, else those above the middle of the reward range.
    """
    log: InteractionLog = context.log
    keep = np.ones(len(log), dtype=bool) if context.implicit else log.reward > sum(log.reward_range) / 2
    cell = np.unique(log.user[keep] * log.n_items + log.item[keep])
    ones = np.ones(len(cell), dtype=np.float32)
    return csr_matrix((ones, (cell // log.n_items, cell % log.n_items)), (log.n_users, log.n_items))


def outside_block(log: InteractionLog) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Users, bool [U], and items, bool [I], that are outside the log's block; all users where the block has them all.

    The block's cells are unobserved, so that they are no negatives: an item-item or factor model is fitted on users
    outside it, and users inside it are described by items outside it.
    """
    users, items = np.ones(log.n_users, dtype=bool), np.ones(log.n_items, dtype=bool)
    if log.block is not None:
        users[log.block.users] = False
        items[log.block.items] = False
    return (users if users.any() else ~users), items


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """One BLAS thread, as implicit asks for."""
    with warnings.catch_warnings(), optional("threadpoolctl").threadpool_limits(1, "blas"):
        warnings.simplefilter("ignore")
        yield
