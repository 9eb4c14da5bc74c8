"""True rewards that are computed on demand, where a table of the users and items of a truth would be too large."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from darlr.data.sets.synthetic import RANGE, pair_rewards, rewards
from darlr.world.views import OfSides


@dataclass(frozen=True)
class TrueRewards(OfSides):
    """The expected rewards of the built-in world, from its factors of users, float32 [Ue, d], and items, [Ie, d]."""

    users: Float[Tensor, "Ue d"]
    items: Float[Tensor, "Ie d"]

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """The rewards of pairs: the same bits as in rows."""
        user, item = torch.broadcast_tensors(user, item)  # type: ignore[no-untyped-call]
        codes = (part.flatten().cpu().numpy() for part in (user, item))
        factors = (part.cpu().numpy() for part in (self.users, self.items))
        return torch.from_numpy(pair_rewards(*factors, *codes)).to(self.device).view(user.shape)

    def rows(self, user: Tensor, items: Tensor | None = None) -> Tensor:
        """The rewards of each user's own items, or of all items."""
        if items is not None:
            return super().rows(user, items)
        factors = (part.cpu().numpy() for part in (self.users[user], self.items))
        return torch.from_numpy(rewards(*factors)).to(self.device)

    def bounds(self) -> tuple[float, float]:
        """The range of the rewards of the built-in world."""
        return RANGE
