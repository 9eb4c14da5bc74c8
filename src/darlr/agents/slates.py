"""Slates: the items that a user can be recommended where the catalogue is too large for a softmax over all of it.

A slate holds the best items by the estimate that the method starts from, items drawn at random, and what the log holds
of the user. It depends on the user and the seed alone, so that training, evaluation and serving have the same one, and
a softmax over it gives exact probabilities (docs/method.md, Readings).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.world.estimates import Estimate
from darlr.world.tables import Histories

CELLS = 1 << 25  # estimates that are ranked in one batch


@dataclass(frozen=True)
class Slate:
    """The slates of B users. items: in order of their codes, padded with I at the end. scores: their estimates."""

    items: Int[Tensor, "B S"]
    scores: Float[Tensor, "B S"]

    def rows(self, rows: Tensor | slice) -> "Slate":
        """The slates of some of the users."""
        return Slate(self.items[rows], self.scores[rows])

    def columns(self, items: Int[Tensor, "B m"]) -> Int[Tensor, "B m"]:
        """The column of each item in its user's slate; -1 for items that the slate does not hold, and for -1."""
        place = torch.searchsorted(self.items, items.contiguous()).clamp(max=self.items.shape[1] - 1)
        return torch.where((self.items.gather(1, place) == items) & (items >= 0), place, -1)


class Slates:
    """Slates by user. The last ones are remembered, because the users of sessions change rarely."""

    def __init__(
        self,
        estimate: Estimate,
        best: int,
        random: int,
        histories: Histories | None,
        seed: int,
        alike: bool = False,
        remember: bool = True,
    ) -> None:
        """best, random: how many items of each kind. histories: what the log holds of each user.

        alike: whether all users have the same random items, as cold-start users do, whose codes say nothing. remember:
        whether the last slates are kept; where not, the rounding of a slate does not depend on earlier calls.
        """
        self.estimate, self.best, self.random, self.histories, self.seed = estimate, best, random, histories, seed
        self.alike, self.remember = alike, remember
        self._user: Tensor | None = None
        self._slate: Slate | None = None

    def of(self, user: Int[Tensor, " B"]) -> Slate:
        """The slates of users; those of rows whose user is the same as at the last call are not computed again."""
        if not self.remember:
            return self._made(user)
        if self._user is None or self._slate is None or self._user.shape != user.shape:
            self._slate = self._made(user)
        elif bool((changed := self._user != user).any()):
            items, scores = self._slate.items.clone(), self._slate.scores.clone()
            fresh = self._made(user[changed])
            items[changed], scores[changed] = fresh.items, fresh.scores
            self._slate = Slate(items, scores)
        self._user = user
        return self._slate

    def _made(self, user: Tensor) -> Slate:
        n_items = self.estimate.shape[1]
        best = [
            self.estimate.rows(part).topk(min(self.best, n_items), dim=1).indices
            for part in torch.split(user, max(1, CELLS // n_items))
        ]
        parts = [torch.cat(best), self._drawn(user * 0 if self.alike else user) % n_items]
        if self.histories is not None:
            parts.append(self.histories.of(user, n_items))
        items = torch.cat(parts, 1).sort(1).values
        items[:, 1:][items[:, 1:] == items[:, :-1]] = n_items
        items = items.sort(1).values
        return Slate(items, self.estimate.rows(user, items.clamp(max=n_items - 1)))

    def _drawn(self, user: Tensor) -> Tensor:
        """Random numbers of each user, int64 [B, random], not negative: SplitMix64 (Steele et al. 2014)."""
        place = torch.arange(self.random, device=user.device)
        x = (user[:, None] * self.random + place) * -7046029254386353131 + self.seed
        x = (x ^ (x >> 30 & (1 << 34) - 1)) * -4658895280553007687
        x = (x ^ (x >> 27 & (1 << 37) - 1)) * -7723592293110705685
        return (x ^ (x >> 31 & (1 << 33) - 1)) & (1 << 62) - 1
