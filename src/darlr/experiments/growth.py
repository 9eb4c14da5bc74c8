"""New events for a run: they are read as its log was, checked against it, and added without recoding."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from darlr.data.extend import CALENDAR, extend
from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sources import open_source
from darlr.data.split import select
from darlr.data.store import is_prepared
from darlr.decisions.read import is_log
from darlr.errors import ConfigError, DataError
from darlr.options import ColumnsConfig, FeedbackConfig
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

    files: of events, or one folder: a log of decisions, or a prepared data set. like: the log of the run. columns: the
    options it was read with, None where they are not known. named: columns that are called otherwise now. users, items:
    the features of new ids. Raises DataError and ConfigError as `darlr.read_events` does, and for rewards outside the
    range of the log.
    """
    from darlr.data.tabular.read_table import read_log  # polars, which a run without new files does without
    from darlr.decisions.join import PARTS

    given = {name: value for name, value in named.items() if value is not None}
    place = files if isinstance(files, Path) else files[0]
    folder = (isinstance(files, Path) or len(files) == 1) and (is_log(place) or is_prepared(place))
    if folder and given:
        raise ConfigError(f"option {next(iter(given))}: {place} is no table, and its columns are known; leave it out")
    source: Any = files
    if folder and (is_log(place) or (place / PARTS[0]).exists()):
        source, own = _served(place, like)
    elif folder:
        return open_source(str(place))
    else:
        own = to_json(ColumnsConfig()) | dict(columns or {})
        if columns is None:
            times = {"timestamp": "timestamp"} if like.timestamp is not None else {}
            chances = {"propensity": "propensity"} if like.propensity is not None else {}
            own |= {"implicit": like.implicit, **times, **chances}
    config = from_json(ColumnsConfig, own | given, "the options of the run's log")
    if users is None and items is None:
        config = replace(config, category=None, multi=(), categorical=(), ignore=())
    config = replace(config, reward_range=like.reward_range)
    log, report = read_log(source, config, users, items)
    return replace(log, report=report)


def _served(place: Path, like: InteractionLog) -> tuple[Any, dict[str, Any]]:
    """The rewarded items of decisions as a frame, and its columns; it has times and propensities where `like` has some.

    Times are in the unit of `like`. Users without an id are left out where ids are whole numbers.
    """
    import polars as pl

    from darlr.decisions.join import flat, open_decisions

    rows = flat(open_decisions(place, FeedbackConfig()))
    if not isinstance(like.user_ids[0], str):
        rows = rows.filter(pl.col("user").str.contains(r"^-?\d+$"))
    if rows.is_empty():
        raise DataError(f"{place}: no item that was shown to a user with an id has feedback, so nothing can be learned")
    own = to_json(ColumnsConfig()) | {"name": place.name}
    if like.propensity is not None:
        own["propensity"] = "propensity"
    if like.timestamp is not None:
        own["timestamp"] = "time"
        times = rows["time"].dt.epoch("us")
        last, end = int(times.max()), int(like.timestamp.max())  # type: ignore[arg-type]
        power = round(math.log10(last / end)) if end >= CALENDAR else 0
        rows = rows.with_columns(time=times // 10**power if power >= 0 else times * 10**-power)
    return rows, own
