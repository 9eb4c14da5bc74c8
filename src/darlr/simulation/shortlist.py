"""How short lists are made: see `darlr.simulation.policy.Short`."""

from collections.abc import Callable

import torch
from torch import Tensor

from darlr.world.best import largest

GOLDEN = -7046029254386353131  # the step of SplitMix64


def columns(items: Tensor, wanted: Tensor) -> Tensor:
    """The column of each wanted item int64 [B, m] in the sorted items of its row [B, S]; -1 where it is not there."""
    place = torch.searchsorted(items, wanted.contiguous()).clamp(max=items.shape[1] - 1)
    return torch.where((items.gather(1, place) == wanted) & (wanted >= 0), place, -1)


def best_items(scores: Tensor, count: int) -> Tensor:
    """The `count` best items of each row [B, I], in order of their codes, int64 [B, count]; ties go to the lowest."""
    items = largest(scores, count).sort(1).values
    least = scores.gather(1, items).amin(1, keepdim=True)
    tied = ((scores >= least).sum(1) > count).nonzero().squeeze(1)
    if len(tied):
        above, level = scores[tied] > least[tied], scores[tied] == least[tied]
        level &= level.cumsum(1, dtype=torch.int32) <= count - above.sum(1, keepdim=True)
        items[tied] = (above | level).nonzero()[:, 1].view(-1, count)
    return items


def mixed(x: Tensor) -> Tensor:
    """Random numbers from int64, at least 0: SplitMix64 (Steele et al. 2014)."""
    x = (x ^ (x >> 30 & (1 << 34) - 1)) * -4658895280553007687
    x = (x ^ (x >> 27 & (1 << 37) - 1)) * -7723592293110705685
    return (x ^ (x >> 31 & (1 << 33) - 1)) & (1 << 62) - 1


def once_each(items: Tensor, n_items: int) -> Tensor:
    """The items of each row in order, without those that occur before, padded with n_items; int64 [B, S]."""
    items = items.sort(1).values
    items[:, 1:][items[:, 1:] == items[:, :-1]] = n_items
    return items.sort(1).values


KEPT = 1 << 14  # users whose rows are kept


class ByUser:
    """Tensors with a row for each user, which are computed when the user is first asked for, and kept for a while."""

    def __init__(self, users: int, compute: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        """compute: the rows of distinct users int64 [n]."""
        self._place = torch.full((users,), -1)
        self._compute = compute
        self._kept: tuple[Tensor, ...] = ()

    def of(self, user: Tensor) -> tuple[Tensor, ...]:
        """The rows of users int64 [B], which may repeat."""
        self._place = self._place.to(user.device)
        new = torch.unique(user[self._place[user] < 0])
        if self._kept and len(self._kept[0]) + len(new) > KEPT:
            self._place.fill_(-1)
            self._kept, new = (), torch.unique(user)
        if len(new):
            found = self._compute(new)
            before = len(self._kept[0]) if self._kept else 0
            pairs = zip(self._kept, found, strict=True)
            self._kept = tuple(torch.cat(pair) for pair in pairs) if self._kept else found
            self._place[new] = torch.arange(before, before + len(new), device=new.device)
        return tuple(part[self._place[user]] for part in self._kept)
