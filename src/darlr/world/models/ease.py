"""EASE, an item-item model in closed form (Steck 2019, arXiv 1905.03375), kept sparse."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from darlr.world.models.histories import Rows, rows_of, sparse

ITEMS = 10_000  # the most items, those with the most events, of the inverted matrix: half a minute, a gigabyte
NEAREST = 200  # the weights that are kept of each predicted item, the largest by absolute value


class Gram:
    """The counts of users who have both of two items, for the ITEMS most frequent items."""

    def __init__(self, rows: Rows) -> None:
        """rows: the items of each user, of weight 1."""
        events = np.bincount(rows.column.numpy(), minlength=rows.width)
        self.items = np.sort(np.argsort(-events, kind="stable")[:ITEMS])
        self.width, self.mean = rows.width, len(rows.column) / rows.width
        cells = sparse(rows)[:, self.items]
        self.counts = torch.from_numpy((cells.T @ cells).toarray().astype(np.float32))

    def weights(self, penalty: float) -> Rows:
        """B, by the item that was seen; the row of a user's items times B is the score of all items.

        B = I - P diag(1 / diag P) with P = (G + D)^-1. D = penalty x the mean number of events of an item, plus the
        diagonal of G: half of the events are dropped at random in training (EDLAE, Steck 2020, equation 10).
        """
        wanted = self.counts + torch.diag(self.counts.diagonal() + max(penalty * self.mean, 1.0))
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(wanted))
        del wanted
        weight = inverse.div_(-inverse.diagonal().clone()).fill_diagonal_(0.0)
        return self._largest(weight)

    def _largest(self, weight: Float[Tensor, "J J"]) -> Rows:
        best = weight.abs().topk(min(NEAREST, len(weight)), dim=0).indices
        row, column = self.items[best.flatten().numpy()], np.tile(self.items, len(best))
        value = weight.gather(0, best).flatten().numpy()
        kept = value != 0
        return rows_of(row[kept], column[kept], value[kept], (self.width, self.width))
