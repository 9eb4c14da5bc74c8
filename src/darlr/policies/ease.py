"""EASE, an item-item model in closed form (Steck, WWW 2019, arXiv 1905.03375): it needs no optional library."""

import numpy as np
import torch
from numpy.typing import NDArray

from darlr.errors import MachineError
from darlr.policies.fixed import UserGreedy
from darlr.policies.supervised import outside_block, positive_cells
from darlr.world.context import Context

ROWS, CELLS = 10_000, 2**28  # the most rows of the inverted matrix and the most cells: a minute, and some gigabytes

Reals = NDArray[np.float64]


def fit_ease(context: Context, seed: int = 0) -> UserGreedy:
    """Scores X B with B = I - P diag(1 / diag P), P = (X^T X + strength I)^-1, X the positive cells (equations 8, 9).

    Positive cells are those of implicit ALS (`positive_cells`). strength is the mean number of an item's positive
    cells: this is what the published strength is for the data set that it was published for (500 on MovieLens-20M).
    As in implicit ALS, B is fitted on users outside the block, and other users' scores come from items outside it.
    `seed` changes nothing. Raises MachineError where there are too many users and items for dense matrices of them.
    """
    cells, (users, items) = positive_cells(context), outside_block(context.log)
    n_users, n_items = cells.shape
    if min(n_users, n_items) > ROWS or n_users * n_items > CELLS:
        raise MachineError(f"EASE needs dense matrices, too large ones for {n_users:,} users and {n_items:,} items")
    fitted_on = cells[users].toarray().astype(np.float64)
    strength = max(float(fitted_on.sum()) / fitted_on.shape[1], 1.0)
    known = cells[context.scope.users].toarray().astype(np.float64)
    if not items.all():  # what is in the block is unobserved by construction
        inside = ~np.isin(context.scope.users, np.flatnonzero(users))
        known[np.ix_(inside, ~items)] = 0.0
    product, diagonal = _ridge_inverse(known, fitted_on, strength)
    scores = (known - product / diagonal)[:, context.scope.items]
    return UserGreedy(torch.from_numpy(scores.astype(np.float32)))


def _ridge_inverse(known: Reals, fitted_on: Reals, strength: float) -> tuple[Reals, Reals]:
    """known @ P, [U, I], and the diagonal of P, [I], for P = (X^T X + strength I)^-1 and X = fitted_on, [F, I].

    Where there are fewer users than items, Woodbury's identity inverts the matrix of users instead:
    P = (I - X^T (X X^T + strength I)^-1 X) / strength.
    """
    n_users, n_items = fitted_on.shape
    if n_items <= n_users:
        inverse = np.linalg.inv(fitted_on.T @ fitted_on + strength * np.eye(n_items))
        return known @ inverse, np.diag(inverse)
    solved = np.linalg.solve(fitted_on @ fitted_on.T + strength * np.eye(n_users), fitted_on)
    product = (known - (known @ fitted_on.T) @ solved) / strength
    return product, (1 - (fitted_on * solved).sum(0)) / strength
