"""The hazard of leaving: P(leave) after each item of a session, a logistic model of a few named features.

    logit P = constant + turn ln(t) + reward r + surprise (r - m_i) + [r < threshold] bad_k
              + repeat F + again [F > 0] + user a_u

t: the number of items of the session so far. r: the reward of the last item i. m_i: the mean reward of the item in the
log. k: the number of rewards below the threshold in the session so far, this one included and at most COUNTS. Patience
is thus a latent count: bad_k holds the chance that the k-th bad item ends it, given that the earlier ones did not. F:
how much the item repeats the categories of recent items (`darlr.simulation.fatigue`). a_u: the log of how much sooner
than others the user left other sessions; 0 for a new user.

`darlr.simulation.leaving` fits it to sessions of a log and judges it on others. Rewards are in the unit of learning.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.special import ndtr

from darlr.simulation.fatigue import Fatigue
from darlr.simulation.session import Session

COUNTS = 4  # bad items that are told apart; later ones count as the last of these
NODES = 4  # quantiles of the reward on either side of the threshold at which P(leave) is averaged
BAD = tuple(f"bad {k}" for k in range(1, COUNTS + 1))
NAMES = ("constant", "turn", "reward", "surprise", *BAD, "repeat", "again", "user")
STATIC = 2  # the first features, which no recommendation changes
OF_ITEM = [0, *range(STATIC, len(NAMES) - 1)]  # features of the item, and the constant


@dataclass(frozen=True)
class Hazard:
    """See above. weights: float32 [F], in the order of NAMES. threshold: the reward below which an item is bad.

    item_mean: m_i, float32 [I]. member: float32 [I, C], 1 where the item has the category; C is 0 without categories.
    recovery: of F. user: a_u, float32 [U].
    """

    weights: Float[Tensor, " F"]
    threshold: float
    item_mean: Float[Tensor, " I"]
    member: Float[Tensor, "I C"]
    recovery: float
    user: Float[Tensor, " U"]

    def at(
        self, session: Session, mean: Float[Tensor, "B I"], deviation: Float[Tensor, "B I"]
    ) -> tuple[Float[Tensor, "B I"], Float[Tensor, "B I"]]:
        """P(leave) after each item, whose reward is normal with this mean and deviation, and P(bad, and no leaving).

        The average over the reward is taken on either side of the threshold, at NODES quantiles of that side.
        """
        below = ndtr((self.threshold - mean) / deviation)
        level = self._level(session)[:, None] + self._of_items(session)
        jump = self._jump(self.bad(session))[:, None]
        bad = other = torch.zeros_like(mean)  # P(leave) after a bad item, and after another one
        for node in range(NODES):
            part = (node + 0.5) / NODES
            bad = bad + below / NODES * self._chance(level + jump, mean, deviation, part * below)
            share = below + part * (1 - below)
            other = other + (1 - below) / NODES * self._chance(level, mean, deviation, share)
        return bad + other, below - bad

    def _chance(self, level: Tensor, mean: Tensor, deviation: Tensor, share: Tensor) -> Tensor:
        """P(leave) where the reward is at these quantiles."""
        quantile = 2**0.5 * torch.erfinv(2 * share.clamp(1e-6, 1 - 1e-6) - 1)  # ndtri takes 7 times longer
        return torch.sigmoid(level + self._slope * (mean + deviation * quantile))

    def after(
        self, session: Session, item: Int[Tensor, " B"], reward: Float[Tensor, " B"], bad: Int[Tensor, " B"]
    ) -> Float[Tensor, " B"]:
        """P(leave) after these items with these rewards. session: before the items. bad: see `Hazard.bad`."""
        level = self._level(session) + self._of_items(session).gather(1, item[:, None]).squeeze(1)
        return torch.sigmoid(level + self._slope * reward + torch.where(reward < self.threshold, self._jump(bad), 0.0))

    def of_new_users(self) -> "Hazard":
        """The same for users who are in no log."""
        return replace(self, user=self.user[:0])

    @property
    def _slope(self) -> Tensor:
        return self.weights[2] + self.weights[3]

    def _level(self, session: Session) -> Float[Tensor, " B"]:
        turn = (session.turn + 1).float().log()
        known = self.user[session.user] if len(self.user) else torch.zeros_like(turn)
        return self.weights[0] + self.weights[1] * turn + self.weights[-1] * known

    def _of_items(self, session: Session) -> Float[Tensor, "B I"]:
        """The part of the logit that depends on the item and not on its reward, [B, I], or [1, I]."""
        part = -self.weights[3] * self.item_mean[None]
        if not self.member.shape[1]:
            return part.expand(len(session.user), -1)
        tired = Fatigue(self.member, self.recovery).of_all(session)
        return part + self.weights[-3] * tired + self.weights[-2] * (tired > 0)

    def bad(self, session: Session) -> Int[Tensor, " B"]:
        """The number of rewards below the threshold, at most COUNTS - 1."""
        return ((session.rewards < self.threshold) & (session.items >= 0)).sum(1).clamp(max=COUNTS - 1)

    def _jump(self, bad: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        """What a reward below the threshold adds after so many others."""
        first = STATIC + 2
        return self.weights[first : first + COUNTS][bad]
