"""How much the answers of a new user count, and how wide predictions are: chosen on held-out events of the log.

The posterior of the log's users explains their own events too well. It was fitted to them, and its factors hold part
of what a new user's answers have as noise. A belief with that noise follows the answers too far. Therefore the users of
the log are treated as new: their training events are answers, and their held-out events are predicted. The tempering of
answers that predicts these best is taken.

Rewards are clipped to their range, and ratings are rounded. They vary less than the normal variable behind them, and a
normal distribution that is fitted to them covers them too rarely. Events are therefore intervals of that variable
(Tobin 1958, "Estimation of relationships for limited dependent variables"), and all variances get the factor under
which these intervals are most likely after no, some and all answers. It moves no posterior mean.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.histories import last_events
from darlr.data.log import InteractionLog
from darlr.data.split import select
from darlr.world.belief import Belief

TEMPERINGS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)  # candidates
SPREADS = tuple(1.1**k for k in range(-4, 13))  # candidates for the factor of all variances
ANSWERS = (0, 1, 5, 64)  # the most answers after which events are predicted
USERS, EVENTS = 1000, 4096  # users and predicted events, at most
FEW = 50  # held-out events below which nothing is chosen
VALUES = 20  # the most different rewards that are taken for ratings, and rounded
FINE = 1e-3  # of the range of rewards: half the width of a reward that is not rounded


@dataclass(frozen=True)
class Answers:
    """tempering: see `Belief`. spread: the factor of all its variances. known: the same for users of the log."""

    tempering: float = 1.0
    spread: float = 1.0
    known: float = 1.0

    def of(self, belief: Belief) -> Belief:
        """The belief with these factors."""
        return Belief(belief.mean, belief.factors * self.spread**0.5, belief.noise * self.spread, self.tempering)


@dataclass(frozen=True)
class Cells:
    """The intervals of a normal variable behind rewards. values: the different rewards of ratings, rising, or none."""

    values: NDArray[np.float64]
    low: float
    high: float

    def of(self, reward: Float[Tensor, " L"]) -> tuple[Float[Tensor, " L"], Float[Tensor, " L"]]:
        """The ends of each reward's interval, float64; infinite beyond the ends of the range."""
        reward = reward.double()
        if len(self.values):
            middles = torch.from_numpy((self.values[1:] + self.values[:-1]) / 2)
            ends = torch.cat([middles.new_tensor([-torch.inf]), middles, middles.new_tensor([torch.inf])])
            place = torch.bucketize(reward, middles)
            return ends[place], ends[place + 1]
        width = FINE * (self.high - self.low)
        below = torch.where(reward <= self.low, -torch.inf, reward - width)
        return below, torch.where(reward >= self.high, torch.inf, reward + width)


def cells_of(log: InteractionLog) -> Cells:
    """The intervals of the rewards of a log."""
    values = np.unique(log.reward.astype(np.float64))
    return Cells(values if len(values) <= VALUES else values[:0], *log.reward_range)


def between(ends: tuple[Tensor, Tensor], mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities below the lower and below the upper end of each interval, of a normal variable."""
    below, above = (torch.special.ndtr((end - mean.double()) / deviation.double()) for end in ends)
    return below, above


def likelihood(ends: tuple[Tensor, Tensor], mean: Tensor, variance: Tensor) -> float:
    """The mean log probability of intervals of a normal variable."""
    below, above = between(ends, mean, variance.sqrt())
    return float((above - below).clamp(min=1e-12).log().mean())


def widest(ends: tuple[Tensor, Tensor], mean: Tensor, variance: Tensor) -> float:
    """The factor of the variances under which the intervals are most likely."""
    return max(SPREADS, key=lambda spread: likelihood(ends, mean, variance * spread))


def choose(belief: Belief, known: InteractionLog, held_out: InteractionLog) -> Answers:
    """The tempering and the spread for which held-out events are predicted best, from the users' events in `known`.

    Both logs are in the codes of the belief's items. With less than FEW held-out events nothing is chosen.
    """
    users = np.unique(held_out.user)
    users = users[:: -(-len(users) // USERS)] if len(users) else users
    chosen = np.flatnonzero(np.isin(held_out.user, users))
    chosen = chosen[:: -(-len(chosen) // EVENTS)] if len(chosen) else chosen
    if len(chosen) < FEW:
        return Answers()
    items, rewards = last_events(select(known, np.isin(known.user, users)), ANSWERS[-1])
    items, rewards = items[users], rewards[users]
    row = torch.from_numpy(np.searchsorted(users, held_out.user[chosen]))
    item, reward = (torch.from_numpy(column[chosen]) for column in (held_out.item, held_out.reward))

    ends = cells_of(known).of(reward)
    cells = ends[0].repeat(len(ANSWERS)), ends[1].repeat(len(ANSWERS))

    def predicted(tempering: float, most: int) -> tuple[Tensor, Tensor]:
        first = max(items.shape[1] - most, 0)
        return Answers(tempering).of(belief).given(items[:, first:], rewards[:, first:]).of_items(row, item)

    def error(tempering: float) -> float:
        return float((predicted(tempering, ANSWERS[-1])[0] - reward).square().mean())

    tempering = min(TEMPERINGS, key=error)
    mean, variance = (torch.cat(parts) for parts in zip(*(predicted(tempering, n) for n in ANSWERS), strict=True))
    return Answers(tempering, widest(cells, mean, variance))
