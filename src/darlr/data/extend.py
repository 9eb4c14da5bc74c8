"""Add new events to a log without recoding it: known users and items keep their codes, and new ones follow."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import EVENTS, FeatureColumn, IntArray, InteractionLog, Mask, check
from darlr.data.report import Dropped, PrepareReport
from darlr.errors import DataError

Ids = tuple[str, ...] | tuple[int, ...]
UNITS_APART = 100.0  # times of two logs whose largest differ by such a factor are in different units
CALENDAR = 1e8  # smaller times may be turns or days from anywhere


class Grown(NamedTuple):
    """One side of the longer log. ids: of all, the old ones first. code: int64 [new ids], the code of each new id.
    added: int64, the places in the new ids of those that are appended, in their order. features: of all ids.
    """

    ids: Ids
    code: IntArray
    added: IntArray
    features: tuple[FeatureColumn, ...]


def extend(log: InteractionLog, new: InteractionLog) -> InteractionLog:
    """The events of `log` and then those of `new`. Every code of `log` stays; new users and items are appended.

    log: a prepared log. new: later events, as `darlr.read_events` reads them with the same columns; both in their own
    unit of rewards. Ids decide who is known. Known users and items keep their features; new ones take those of `new`,
    missing where it has none, and new words of a vocabulary are appended. Events of `new` that `log` holds already
    (equal user, item, reward, time and propensity) and events on the block of `log` are left out. The reward range
    grows where needed; name, category, exit rule and block are those of `log`. Where one of the two does not say which
    items were shown at random, none of its were. `report` counts what was added and left out; its rows are those of
    `new`. `parts` says where the added events begin.

    Raises DataError where ids are text in `new` and whole numbers in `log`, only one of the two has times or
    propensities, their times are in different units, or a feature is of another kind.
    """
    notes: list[str] = []
    user, item = (_grown(log, new, side, notes) for side in ("user", "item"))
    arrays = {name: getattr(new, name) for name in EVENTS} | {"user": user.code[new.user], "item": item.code[new.item]}
    for name, words in (("timestamp", "times"), ("propensity", "propensities")):
        if (arrays[name] is None) != (getattr(log, name) is None):
            raise DataError(
                f"{new.name}: {words} are known in only one of the two logs; read both with the same columns"
            )
    if log.random is not None or new.random is not None:  # where nothing is known, nothing was shown at random
        log, new = (
            one if one.random is not None else replace(one, random=np.zeros(len(one), bool)) for one in (log, new)
        )
        arrays["random"] = new.random
    if log.timestamp is not None and len(log) and len(new):
        _refuse_other_unit(log.timestamp, arrays["timestamp"], new.name)
    arrays["reward"] = new.reward.astype(log.reward.dtype, copy=False)
    inside = np.zeros(len(new), dtype=bool)
    if log.block is not None:
        inside = np.isin(arrays["user"], log.block.users) & np.isin(arrays["item"], log.block.items)
    compared = {name: values for name, values in arrays.items() if name != "random"}
    known = _known(log, compared) & ~inside
    keep = ~(inside | known)
    longer: dict[str, Any] = {
        name: None if values is None else np.concatenate([getattr(log, name), values[keep]])
        for name, values in arrays.items()
    }
    dropped = (
        Dropped("events on the block that is kept for evaluation", int(inside.sum())),
        Dropped("events that the log holds already", int(known.sum())),
    )
    remarks = [f"{len(side.added):,} new {name}s" for name, side in (("user", user), ("item", item))]
    report = PrepareReport(
        new.name, len(new), int(keep.sum()), tuple(one for one in dropped if one.count), tuple(notes), tuple(remarks)
    )
    ranges = zip(log.reward_range, new.reward_range, strict=True)
    (least, lower), (most, higher) = ranges
    grown = replace(
        log,
        **longer,
        user_ids=user.ids,
        item_ids=item.ids,
        user_features=user.features,
        item_features=item.features,
        reward_range=(min(least, lower), max(most, higher)),
        report=report,
        parts=(*log.parts, len(log)) if keep.any() else log.parts,
    )
    check(grown)
    return grown


def _grown(log: InteractionLog, new: InteractionLog, side: Literal["user", "item"], notes: list[str]) -> Grown:
    old: Ids = getattr(log, f"{side}_ids")
    given: Sequence[Any] = getattr(new, f"{side}_ids")
    if isinstance(old[0], str):
        given = [str(one) for one in given]
    elif isinstance(given[0], str):
        raise DataError(
            f"{new.name}: {side} ids are text, such as {given[0]!r}, and those of {log.name} whole numbers, such as "
            f"{old[0]}; write them alike, or prepare the whole log again"
        )
    place: dict[Any, int] = {one: code for code, one in enumerate(old)}
    code = np.array([place.setdefault(one, len(place)) for one in given], dtype=np.int64)
    added = np.flatnonzero(code >= len(old))  # in the order of `given`, and so of their codes
    columns = {column.name: column for column in getattr(new, f"{side}_features")}
    before: tuple[FeatureColumn, ...] = getattr(log, f"{side}_features")
    features = tuple(_longer(column, columns.get(column.name), added, new.name) for column in before)
    lacking = [column.name for column in before if column.name not in columns]
    if lacking and len(added):
        notes.append(f"{len(added):,} new {side}s have no {', '.join(lacking)}: missing")
    unknown = [name for name in columns if name not in {column.name for column in before}]
    if unknown:
        notes.append(f"features of {side}s that the log does not have are left out: {', '.join(unknown)}")
    return Grown(tuple(place), code, added, features)


def _longer(old: FeatureColumn, new: FeatureColumn | None, added: IntArray, source: str) -> FeatureColumn:
    """The column with values for the appended ids, whose places in `new` are `added`."""
    if new is None:
        missing = np.full((len(added), *old.values.shape[1:]), np.nan if old.kind == "numeric" else -1)
        return replace(old, values=np.concatenate([old.values, missing.astype(old.values.dtype)]))
    if old.kind != new.kind and ("numeric" in (old.kind, new.kind) or new.kind == "multi"):
        raise DataError(
            f"{source}: feature '{old.name}' is {new.kind}, and {old.kind} in the log; write it alike, and read it "
            "with the same options (multi, categorical, separator)"
        )
    values: NDArray[Any] = new.values[added]
    if old.kind == "numeric":
        return replace(old, values=np.concatenate([old.values, values]))
    words = {word: code for code, word in enumerate(old.vocabulary)}
    used = np.unique(values[values >= 0]).tolist()
    table = np.full(len(new.vocabulary) + 1, -1, dtype=np.int64)  # the last is that of a missing value
    table[used] = [words.setdefault(new.vocabulary[code], len(words)) for code in used]
    both = [old.values, table[values].reshape(values.shape if old.kind != "multi" or values.ndim == 2 else (-1, 1))]
    if old.kind == "multi":
        width = max(part.shape[1] for part in both)
        both = [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in both]
    return replace(old, values=np.concatenate(both), vocabulary=tuple(words))


def _known(log: InteractionLog, arrays: dict[str, Any]) -> Mask:
    """Which new events equal one of the log, bool [new]; without times none does."""
    times = arrays["timestamp"]
    if times is None or not len(times) or not len(log):
        return np.zeros(len(arrays["user"]), dtype=bool)
    import polars as pl

    assert log.timestamp is not None
    near = (log.timestamp >= times.min()) & (log.timestamp <= times.max())
    old = pl.DataFrame({name: getattr(log, name)[near] for name, values in arrays.items() if values is not None})
    new = pl.DataFrame({name: values for name, values in arrays.items() if values is not None})
    found = new.with_row_index("row").join(old, on=new.columns, how="semi")["row"].to_numpy()
    known = np.zeros(len(times), dtype=bool)
    known[found] = True
    return known


def _refuse_other_unit(old: NDArray[np.int64], new: NDArray[np.int64], source: str) -> None:
    """Raise DataError where times since 1970 are, for example, seconds in one log and milliseconds in the other."""
    one, other = float(old.max()), float(new.max())
    if min(one, other) >= CALENDAR and max(one, other) / min(one, other) >= UNITS_APART:
        raise DataError(
            f"{source}: its last time is {other:.0f}, that of the log {one:.0f}, in another unit; write times as in "
            "the log's own files"
        )
