"""Fatigue that a log teaches: how much a reward falls where the session has shown its categories.

    r = user + item + (user, category) + order - strength F + noise

with F of `darlr.simulation.fatigue`. The order is how many items, and how many of the category, the user has logged
before. Effects are shrunk to 0. It is kept only where it surely predicts held-out sessions better than the same model
without F, and rewards fall.

**Confounding.** Users return to what they like, which understates the fall, and take what they like most first, which
overstates it. The effects of (user, category) and of the order remove what is stable of this. Only items that were
shown at random remove all of it. Where a log marks enough of them, the strength is that of random items which repeat
random items, beside a strength of its own for all other repeats, and it is judged on random items.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from darlr.data.log import IntArray, InteractionLog, Mask
from darlr.data.sessions import sessions_of
from darlr.options import SessionConfig
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.leaving import HELD_OUT, RECOVERIES, SPLIT, gain_of, kept_fit, ratio_interval
from darlr.simulation.logged import ENOUGH, RATED, Floats, events_of, item_means, members

ROUNDS = 10  # of fitting the effects in turn


@dataclass(frozen=True)
class LearnedFatigue:
    """The fatigue and its judgement. fatigue: in the unit of learning. strength: the 95% interval of its strength.

    gain: how much larger the mean log likelihood of a held-out session is than without F, in nats; interval: its 95%
    interval, over users. random: how many random items repeat random ones, None where the log marks none; the strength
    is theirs where they are ENOUGH. plain: the strength by a fit to all items alike.
    """

    fatigue: Fatigue
    strength: tuple[float, float]
    gain: float
    interval: tuple[float, float]
    random: int | None = None
    plain: float = 0.0

    @property
    def kept(self) -> bool:
        """Whether rewards surely fall."""
        return self.interval[0] > 0 and self.fatigue.strength > 0

    def describe(self) -> str:
        """What was found, in one or two clauses."""
        low, high = self.strength
        text = (
            f"fatigue: a reward falls by {self.fatigue.strength:.3f} [{low:.3f}, {high:.3f}] for each category that "
            f"the last item shares, which changes the log likelihood of a held-out session by {self.gain:+.3f} "
            f"[{self.interval[0]:+.3f}, {self.interval[1]:+.3f}]"
        )
        if self.random is not None and self.random >= ENOUGH:
            text += (
                f"; learned from {self.random:,} random items that repeat random ones (all together: {self.plain:.3f})"
            )
        elif self.random is not None:
            text += f"; {self.random} random items repeat random ones, too few to learn from them alone ({ENOUGH})"
        return text if self.kept else f"{text}, which is no sure gain, so that rewards do not fall"


def fit_fatigue(log: InteractionLog, gap: float | None) -> LearnedFatigue:
    """The fatigue of the users of a log, with rewards in the unit of learning.

    Raises DataError where the log shows no sessions (see `darlr.data.sessions.sessions_of`).
    """
    found, member = sessions_of(log, gap), members(log)
    generator = np.random.default_rng(SPLIT)
    events = events_of(log, found, np.arange(len(log)), item_means(log), member)
    held = (generator.random(len(found)) < HELD_OUT)[found.session]
    item = log.item[found.order]
    first = member.argmax(1)[item] if member.shape[1] else np.zeros_like(item)
    pair = np.unique(events.user * (int(first.max()) + 1) + first, return_inverse=True)[1]
    groups = [events.user, item, pair, _earlier(pair), _earlier(events.user)]
    alone = events.unchosen.any(1)
    judged = held & (events.random if alone.sum() >= ENOUGH else True)

    def parts(recovery: float, used: Mask) -> tuple[Floats, Floats]:
        """The reward and F, without what repeats of chosen items explain of either (Frisch and Waugh)."""
        reward, tired = events.reward, events.tired(recovery)
        if alone.sum() < ENOUGH:
            return reward, tired
        rest = replace(events, shared=events.shared - events.unchosen).tired(recovery)
        first, second = (y + _fit(y, rest, groups, used)[0] * rest for y in (reward, tired - rest))
        return first, second

    recovery = min(RECOVERIES, key=lambda one: _fit(*parts(one, ~held), groups, ~held)[1])
    reward, tired = parts(recovery, ~held)
    squared = [_errors(reward, tired * used, groups, ~held)[judged] ** 2 for used in (1.0, 0.0)]
    gained = (squared[1] - squared[0]) / (2 * max(float(squared[1].mean()), 1e-9))
    gain, interval = gain_of(gained, events.user[judged], events.session[judged], generator)
    everything = np.ones_like(held)
    reward, tired = parts(recovery, everything)
    strength = _fit(reward, tired, groups, everything)[0]
    low, high = _bootstrap(reward, tired, groups, generator)
    fatigue = Fatigue(torch.from_numpy(member), recovery, strength, log.reward_range[0])
    plain = _fit(events.reward, events.tired(recovery), groups, everything)[0] if alone.any() else strength
    random = None if log.random is None else int(alone.sum())
    return LearnedFatigue(fatigue, (low, high), gain, interval, random, plain)


def learned_fatigue(log: InteractionLog, session: SessionConfig) -> Fatigue | None:
    """The fatigue that the options ask for; None where they do not, and where no fall of rewards is sure."""
    if session.fatigue == "none":
        return None
    found = kept_fit(fit_fatigue, log, session.gap)
    return found.fatigue if found.kept else None


def _earlier(group: IntArray) -> IntArray:
    """How many earlier events each event's group has, in classes that double in width; groups may lie apart."""
    order = np.argsort(group, kind="stable")
    size = np.bincount(group)
    place = np.empty(len(group), dtype=np.int64)
    place[order] = np.arange(len(group)) - (np.cumsum(size) - size)[group[order]]
    return np.asarray(np.log2(place + 1) * 2, dtype=np.int64)


def effects(y: Floats, groups: Sequence[IntArray], used: Mask) -> Floats:
    """The sum of the shrunken effects of each event's groups, [L], fitted in turn to some of the events."""
    found = [np.zeros(int(group.max()) + 1) for group in groups]
    counts = [np.bincount(group[used], minlength=len(one)) + RATED for group, one in zip(groups, found, strict=True)]
    total = np.zeros(len(y))
    for _ in range(ROUNDS):
        for k, group in enumerate(groups):
            rest = y - (total - found[k][group])
            before, found[k] = found[k], np.bincount(group[used], rest[used], len(found[k])) / counts[k]
            total += (found[k] - before)[group]
    return total


def _parts(reward: Floats, tired: Floats, groups: Sequence[IntArray], used: Mask) -> tuple[Floats, Floats]:
    """What events add to the numerator and the denominator of the strength (Frisch and Waugh), [L] each."""
    centred = reward - reward[used].mean()
    rest = [y - effects(y, groups, used) for y in (centred, tired)]
    return -tired * rest[0] * used, tired * rest[1] * used


def _fit(reward: Floats, tired: Floats, groups: Sequence[IntArray], used: Mask) -> tuple[float, float]:
    """The strength, and the sum of squares that it leaves."""
    above, below = (float(part.sum()) for part in _parts(reward, tired, groups, used))
    strength = above / below if below > 1e-9 else 0.0
    return strength, -strength * above


def _errors(reward: Floats, tired: Floats, groups: Sequence[IntArray], used: Mask) -> Floats:
    """The errors of all events, of a fit to some."""
    rested = reward + _fit(reward, tired, groups, used)[0] * tired
    middle = rested[used].mean()
    return np.asarray(rested - middle - effects(rested - middle, groups, used))


def _bootstrap(
    reward: Floats, tired: Floats, groups: Sequence[IntArray], generator: np.random.Generator
) -> tuple[float, float]:
    """The 95% interval of the strength, over users, who are redrawn with replacement."""
    above, below = (np.bincount(groups[0], part) for part in _parts(reward, tired, groups, np.ones(len(reward), bool)))
    return ratio_interval(above, below, generator)
