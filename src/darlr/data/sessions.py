"""The sessions of a log with timestamps: a long gap between two events of a user ends one.

The gap is chosen from the data. The logarithms of gaps within and between sessions form two groups, which a mixture of
two normal distributions describes (Halfaker et al. 2015, "User session identification based on strong regularities in
inter-activity time"). A session ends at the gap at which the density of the mixture is lowest between the two.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import IntArray, InteractionLog, Mask
from darlr.errors import DataError

Floats = NDArray[np.float64]
FEW, MOST = 0.001, 0.95  # shares of the times between events that end a session, beyond which a gap is doubted
SOME = 100_000  # the most gaps that the mixture is fitted to; of more, evenly spread ones are taken
STEPS, GRID = 200, 400  # of the fit, and places at which the density is compared
TIMES = "--timestamp of `darlr data prepare table`, timestamp= of `darlr.read_events`"
DEPTH = 0.8  # a valley is at most this share of the lower of the two peaks


@dataclass(frozen=True)
class LogSessions:
    """The sessions of L events. All arrays are in the order of `order`: by user, then by time.

    order: int64 [L], places in the log. session: int64 [L], rising from 0. turn: int64 [L], the number of earlier
    events of the session. left: bool [L], whether the user left after the event. known: bool [L], whether that is
    known; it is not after the last event of a user whose log ends within one gap of the end of the whole log.
    gap: the longest time between two events of a session, in the unit of the log's timestamps.
    """

    order: IntArray
    session: IntArray
    turn: IntArray
    left: Mask
    known: Mask
    gap: float

    def __len__(self) -> int:
        """The number of sessions."""
        return int(self.session[-1]) + 1 if len(self.session) else 0


def sessions_of(log: InteractionLog, gap: float | None = None) -> LogSessions:
    """The sessions of a log. gap: see `LogSessions`; None chooses it from the data.

    Raises DataError for a log without timestamps or events, and where the data show no gap and none is given.
    """
    if log.timestamp is None or not len(log):
        what = "events" if log.timestamp is not None else "timestamps"
        raise DataError(
            f"{log.name}: sessions need {what}, and this log has none; name the column of times when the log is read "
            f"({TIMES}), or leave out what is learned from sessions (option session.exit)"
        )
    order, same, between = _in_order(log.user, log.timestamp)
    time = log.timestamp[order]
    if gap is None:
        gap = valley(between[same])
        if gap is None:
            raise DataError(
                f"{log.name}: the times between events of a user fall into no two groups, so that they show no "
                "sessions; say how long a gap ends a session, in the unit of the timestamps (option session.gap)"
            )
    starts = np.concatenate([[True], ~same | (between > gap)])
    session = np.cumsum(starts) - 1
    turn = np.arange(len(order)) - np.flatnonzero(starts)[session]
    left = np.concatenate([starts[1:], [True]])
    last = np.concatenate([~same, [True]])  # of the user
    return LogSessions(order, session, turn, left, ~(last & (time > time.max() - gap)), float(gap))


def _in_order(user: IntArray, time: IntArray) -> tuple[IntArray, Mask, IntArray]:
    """The order of events by user and time, [L], and of neighbours in it, [L - 1], whether both are of one user and the
    time between them. Equal times keep the order of the log.
    """
    order = np.lexsort((time, user))
    return order, np.diff(user[order]) == 0, np.diff(time[order])


def doubt(log: InteractionLog, gap: float | None) -> str:
    """What the times of a log with sessions say against a gap that is given, in one sentence; empty where nothing."""
    if log.timestamp is None or gap is None:
        return ""
    _, same, between = _in_order(log.user, log.timestamp)
    between = between[same]
    ending = (between > gap).mean() if len(between) else 0.5
    if FEW < ending < MOST:
        return ""
    what = "all events of a user one session" if ending <= FEW else "nearly each event a session of its own"
    own = valley(between)
    finds = "the times between events of a user fall into no two groups, so that they suggest none"
    finds = finds if own is None else f"the times between events of a user suggest {own:.3g}"
    return f"{log.name}: a session.gap of {gap:g} makes {what}; {finds}"


def valley(gaps: IntArray) -> float | None:
    """The gap at which the density of log gaps is lowest between two groups; None where there are no two groups.

    gaps: int64 [n], at least 0; gaps of 0 lie within sessions, and tell nothing.
    """
    x = np.sort(np.log(gaps[gaps > 0].astype(np.float64)))
    x = x[:: -(-len(x) // SOME)] if len(x) else x
    if len(x) < 4 or x[0] == x[-1]:
        return None
    share, mean, deviation = mixture(x)
    grid = np.linspace(float(mean.min()), float(mean.max()), GRID)
    density = normal(grid[:, None], mean, deviation) @ share
    lowest = int(density.argmin())
    gained = np.log(normal(x[:, None], mean, deviation) @ share).sum() - np.log(normal(x, x.mean(), x.std())).sum()
    one_group = gained < 1.5 * np.log(len(x))  # by the Bayesian information criterion, for 3 numbers more
    if one_group or density[lowest] > DEPTH * min(density[0], density[-1]):
        return None
    return float(np.exp(grid[lowest]))


def normal(x: Floats, mean: Floats | np.float64, deviation: Floats | np.float64) -> Floats:
    """The density of normal distributions; the arguments broadcast."""
    return np.asarray(np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi)))


def mixture(x: Floats) -> tuple[Floats, Floats, Floats]:
    """The shares, means and deviations [2] of two normal distributions, by expectation and maximisation from halves."""
    least = 1e-3 * (x.max() - x.min())
    first = (x < (x.min() + x.max()) / 2).astype(np.float64)
    belongs = np.stack([first, 1 - first], 1)
    for _ in range(STEPS):
        weight = belongs.sum(0).clip(1e-9)
        mean = (belongs * x[:, None]).sum(0) / weight
        deviation = np.sqrt((belongs * (x[:, None] - mean) ** 2).sum(0) / weight).clip(least)
        share = weight / weight.sum()
        density = share * normal(x[:, None], mean, deviation)
        before, belongs = belongs, density / density.sum(1, keepdims=True).clip(1e-300)
        if np.abs(belongs - before).max() < 1e-6:
            break
    return share, mean, deviation
