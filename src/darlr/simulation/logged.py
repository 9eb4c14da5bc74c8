"""Logged sessions as the columns and features that models of leaving and of fatigue are fitted to."""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from darlr.data.item_features import hot
from darlr.data.log import IntArray, InteractionLog, Mask
from darlr.data.sessions import LogSessions
from darlr.simulation.fatigue import LAGS
from darlr.simulation.hazard import COUNTS, OF_ITEM

Floats = NDArray[np.float64]
ENOUGH = 100  # random events that a fit to them needs: ten for each number (Peduzzi et al. 1996)
THRESHOLDS = 256  # the most thresholds of rewards that are told apart
PATIENT, RATED = 10.0, 5.0  # events of the average user, and of the average item, that are joined with those of one


@dataclass(frozen=True)
class Events:
    """Events of sessions, by session and turn: the columns of which features are made, [L] each.

    surprise: the reward less the mean of the item's other rewards. shared: [L, LAGS], the number of categories that the
    item shares with the item of each lag. left: whether the user left after the event. random: whether the item was
    shown at random. unchosen: `shared` where both items were, and 0 elsewhere.
    """

    user: IntArray
    session: IntArray
    turn: IntArray
    reward: Floats
    surprise: Floats
    shared: Floats
    left: Mask
    random: Mask
    unchosen: Floats

    def where(self, kept: Mask) -> "Events":
        """Some of the events."""
        return Events(**{part.name: getattr(self, part.name)[kept] for part in fields(self)})

    def features(self, threshold: float, recovery: float, user: Floats) -> Floats:
        """The features of `darlr.simulation.hazard.NAMES`, [L, F]. user: a_u of each event."""
        bad = self.reward < threshold
        total = np.cumsum(bad)
        first = np.arange(len(bad)) - self.turn
        count = np.clip(total - total[first] + bad[first], 1, COUNTS)
        columns = [np.ones(len(bad)), np.log1p(self.turn), self.reward, self.surprise]
        columns += [bad & (count == k) for k in range(1, COUNTS + 1)]
        tired = self.tired(recovery)
        columns += [tired, tired > 0, user]
        return np.stack(columns, 1).astype(np.float64)

    def columns(self, threshold: float, recovery: float, user: Floats) -> Floats:
        """The features, and with random events a column more for each feature of an item, which holds its chosen part.

        The weights of the features are then those of what was shown at random: they explain it alone.
        """
        found = self.features(threshold, recovery, user)
        if not self.random.any():
            return found
        shown = replace(self, shared=self.unchosen).features(threshold, recovery, user)
        return np.hstack([found, (found - shown * self.random[:, None])[:, OF_ITEM]])

    def tired(self, recovery: float) -> Floats:
        """F of each event, [L]: `darlr.simulation.fatigue`."""
        return np.asarray(self.shared @ recovery ** np.arange(LAGS))

    @cached_property
    def thresholds(self) -> Floats:
        """Rewards that separate the logged ones, at most THRESHOLDS, rising."""
        values = np.unique(self.reward)
        middle = (values[1:] + values[:-1]) / 2
        return (
            np.unique(np.quantile(middle, np.linspace(0, 1, THRESHOLDS**2), method="nearest"))
            if len(middle)
            else middle
        )


@dataclass(frozen=True)
class Rates:
    """How often each user of some sessions left. left, count: float64 [U], after how many of how many events."""

    left: Floats
    count: Floats

    @staticmethod
    def of(events: Events, n_users: int) -> "Rates":
        """The rates of these events."""
        return Rates(
            *(np.bincount(events.user, weights, n_users).astype(np.float64) for weights in (events.left, None))
        )

    def users(self) -> Floats:
        """a_u of each user, [U]."""
        return self._effect(self.left, self.count)

    def others(self, events: Events) -> Floats:
        """a_u of each event by the user's other sessions, [L]."""
        size = np.bincount(events.session)[events.session]
        ended = np.bincount(events.session, events.left)[events.session]
        return self._effect(self.left[events.user] - ended, self.count[events.user] - size)

    def _effect(self, left: Floats, count: Floats) -> Floats:
        usual = max(self.left.sum(), 0.5) / max(self.count.sum(), 1.0)
        return np.asarray(np.log((left + PATIENT * usual) / (count + PATIENT) / usual))


def item_means(log: InteractionLog) -> Floats:
    """The mean reward of each item, joined with RATED events of the average item, [I]."""
    usual = float(log.reward.mean())
    total = np.bincount(log.item, log.reward - usual, log.n_items)
    return np.asarray(usual + total / (np.bincount(log.item, minlength=log.n_items) + RATED))


def members(log: InteractionLog) -> NDArray[np.float32]:
    """Which item has which category, as 0 and 1, [I, C]; C is 0 without categories."""
    codes = log.category_codes()
    return np.zeros((log.n_items, 0), np.float32) if codes is None else hot(codes).numpy()


def events_of(
    log: InteractionLog, found: LogSessions, rows: IntArray, mean: Floats, member: NDArray[np.float32]
) -> Events:
    """Whole sessions of a log. rows: int64 [L], the places of their events in `found`. mean, member: see above."""
    order, turn, session = found.order[rows], found.turn[rows], found.session[rows]
    random = np.zeros(len(rows), bool) if log.random is None else log.random[order]
    item, reward = log.item[order], log.reward[order].astype(np.float64)
    count = np.bincount(log.item, minlength=log.n_items)[item] + RATED
    surprise = (reward - mean[item]) * count / (count - 1)  # less the mean of the others
    shared, unchosen = np.zeros((2, len(item), LAGS))
    for lag in range(1, LAGS + 1):
        there = np.flatnonzero(turn >= lag)
        shared[there, lag - 1] = np.einsum("lc,lc->l", member[item[there]], member[item[there - lag]])
        unchosen[there, lag - 1] = shared[there, lag - 1] * (random[there] & random[there - lag])
    return Events(log.user[order], session, turn, reward, surprise, shared, found.left[rows], random, unchosen)
