"""The behaviour-entropy table of DORL (method.md section 3; arXiv 2307.04571)."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog


@dataclass(frozen=True)
class EntropyTable:
    """The normalised entropy of the next logged item after one item, and after an unordered pair of items.

    single: float32 [I]. pair_keys: int64 [P], min * I + max of the two items, in ascending order. pair_values:
    float32 [P].
    """

    single: Tensor
    pair_keys: Tensor
    pair_values: Tensor

    def lookup(self, last: Tensor, action: Tensor) -> Tensor:
        """E_t = H({a_t}) + H({a_t, a_t-1}), float32 [B] from 0 to 2. The entropy after an unlogged pair counts as 1.

        last: int64 [B], the item of the turn before, -1 at the first turn. action: int64 [B].
        """
        single = self.single[action]
        if self.pair_keys.shape[0] == 0:
            return single + 1.0
        key = torch.minimum(last, action) * self.single.shape[0] + torch.maximum(last, action)
        place = torch.searchsorted(self.pair_keys, key).clamp(max=self.pair_keys.shape[0] - 1)
        found = (self.pair_keys[place] == key) & (last >= 0)
        return single + torch.where(found, self.pair_values[place], 1.0)

    def floor(self) -> float:
        """A lower bound of `lookup`."""
        pairs = torch.cat([self.pair_values, self.single.new_ones(1)])
        return float(self.single.min() + pairs.min())


def build_entropy(log: InteractionLog) -> EntropyTable:
    """The table of successors in each user's events by time; all ones, and no pairs, for a log without timestamps."""
    n = log.n_items
    single = np.ones(n, dtype=np.float32)
    if log.timestamp is None or len(log) == 0:
        empty = torch.zeros(0, dtype=torch.int64)
        return EntropyTable(torch.from_numpy(single), empty, torch.zeros(0))
    order = np.lexsort((log.timestamp, log.user))  # events of equal times keep the order of the log
    user, item = log.user[order], log.item[order]
    follows = user[1:] == user[:-1]
    keys, values = _normalised_entropy(item[:-1][follows], item[1:][follows], n)
    single[keys] = values
    both = follows[1:] & follows[:-1]
    low, high = np.minimum(item[:-2], item[1:-1])[both], np.maximum(item[:-2], item[1:-1])[both]
    keys, values = _normalised_entropy(low * n + high, item[2:][both], n)
    return EntropyTable(torch.from_numpy(single), torch.from_numpy(keys), torch.from_numpy(values))


def _normalised_entropy(
    key: NDArray[np.int64], successor: NDArray[np.int64], n_items: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The keys in order, and the entropy of their successors in units of log2 of their number, 1 where it is one."""
    pairs, count = np.unique(key * n_items + successor, return_counts=True)  # a key is below I^2, so that I^3 must fit
    keys, group = np.unique(pairs // n_items, return_inverse=True)
    total, distinct = np.bincount(group, count), np.bincount(group)
    share = count / total[group]
    entropy = np.bincount(group, -share * np.log2(share), minlength=len(keys))
    value = np.where(distinct > 1, entropy / np.log2(np.maximum(distinct, 2)), 1.0)
    return keys.astype(np.int64), value.astype(np.float32)
