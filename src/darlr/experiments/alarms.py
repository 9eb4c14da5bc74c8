"""Alarms: whether newer events are still those that a run was made for, from logs alone.

The reference are events that training never saw: those kept for evaluation and those that the last update left out.
Without any, the events that training saw stand in. On these a model errs less and predicts more boldly, so that larger
errors and moved predictions raise no alarm then.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from darlr.data.extend import extend
from darlr.data.log import InteractionLog
from darlr.data.profile_text import Finding
from darlr.data.split import select
from darlr.errors import DataError
from darlr.evaluation.drift import BINS, Adwin, Reals, stability_index
from darlr.evaluation.held_out import Interval
from darlr.evaluation.statistics import bootstrap_ratio, interval
from darlr.experiments.finished import FinishedRun
from darlr.experiments.growth import refuse_other

UNKNOWN, TWICE = 0.1, 2.0  # shares of unknown ids that are usual, and how much more than in the log itself is not
SHIFTED, MOVED = 0.25, 0.1  # stability index of an alarm, and of a note
BIAS = 0.1  # the smallest change of the mean error that matters, in standard deviations of rewards
WORSE = 1.2  # the smallest ratio of squared errors that matters
LEAST = 100  # events below which predictions are not judged
ANEW = "update the run, and compare; train anew where the update does not help"


@dataclass(frozen=True)
class Unknown:
    """Ids that the run does not know. share: of the new events. usual: of the last events of the run's own log that
    were the first of their id, None without times.
    """

    side: str
    ids: int
    share: float
    usual: float | None


@dataclass(frozen=True)
class Bin:
    """Events with similar predictions: the means of predictions and of rewards."""

    events: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Drift:
    """What newer events say about a run. Rewards are in the log's unit; intervals are over users.

    events: those that are new to the run, and known: of these, those of users and items that it knows. reference: the
    number of reference events; learned: whether training saw them. index: the population stability index of predicted
    rewards. bias: the change of the mean of reward less prediction. error: the ratio of squared errors, newer over
    reference. spread: the standard deviation of rewards. bins: calibration. change: after how many of the known events,
    in order of time, ADWIN found the residuals changed; None for never.
    """

    run: str
    source: str
    events: int
    known: int
    reference: int
    learned: bool
    unknown: tuple[Unknown, ...]
    index: float | None = None
    bias: Interval | None = None
    error: Interval | None = None
    spread: float = 1.0
    bins: tuple[Bin, ...] = ()
    change: int | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What calls for action, alarms first."""
        found = [*self._of_ids(), *self._of_predictions()]
        return tuple(sorted(found, key=lambda one: one.level != "warning"))

    @property
    def alarm(self) -> bool:
        """Whether a finding is an alarm."""
        return any(one.level == "warning" for one in self.findings)

    def _of_ids(self) -> list[Finding]:
        found = []
        for one in self.unknown:
            if one.share > max(UNKNOWN, TWICE * (one.usual or 0.0)):
                what = f"{one.share:.1%} of the events are of {one.side}s that the run does not know"
                means = f"{one.side}s without a history are served by features or means alone"
                if one.side == "item":
                    means = "these items cannot be recommended"
                found.append(Finding("warning", what, means, "update the run"))
        return found

    def _of_predictions(self) -> list[Finding]:
        found = []
        if self.index is None:
            what = f"only {self.known:,} events are of users and items that the run knows; {LEAST} are needed"
            return [Finding("note", what, "predictions were not judged", "check a longer period")]
        if self.index > MOVED:
            what = f"predicted rewards moved (population stability index {self.index:.2f})"
            means = "users come to other items than before, or other users come"
            alarm = self.index > SHIFTED and not self.learned
            do = "update the run" if alarm else "watch it"
            found.append(Finding("warning" if alarm else "note", what, means, do))
        sure = self.bias is not None and (self.bias.low > 0 or self.bias.high < 0)
        if self.bias is not None and sure and abs(self.bias.value) > BIAS * self.spread:
            what = f"rewards are {self.bias.value:+.3g} off what was predicted, compared with before"
            found.append(Finding("warning", what, "the level of rewards changed", "update the run"))
        if self.error is not None and self.error.low > 1 and self.error.value > WORSE and not self.learned:
            what = f"squared errors are {self.error.value:.2f} times those before"
            found.append(Finding("warning", what, "users' preferences changed, or the reward's meaning", ANEW))
        if self.change is not None:
            what = f"the residuals changed within the first {self.change:,} of the known events (ADWIN)"
            found.append(Finding("warning", what, "the world is not the one that the run learned from", ANEW))
        return found

    def __str__(self) -> str:
        seen = "that training learned from" if self.learned else "that training never saw"
        lines = [
            f"{self.source} against {self.run}: {self.events:,} new events, {self.known:,} of them of users and items "
            f"that the run knows; the reference are {self.reference:,} events {seen}",
        ]
        for one in self.unknown:
            usual = "" if one.usual is None else f"; the usual share is {one.usual:.1%}"
            lines.append(f"unknown {one.side}s: {one.ids:,}, with {one.share:.1%} of the events{usual}")
        if self.index is not None:
            lines.append(f"predicted rewards: population stability index {self.index:.3f}")
        for name, part in (("change of the mean error", self.bias), ("ratio of squared errors", self.error)):
            if part is not None:
                lines.append(f"{name}: {part.value:.3g} [{part.low:.3g}, {part.high:.3g}]")
        if self.bins:
            lines.append("predicted | observed, by tenths of the predictions: ")
            lines[-1] += ", ".join(f"{one.predicted:.3g} | {one.observed:.3g}" for one in self.bins)
        if self.index is not None:
            lines.append(
                f"residuals: {'no change' if self.change is None else f'change within {self.change:,} events'}"
            )
        told = "ALARM" if self.alarm else "no alarm"
        return "\n".join([*lines, "", *map(str, self.findings), f"verdict: {told}"])

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"findings": [asdict(one) for one in self.findings], "alarm": self.alarm}


def check_against(run: FinishedRun, source: InteractionLog, gate: InteractionLog | None, new: InteractionLog) -> Drift:
    """Compare newer events with those that a run was made for.

    source, gate: its log and what its own update left out (`darlr.experiments.update.source_of`). new: in the log's
    unit. Raises DataError where the events do not fit the log (`darlr.experiments.growth`), or none is new to it.
    """
    refuse_other(source, new)
    before = source if gate is None else extend(source, gate)
    added = _in_time(select(longer := extend(before, new), np.arange(len(before), len(longer))))
    if not len(added):
        raise DataError(f"{new.name}: no event is new to the run, so that there is nothing to check")
    parts = [_known(run, part) for part in (run.logs.kept, gate) if part is not None]
    learned = sum(map(len, parts)) < LEAST
    reference = _in_time(_joined([_known(run, run.logs.recorded)] if learned else parts))
    known = _known(run, added)
    unknown = tuple(_unknown(before, added, side) for side in ("user", "item"))
    plain = Drift(run.name, new.name, len(added), len(known), len(reference), learned, unknown)
    return plain if min(len(known), len(reference)) < LEAST else _judged(run, plain, reference, known)


def _judged(run: FinishedRun, plain: Drift, reference: InteractionLog, known: InteractionLog) -> Drift:
    """Judge predictions. reference, known: events in order of time, in scope codes and the log's unit."""
    old, new = (run.predicted(events) for events in (reference, known))
    before, after = reference.reward - old, known.reward - new
    low, high = run.logs.recorded.reward_range
    window = Adwin(high - low)
    window.add(before)
    cuts = window.add(after)
    found = replace(plain, index=stability_index(old, new), change=cuts[0] if cuts else None)
    if run.logs.whole.implicit:  # predictions are no mean rewards where only positives are logged
        return found
    tenth = np.searchsorted(np.unique(np.quantile(old, np.arange(1, BINS) / BINS)), new, side="right")
    rows = [tenth == one for one in np.unique(tenth)]
    bins = [Bin(int(row.sum()), float(new[row].mean()), float(known.reward[row].mean())) for row in rows]
    (bias, biases), (bias0, biases0) = _mean(after, known), _mean(before, reference)
    (error, errors), (error0, errors0) = _mean(after**2, known), _mean(before**2, reference)
    return replace(
        found,
        bias=Interval(bias - bias0, *interval(biases - biases0)),
        error=Interval(error / max(error0, 1e-12), *interval(errors / np.maximum(errors0, 1e-12))),
        spread=float(np.std(reference.reward)) or 1.0,
        bins=tuple(bins),
    )


def _mean(values: Reals, events: InteractionLog) -> tuple[float, Reals]:
    """The mean of a value for each event, and its bootstrap draws over users, [resamples]."""
    row = np.unique(events.user, return_inverse=True)[1]
    total, count = (np.bincount(row, part).astype(np.float64) for part in (values, np.ones(len(row))))
    draws = bootstrap_ratio(total, count, generator=np.random.default_rng(len(events)))
    return float(values.mean()), draws.ravel()


def _joined(parts: Sequence[InteractionLog]) -> InteractionLog:
    """The events of all, with the ids of the first."""
    arrays = {name: [getattr(part, name) for part in parts] for name in ("user", "item", "reward", "timestamp")}
    joined: dict[str, Any] = {
        name: None if any(one is None for one in some) else np.concatenate(some) for name, some in arrays.items()
    }
    return replace(parts[0], **joined, propensity=None, random=None, parts=())


def _known(run: FinishedRun, events: InteractionLog) -> InteractionLog:
    """The events of users and items that the run knows, in scope codes."""
    scope = run.logs.scope
    some = select(events, np.isin(events.user, scope.users) & np.isin(events.item, scope.items))
    codes = np.searchsorted(scope.users, some.user), np.searchsorted(scope.items, some.item)
    return replace(some, user=codes[0], item=codes[1])


def _in_time(log: InteractionLog) -> InteractionLog:
    """The events in order of time, or as they are without times."""
    return log if log.timestamp is None else select(log, np.argsort(log.timestamp, kind="stable"))


def _unknown(before: InteractionLog, added: InteractionLog, side: str) -> Unknown:
    """The ids of one side that are new. before: the events that the run knows."""
    codes, usual = getattr(added, side), None
    new = codes >= getattr(before, f"n_{side}s")
    if before.timestamp is not None:
        own, last = getattr(_in_time(before), side), min(len(added), len(before) // 10)
        usual = float((~np.isin(own[len(own) - last :], own[: len(own) - last])).mean()) if last else None
    return Unknown(side, len(np.unique(codes[new])), float(new.mean()), usual)
