"""Sampled negatives: cells that have no logged event but could have had one."""

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import InteractionLog

ROUNDS = 20  # the most redraws of a row; only users who logged nearly all items need so many


class NegativeSampler:
    """It draws items uniformly from a user's cells that are neither in the given logs nor in the log's block."""

    def __init__(self, *logs: InteractionLog) -> None:
        self.n_items = logs[0].n_items
        keys = np.unique(np.concatenate([log.user * self.n_items + log.item for log in logs]))
        self.logged = torch.from_numpy(keys.astype(np.int64))
        self.block_user = torch.zeros(logs[0].n_users, dtype=torch.bool)
        self.block_item = torch.zeros(self.n_items, dtype=torch.bool)
        block = logs[0].block
        if block is not None:
            self.block_user[torch.from_numpy(block.users)] = True
            self.block_item[torch.from_numpy(block.items)] = True

    def forbidden(self, user: Tensor, item: Tensor) -> Tensor:
        """Whether the cells (user, item), int64 of one shape, must not be negatives; bool of that shape."""
        blocked = self.block_user[user] & self.block_item[item]
        if self.logged.shape[0] == 0:
            return blocked
        key = user * self.n_items + item
        place = torch.searchsorted(self.logged, key).clamp(max=self.logged.shape[0] - 1)
        return blocked | (self.logged[place] == key)

    def draw(self, user: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw one item for each entry of `user`; returns items int64 and bool "found", both of the shape of user.

        found is False where a user has no allowed item, or ROUNDS draws met none. Callers give such a row no weight.
        """
        item = torch.randint(self.n_items, user.shape, generator=generator)
        bad = self.forbidden(user, item)
        for _ in range(ROUNDS):
            if not bad.any():
                break
            item[bad] = torch.randint(self.n_items, (int(bad.sum()),), generator=generator)
            bad = self.forbidden(user, item)
        return item, ~bad
