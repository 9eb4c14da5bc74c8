"""The items of each user as a sparse matrix, in which old events may weigh less than new ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy  # its parts load when they are first used
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog

CELLS = 1 << 17  # entries, padding included, of a group of rows
OLDEST = 50  # later events beyond this number take no more weight off


@dataclass(frozen=True)
class Rows:
    """A sparse matrix by rows: row r holds columns column[start[r] : start[r + 1]] with these weights, all above 0.

    start: int64 [n + 1]. column: int64 [nnz]. weight: float32 [nnz]. width: the number of columns.
    """

    start: Tensor
    column: Tensor
    weight: Tensor
    width: int

    @property
    def count(self) -> Tensor:
        """The number of entries of each row, int64 [n]."""
        return self.start.diff()

    def of(self, rows: Int[Tensor, " b"]) -> "Rows":
        """Some of the rows, in this order."""
        count = self.count[rows]
        start = torch.nn.functional.pad(count.cumsum(0), (1, 0))
        place = torch.arange(int(start[-1])) + (self.start[rows] - start[:-1]).repeat_interleave(count)
        return Rows(start, self.column[place], self.weight[place], self.width)

    def turned(self) -> "Rows":
        """The transposed matrix."""
        row = torch.arange(len(self.start) - 1).repeat_interleave(self.count)
        return rows_of(self.column.numpy(), row.numpy(), self.weight.numpy(), (self.width, len(self.start) - 1))

    def groups(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Rows of about the same length, int64 [b]; their columns and weights, [b, L] both, padded with weight 0.

        Rows without an entry are left out.
        """
        count = self.count
        size = (
            count.clamp(min=1).sub(1).double().add(1).log2().ceil().long()
        )  # rows of 2^(size-1) + 1 to 2^size entries
        for power in torch.unique(size[count > 0]).tolist():
            length = 1 << power
            some = ((size == power) & (count > 0)).nonzero().squeeze(1)
            for rows in torch.split(some, max(1, CELLS // length)):
                place = self.start[rows, None] + torch.arange(length)
                there = place < self.start[rows + 1, None]
                place = place.clamp(max=len(self.column) - 1)
                yield rows, self.column[place], self.weight[place] * there


def rows_of(
    row: NDArray[np.int64], column: NDArray[np.int64], weight: NDArray[np.floating], shape: tuple[int, int]
) -> Rows:
    """The matrix with these entries, [nnz] each, of which no two have the same place."""
    order = np.lexsort((column, row))
    start = np.searchsorted(row[order], np.arange(shape[0] + 1))
    values = torch.from_numpy(weight[order].astype(np.float32))
    return Rows(torch.from_numpy(start), torch.from_numpy(column[order]), values, shape[1])


def sparse(rows: Rows) -> "scipy.sparse.csr_matrix":
    """The same matrix for SciPy's products."""
    parts = rows.weight.numpy(), rows.column.numpy(), rows.start.numpy()
    return scipy.sparse.csr_matrix(parts, (len(rows.start) - 1, rows.width))


def ages(log: InteractionLog) -> NDArray[np.int64]:
    """How many events of its user are later than each event, int64 [L]; 0 without times."""
    if log.timestamp is None:
        return np.zeros(len(log), dtype=np.int64)
    order = np.lexsort((log.timestamp, log.user))
    user, time = log.user[order], log.timestamp[order]
    new = np.append((user[1:] != user[:-1]) | (time[1:] != time[:-1]), True)  # the last event of a user and a time
    last = np.flatnonzero(new)[np.cumsum(np.append(0, new[:-1]))]
    age = np.empty(len(log), dtype=np.int64)
    age[order] = np.searchsorted(user, user, side="right") - 1 - last
    return age


def last_events(log: InteractionLog, most: int, seed: int) -> NDArray[np.bool_]:
    """The last event of up to `most` users with two or more, bool [L]; without times a random one."""
    generator = np.random.default_rng(seed)
    time = np.zeros(len(log)) if log.timestamp is None else log.timestamp
    order = np.lexsort((generator.random(len(log)), time, log.user))
    user = log.user[order]
    last = np.flatnonzero(np.append(user[1:] != user[:-1], True)) if len(log) else np.zeros(0, dtype=np.int64)
    last = last[np.bincount(log.user, minlength=log.n_users)[user[last]] > 1]
    out = np.zeros(len(log), dtype=bool)
    out[order[generator.permutation(last)[:most]]] = True
    return out


def history(log: InteractionLog, kept: NDArray[np.bool_], age: NDArray[np.int64], decay: float) -> Rows:
    """The items of all users by the kept events, with the weight decay ** age."""
    weight = decay ** np.clip(age[kept], 0, OLDEST)
    return rows_of(log.user[kept], log.item[kept], weight, (log.n_users, log.n_items))
