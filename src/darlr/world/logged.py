"""The logged items of users, and how certain they make what is known of these users."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.options.agents import MOST_LOGGED
from darlr.world.belief import Belief

HELD = 1 << 24  # numbers of users' covariances up to which these are held: 64 MB


@dataclass(frozen=True)
class Histories:
    """The items that the log holds of each user u: items[start[u] : start[u + 1]], int32; start: int64 [U + 1]."""

    start: Tensor
    items: Tensor

    def one(self, user: int) -> Tensor:
        """The items of one user, int64 [n]."""
        return self.items[int(self.start[user]) : int(self.start[user + 1])].long()

    def of(self, user: Tensor, missing: int, most: int = MOST_LOGGED) -> Tensor:
        """At most the `most` first items of users int64 [B], padded with `missing`, int64 [B, most]."""
        if not len(self.items):  # no user has logged an item of the scope
            return torch.full((len(user), most), missing, device=user.device)
        first, last = self.start[user, None], self.start[user + 1, None]
        place = first + torch.arange(most, device=user.device)
        found = self.items[place.clamp(max=len(self.items) - 1)].long()
        return torch.where(place < last, found, missing)


def histories(log: InteractionLog) -> Histories:
    """The distinct items of each user of a log, in scope codes."""
    pairs = np.unique(log.user * log.n_items + log.item)
    start = np.searchsorted(pairs, np.arange(log.n_users + 1) * log.n_items)
    return Histories(torch.from_numpy(start), torch.from_numpy((pairs % log.n_items).astype(np.int32)))


@dataclass(frozen=True)
class Certainty:
    """The covariance of what is not known of a user of the log: theta, where the log's expectation is off by theta . x.

    Before any event theta is N(0, strength x unit^2 x I). An event on item i tells theta . x_i with noise of the
    variance unit^2 x noise_i (Rasmussen and Williams 2006, equation 2.8). The log's events have moved the expectation
    already, so that here they count for certainty alone, and their rewards are not read.

    noise: float32 [I]. logged: the items of the log's users; None for users who are in no log.
    """

    noise: Float[Tensor, " I"]
    logged: Histories | None = None

    @property
    def of_new_users(self) -> "Certainty":
        """That of users who are in no log."""
        return replace(self, logged=None)

    def preference(
        self,
        features: Float[Tensor, "I d"],
        strength: float,
        user: Int[Tensor, " B"],
        items: Int[Tensor, "B T"],
        surprise: Float[Tensor, "B T"],
    ) -> Float[Tensor, "B d"]:
        """The posterior mean of theta of users of the log, given the rewards of a session.

        features: x. items: -1 for none. surprise: the rewards less what the log lets expect.
        """
        there, known = items >= 0, items.clamp(min=0)
        x = features[known] * there[..., None]
        along = x if self.logged is None else x @ self._shrunk(features, strength, user)
        noise = torch.where(there, self.noise[known], 1.0)
        root, _ = torch.linalg.cholesky_ex(strength * x @ along.mT + torch.diag_embed(noise))
        weight = torch.cholesky_solve((surprise * there)[..., None], root)
        found: Tensor = strength * (along.mT @ weight).squeeze(-1)
        return found

    def _shrunk(self, features: Tensor, strength: float, user: Tensor) -> Float[Tensor, "B d d"]:
        """The covariance of theta given the log, in units of that of the prior."""
        assert self.logged is not None
        users, width = len(self.logged.start) - 1, features.shape[1]
        if users * width**2 > HELD:
            return self._given_log(features, strength, user)
        if not self._held:
            everybody = torch.arange(users, device=user.device)
            parts = torch.split(everybody, max(1, HELD // (8 * self._width * width)))
            self._held.append(torch.cat([self._given_log(features, strength, some) for some in parts]))
        return self._held[0][user]

    def _given_log(self, features: Tensor, strength: float, user: Tensor) -> Tensor:
        assert self.logged is not None
        items = self.logged.of(user, -1, self._width)
        known = items.clamp(min=0)
        told = features[known] * ((items >= 0) / self.noise[known].sqrt())[..., None]
        precision = torch.eye(features.shape[1], device=told.device) + strength * told.mT @ told
        return torch.cholesky_inverse(torch.linalg.cholesky_ex(precision)[0])

    @cached_property
    def _width(self) -> int:
        """The most items that are read of a user."""
        assert self.logged is not None
        return int(self.logged.start.diff().max().clamp(1, MOST_LOGGED))

    @cached_property
    def _held(self) -> list[Tensor]:
        """The covariances of all users, once they are known, where they are few."""
        return []


def certainty(belief: Belief, logged: Histories) -> tuple[Float[Tensor, "I d"], Certainty]:
    """The features of preferences and what the log says of them, from the belief about its users.

    The unit is the deviation of the mean answer, so that theta is in units of reward.
    """
    noise = belief.tempering * belief.noise
    unit = float(noise.mean()) ** 0.5
    return belief.factors / unit, Certainty(noise / unit**2, logged)
