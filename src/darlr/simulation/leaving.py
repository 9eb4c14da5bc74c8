"""The hazard of leaving, fitted to the sessions of a log and judged on sessions that the fit has not seen.

It is kept only where it surely predicts held-out sessions better than a hazard that no recommendation changes, which
knows the turn alone. Otherwise that one is used.

**Confounding.** Users choose much of what they log. Where a mood makes users both choose worse items and leave, the
hazard of the items is overstated. Items that were shown at random identify the effect. Where a log marks enough of
them, what a reward and a repeat do is fitted to them and judged on them, beside weights of their own for what users
chose; a repeat counts as random where both of its items were. The turn and the user share all events. The number of
earlier bad items stays that of all items, so that patience is not identified.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from darlr.data.log import IntArray, InteractionLog, Mask
from darlr.data.scope import scope_of
from darlr.data.sessions import sessions_of
from darlr.simulation.hazard import NAMES, OF_ITEM, STATIC, Hazard
from darlr.simulation.logged import ENOUGH, Events, Floats, Rates, events_of, item_means, members

HELD_OUT = 0.25  # share of the sessions on which the hazard is judged
PRIOR = 5.0  # standard deviation of the weights, so that they stay finite where a rule is certain
RECOVERIES = (0.3, 0.5, 0.7, 0.9)  # the values of F's recovery that are tried
EVENTS = 300_000  # about the most events of a fit
CLOSE = 0.01  # gain in log posterior at which a fit ends
F = TypeVar("F")
DRAWS = 1000  # resamples of users, for the interval
SPLIT = 0x1EA7  # seed of the held-out sessions, whatever the seeds of a run


@dataclass(frozen=True)
class AtRandom:
    """What events whose item was shown at random tell. ends: how many of them ended a session.

    effect: how much the log odds of leaving rise as their reward falls by one standard deviation, None where they are
    too few; plain: the same by a fit to all items alike.
    """

    ends: int
    effect: float | None = None
    plain: float | None = None

    def describe(self) -> str:
        """What was found, in one clause."""
        if self.effect is None:
            return f"; {self.ends} sessions end with a random item, too few to learn from them alone ({ENOUGH})"
        return (
            f"; learned from random items, of which {self.ends:,} end a session: their reward, one standard deviation "
            f"lower, raises the log odds of leaving by {self.effect:.2f} (by {self.plain:.2f} if what users chose "
            "counted, too)"
        )


@dataclass(frozen=True)
class Learned:
    """A fitted hazard and its judgement.

    gain: how much larger the mean log likelihood of a held-out session is than with the hazard that knows the turn
    alone, in nats; interval: 95%, over users. kept: whether the interval lies above 0. sessions: their number in the
    log. gap: see `darlr.data.sessions`. random: None where the log marks no random items; with enough of them, gain
    and interval are of random items alone.
    """

    hazard: Hazard
    gain: float
    interval: tuple[float, float]
    sessions: int
    gap: float
    random: AtRandom | None = None

    @property
    def kept(self) -> bool:
        """Whether the hazard is surely better than one that knows the turn alone."""
        return self.interval[0] > 0

    def describe(self) -> str:
        """What was found, in one or two clauses."""
        low, high = self.interval
        text = (
            f"leaving: the log has {self.sessions:,} sessions, which a gap of {self.gap:.3g} ends; what a session has "
            f"shown changes the log likelihood of a held-out session by {self.gain:+.3f} [{low:+.3f}, {high:+.3f}]"
        )
        text += "" if self.random is None else self.random.describe()
        return text if self.kept else f"{text}, which is no sure gain, so that the hazard knows the turn alone"


def fit_leaving(log: InteractionLog, gap: float | None, turns: int) -> Learned:
    """The hazard of the users of a log, with rewards in the unit of learning. turns: T, where sessions are cut.

    Raises DataError where the log shows no sessions (see `darlr.data.sessions.sessions_of`).
    """
    found = sessions_of(log, gap)
    generator = np.random.default_rng(SPLIT)
    mean, member = item_means(log), members(log)
    tried = generator.random(len(found)) < min(1.0, EVENTS / len(log))
    held = tried & (generator.random(len(found)) < HELD_OUT)
    rows = np.flatnonzero(tried[found.session])
    events, session = events_of(log, found, rows, mean, member), found.session[rows]
    inside = found.known[rows] & (events.turn < turns - 1)  # the last turn ends a session whatever the user felt
    events, session, random = events.where(inside), session[inside], None
    if log.random is not None:
        ends = np.bincount(events.left[events.random], minlength=2)
        random = AtRandom(int(ends[1]))
        events = events if ends.min() >= ENOUGH else alike(events)
    train, test = events.where(~held[session]), events.where(held[session])
    rates = Rates.of(train, log.n_users)
    own = rates.others(train)
    shape = _shape(train, own)
    weights, base = (_weights(train, *shape, own, changing=one) for one in (True, False))
    x, sign = test.features(*shape, rates.users()[test.user]), np.where(test.left, 1, -1)
    likelihood = [-np.logaddexp(0, -sign * (x @ w)) for w in (weights, base)]
    judged = test.random if events.random.any() else np.ones_like(test.left)
    gained = (likelihood[0] - likelihood[1])[judged]
    gain, interval = gain_of(gained, test.user[judged], test.session[judged], generator)
    rates = Rates.of(events, log.n_users)
    own = rates.others(events)
    if random is not None and events.random.any():
        fits = (events, events.random), (alike(events), np.ones_like(events.random))
        slopes = [_slope(one, _weights(one, *shape, own, changing=True), shape, own, at) for one, at in fits]
        random = AtRandom(random.ends, *(float(slope * events.reward[events.random].std()) for slope in slopes))
    last = _weights(events, *shape, own, changing=interval[0] > 0)
    users = rates.users()[scope_of(log).users]
    tensors = [torch.from_numpy(part.astype(np.float32)) for part in (last, mean, member, users)]
    hazard = Hazard(tensors[0], shape[0], tensors[1], tensors[2], shape[1], tensors[3])
    return Learned(hazard, gain, interval, len(found), found.gap, random)


def _slope(events: Events, weights: Floats, shape: tuple[float, float], user: Floats, at: Mask) -> float:
    """How much the log odds of leaving rise on average as the reward of these items falls by 1."""
    logit, reward = (events.features(*shape, user)[:, OF_ITEM] @ weights[OF_ITEM])[at], events.reward[at]
    return -float(np.cov(logit, reward)[0, 1] / reward.var(ddof=1))


def alike(events: Events) -> Events:
    """The events as if nobody knew which items were shown at random."""
    return replace(events, random=np.zeros_like(events.random))


_fits: dict[tuple[Any, ...], tuple[weakref.ref[InteractionLog], Any]] = {}


def kept_fit(fit: Callable[..., F], log: InteractionLog, *options: float | None) -> F:
    """`fit(log, *options)`, which is kept while the log is in memory, because many stages ask for it."""
    key = fit.__name__, id(log), *options
    if key not in _fits or _fits[key][0]() is not log:
        _fits[key] = weakref.ref(log, lambda _: _fits.pop(key, None)), fit(log, *options)
    found: F = _fits[key][1]
    return found


def learned_of(log: InteractionLog, gap: float | None, turns: int) -> Learned:
    """The same as `fit_leaving`, which is fitted once."""
    return kept_fit(fit_leaving, log, gap, turns)


def _shape(events: Events, user: Floats) -> tuple[float, float]:
    """The threshold and the recovery of the largest likelihood."""

    weights: Floats | None = None

    def likelihood(threshold: float, recovery: float) -> float:
        nonlocal weights  # of the last fit, from which the next one starts
        weights, found = logistic(events.columns(threshold, recovery, user), events.left, weights)
        return found

    threshold, recovery = -np.inf, RECOVERIES[len(RECOVERIES) // 2]
    tried = events.thresholds
    step = max(1, round(len(tried) ** 0.5))
    for stride in (step, 1):  # over all, then near the best
        place = int(np.searchsorted(tried, threshold))
        near = tried[::step] if stride == step else tried[max(0, place - step) : place + step + 1]
        threshold = max(near, key=lambda one: likelihood(one, recovery), default=threshold)
    if not events.shared.any():
        return float(threshold), recovery
    return float(threshold), max(RECOVERIES, key=lambda one: likelihood(threshold, one))


def _weights(events: Events, threshold: float, recovery: float, user: Floats, *, changing: bool) -> Floats:
    """The weights of the features; 0 where an item can change them, unless `changing`."""
    x = events.columns(threshold, recovery, user)
    # len(NAMES): the constant of chosen items
    some = [k for k in range(x.shape[1]) if changing or k < STATIC or k == len(NAMES)]
    found = np.zeros(x.shape[1])
    found[some] = logistic(x[:, some], events.left)[0]
    return found[: len(NAMES)]


def logistic(x: Floats, y: Mask, start: Floats | None = None, steps: int = 30) -> tuple[Floats, float]:
    """Weights [F] of the largest posterior under N(0, PRIOR^2), by Newton steps, and the log of that posterior."""
    weights, sign = np.zeros(x.shape[1]) if start is None else start, np.where(y, 1.0, -1.0)

    def value(w: Floats) -> float:
        return float(-np.logaddexp(0, -sign * (x @ w)).sum() - 0.5 * (w**2).sum() / PRIOR**2)

    best = value(weights)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(x @ weights)))
        slope = x.T @ (y - p) - weights / PRIOR**2
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + np.eye(len(weights)) / PRIOR**2, slope)
        sizes = (0.5**k for k in range(20))
        size = next((one for one in sizes if value(weights + one * step) > best), 0.0)
        weights, before = weights + size * step, best
        best = value(weights)
        if best - before < CLOSE:
            break
    return weights, best


def gain_of(
    gained: Floats, user: IntArray, session: IntArray, generator: np.random.Generator
) -> tuple[float, tuple[float, float]]:
    """The mean over sessions of summed gains [L], and its 95% interval over users, redrawn with replacement.

    session: rising.
    """
    users, place = np.unique(user, return_inverse=True)
    if len(users) < 2:
        return 0.0, (-np.inf, np.inf)
    total = np.bincount(place, gained)
    sessions = np.bincount(place[np.flatnonzero(np.diff(session, prepend=-1))], minlength=len(users))
    return float(total.sum() / sessions.sum()), ratio_interval(total, sessions, generator)


def ratio_interval(above: NDArray[Any], below: NDArray[Any], generator: np.random.Generator) -> tuple[float, float]:
    """The 95% interval of the sum of `above` over that of `below`, [U] each, over users redrawn with replacement."""
    weight = generator.multinomial(len(above), np.full(len(above), 1 / len(above)), DRAWS)
    low, high = np.quantile((weight @ above) / np.maximum(weight @ below, 1e-9), (0.025, 0.975))
    return float(low), float(high)
