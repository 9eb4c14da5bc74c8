"""New events for a run: they are read as its log was, checked against it, and added without recoding."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from darlr.data.extend import extend
from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.split import select
from darlr.errors import DataError
from darlr.options import ColumnsConfig
from darlr.options.json import from_json, to_json


@dataclass(frozen=True)
class Growth:
    """The longer log of an update.

    log: the events to learn from, those of the earlier run first. gate: the newest events, which are not learned from;
    both have the same ids. report: what was added and left out.
    """

    log: InteractionLog
    gate: InteractionLog
    report: PrepareReport

    @property
    def added(self) -> int:
        """The number of events that are new to learning."""
        return len(self.log) - self.log.parts[-1]


def grow(source: InteractionLog, gate: InteractionLog | None, new: InteractionLog, share: float) -> Growth:
    """Add new events to the log of a run.

    source: its log, as it was read. gate: the events that its own last update did not learn from, None if it is none.
    share: of the events that are new to learning, the latest so many become the next gate. Without times these are the
    last rows. Raises DataError where the events do not fit the log, or none is new.
    """
    refuse_other(source, new)
    longer = extend(source if gate is None else extend(source, gate), new)
    assert longer.report is not None
    first = len(source)
    order = np.arange(first, len(longer))
    if longer.timestamp is not None:
        order = order[np.argsort(longer.timestamp[first:], kind="stable")]
    count = max(1, round(share * len(order)))
    if len(order) < 2 or longer.report.rows_kept == 0:
        raise DataError(f"{new.name}: no event is new to the log, so that there is nothing to learn; {longer.report}")
    learned = np.sort(order[:-count])
    log = select(longer, np.concatenate([np.arange(first), learned]))
    columns = None if source.report is None else source.report.columns
    log = replace(log, parts=(*source.parts, first), report=replace(longer.report, columns=columns))
    return Growth(log, select(longer, np.sort(order[-count:])), longer.report)


def refuse_other(log: InteractionLog, new: InteractionLog) -> None:
    """Raise DataError where new events have other features than the log, or rewards outside its range."""
    _refuse_other_features(log, new)
    _refuse_other_rewards(log, new)


def _refuse_other_features(log: InteractionLog, new: InteractionLog) -> None:
    """Raise DataError where features are given, and are not those of the log."""
    for side in ("user", "item"):
        known, given = ([one.name for one in getattr(each, f"{side}_features")] for each in (log, new))
        if given and set(given) != set(known):
            more = [name for name in given if name not in known]
            less = [name for name in known if name not in given]
            found = [f"{what}: {', '.join(names)}" for what, names in (("new", more), ("missing", less)) if names]
            raise DataError(
                f"{new.name}: the features of {side}s are not those of the run's log ({'; '.join(found)}); give the "
                "same columns, leave the file out, or train anew"
            )


def _refuse_other_rewards(log: InteractionLog, new: InteractionLog) -> None:
    """Raise DataError where a reward is outside the range of the log, or the log has positives alone and `new` not."""
    (low, high), least, most = log.reward_range, float(new.reward.min()), float(new.reward.max())
    slack = 1e-6 * (high - low)
    if least < low - slack or most > high + slack:
        raise DataError(
            f"{new.name}: rewards from {least:g} to {most:g}, and the run's log has a range from {low:g} to {high:g}; "
            "write rewards in the unit of the log, or train anew on all events"
        )
    if log.implicit and not (least == most == float(log.reward[0])):
        raise DataError(
            f"{new.name}: has rewards from {least:g} to {most:g}, and the run's log positives of reward "
            f"{float(log.reward[0]):g} alone; give positives alone, or train anew on all events"
        )


def read_new(
    files: Path | tuple[Path, ...],
    like: InteractionLog,
    columns: Mapping[str, Any] | None,
    named: Mapping[str, str | None],
    users: Path | None = None,
    items: Path | None = None,
) -> InteractionLog:
    """Read new events with the options by which the log of a run was read.

    like: that log. columns: these options, None where they are not known. named: columns that are called otherwise now.
    users, items: the features of new ids. Raises DataError and ConfigError as `darlr.read_events` does, and for rewards
    outside the range of the log.
    """
    from darlr.data.tabular.read_table import read_log  # polars, which a run without new files does without

    own = to_json(ColumnsConfig()) | dict(columns or {})
    if columns is None:
        times = {"timestamp": "timestamp"} if like.timestamp is not None else {}
        chances = {"propensity": "propensity"} if like.propensity is not None else {}
        own |= {"implicit": like.implicit, **times, **chances}
    own |= {name: value for name, value in named.items() if value is not None}
    config = from_json(ColumnsConfig, own, "the options of the run's log")
    if users is None and items is None:
        config = replace(config, category=None, multi=(), categorical=(), ignore=())
    config = replace(config, reward_range=like.reward_range)
    log, report = read_log(files, config, users, items)
    return replace(log, report=report)
