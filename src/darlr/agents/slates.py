"""Slates: the items that a user can be recommended where the catalogue is too large for a softmax over all of it.

A slate holds the best items by the estimate that the method starts from, items drawn at random, and what the log holds
of the user. It depends on the user and the seed alone, so that training, evaluation and serving have the same one, and
a softmax over it gives exact probabilities (docs/method.md, Readings).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.simulation.shortlist import GOLDEN, columns, mixed, once_each
from darlr.world.estimates import Estimate
from darlr.world.logged import Histories


@dataclass(frozen=True)
class Slate:
    """The slates of B users. items: in order of their codes, padded with I at the end. scores: their estimates."""

    items: Int[Tensor, "B S"]
    scores: Float[Tensor, "B S"]

    def known(self, n_items: int) -> Int[Tensor, "B S"]:
        """The items, with the last item of the catalogue in place of padding."""
        return self.items.clamp(max=n_items - 1)

    @property
    def parts(self) -> tuple[Tensor, Tensor]:
        """The items and their scores."""
        return self.items, self.scores

    def rows(self, rows: Tensor | slice) -> "Slate":
        """The slates of some of the users."""
        return Slate(self.items[rows], self.scores[rows])

    def columns(self, items: Int[Tensor, "B m"]) -> Int[Tensor, "B m"]:
        """The column of each item in its user's slate; -1 for items that the slate does not hold, and for -1."""
        return columns(self.items, items)


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
        best = self.estimate.best(user, min(self.best, n_items))
        parts = [best, self._drawn(user * 0 if self.alike else user) % n_items]
        if self.histories is not None:
            parts.append(self.histories.of(user, n_items))
        items = once_each(torch.cat(parts, 1), n_items)
        return Slate(items, self.estimate.rows(user, items.clamp(max=n_items - 1)))

    def _drawn(self, user: Tensor) -> Tensor:
        """Random numbers of each user, int64 [B, random], not negative."""
        place = torch.arange(self.random, device=user.device)
        return mixed((user[:, None] * self.random + place) * GOLDEN + self.seed)
