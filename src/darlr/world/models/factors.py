"""Matrix factorisation of implicit logs with a block, by alternating least squares (Hu, Koren and Volinsky 2008).

Libraries treat every unlogged cell as a zero of small weight. Here the cells of the block have weight 0, because they
are unobserved.
"""

import numpy as np
import scipy  # its solvers load when they are first used
from numpy.typing import NDArray

from darlr.data.log import Block, InteractionLog
from darlr.world.implicit import distinct

Reals = NDArray[np.float64]


def factorise(
    log: InteractionLog, block: Block | None, seed: int, *, size: int = 16, penalty: float = 10.0, sweeps: int = 8
) -> tuple[Reals, Reals]:
    """The factors of users [U, size] and items [I, size], whose product is fitted to 1 at logged and 0 at other cells.

    A logged cell has twice the weight of an unlogged one, and the cells of the block have none.
    """
    cells = distinct(log)
    rows = scipy.sparse.csr_matrix((np.ones(len(cells)), (cells.user, cells.item)), shape=(log.n_users, log.n_items))
    users, items = np.zeros(log.n_users, dtype=bool), np.zeros(log.n_items, dtype=bool)
    if block is not None:
        users[block.users], items[block.items] = True, True
    item = np.random.default_rng(seed).normal(0, 0.1, (log.n_items, size))
    columns = scipy.sparse.csr_matrix(rows.T)
    for _ in range(sweeps):
        user = _solve(rows, item, users, items, penalty)
        item = _solve(columns, user, items, users, penalty)
    return _solve(rows, item, users, items, penalty), item


def _solve(
    rows: "scipy.sparse.csr_matrix", other: Reals, inside: NDArray[np.bool_], hidden: NDArray[np.bool_], penalty: float
) -> Reals:
    """The factors of one side, given those of the other. inside, hidden: the rows and the columns of the block."""
    size = other.shape[1]
    pairs = (other[:, :, None] * other[:, None, :]).reshape(len(other), -1)
    free = np.where(inside[:, None], pairs[~hidden].sum(0), pairs.sum(0))
    gram = (rows @ pairs + free).reshape(-1, size, size) + penalty * np.eye(size)
    solution: Reals = np.linalg.solve(gram, 2 * (rows @ other)[:, :, None])[:, :, 0]
    return solution
