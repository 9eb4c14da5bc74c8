"""The users or items of a log's events: one id each, however it is spelled, and notes on what may still be one."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl

from darlr.data.log import IntArray, Mask
from darlr.data.report import Dropped
from darlr.data.spelling import DOUBTFUL, INVISIBLE, NO_ID, WHOLE
from darlr.data.tabular.columns import codes, normalised, plain_ids, quoted, rows_of, trimmed
from darlr.data.tabular.events import BLOCK, MISSING, Events, kept
from darlr.data.tabular.features import FeatureTable

EXACT: dict[type[pl.DataType], int] = {pl.Float32: 2**24, pl.Float64: 2**53}  # below, every whole number is held
SPREADSHEET = r"^\d+(\.\d+)?[eE]\+\d+$"  # 1.23457E+12
EXAMPLES = 3


class Side:
    """The user or the item of every event: plain ids, and which of them stay.

    written: the distinct ids as the files have them; names: the same in plain spelling, so that one may occur twice;
    the codes of `events` then become those of the first of them.
    """

    def __init__(self, events: Events, side: Literal["user", "item"]) -> None:
        self.events, self.side = events, side
        self.coded = events.coded[side]
        self.written = events.names[side]
        self.names = plain_ids(self.written)
        self.ids, self.used = self.names, self.names.is_not_null()
        if self.names.drop_nulls().is_duplicated().any():
            places = pl.DataFrame({"name": self.names}).with_row_index("place")
            first = places.select(pl.col("place").first().over("name")).to_series().to_numpy()
            events.coded[side] = np.append(first, MISSING).astype(np.uint32)[np.minimum(self.coded, len(first))]

    def restrict(self, keep: Mask) -> None:
        """Leave only the ids of the rows to keep in `ids`; the id of the first row comes first."""
        used = np.zeros(len(self.names), dtype=bool)
        kept = self.coded[keep]
        used[kept] = True
        self.used = pl.Series(used)
        ids = self.names.filter(self.used)
        self.ids = pl.concat([self.names[int(kept[0]) : int(kept[0]) + 1], ids]).unique(maintain_order=True)

    def take_codes(self, names: Sequence[str], keep: Mask) -> IntArray:
        """Codes in `names` of the rows to keep, int64; ids of other rows need not be there. The events lose those that
        they held, because there is no memory for both.
        """
        listed = self.names.set(~self.names.is_in(list(names)), None)
        coded, table = kept(self.events.coded.pop(self.side), keep), codes(listed, names)
        del self.coded
        found = np.empty(len(coded), dtype=np.int64)
        for start in range(0, len(coded), BLOCK):
            found[start : start + BLOCK] = table[coded[start : start + BLOCK]]
        return found


def without_ids(events: Events, user: Side, item: Side) -> tuple[Mask, list[Dropped]]:
    """Which rows have both ids, bool [rows], and how many have not: an empty cell, or a word such as NULL."""
    reasons = {}
    for side in (user, item):
        text = trimmed(side.written)
        word = text.is_in(NO_ID)
        words, present = rows_of(word, side.coded), rows_of(side.names.is_not_null(), side.coded)
        reasons[f"no {side.side} id"] = ~present & ~words
        reasons[f"no {side.side} id, but {_listed(text.filter(word).unique().sort())}"] = words
    return events.without(reasons)


def odd_ids(column: str, side: Side) -> list[str]:
    """Notes on kept ids that were written in several ways, lost digits, or may mean that there is no id."""
    text, notes = side.written.str.strip_chars(), []
    other = text.is_not_null() & (text != side.names) & side.used
    if other.any():
        pairs = zip(text.filter(other), side.names.filter(other), strict=True)
        shown = ", ".join(sorted(f"{quoted(raw)} as {quoted(name)}" for raw, name in list(pairs)[:EXAMPLES]))
        notes.append(f"column '{column}': {int(other.sum()):,} ids are read in their plain spelling: {shown}")
    rounded = _rounded(column, side) & side.used
    if rounded.any():
        notes.append(
            f"column '{column}': {int(rounded.sum()):,} ids are beyond what their fractional type holds exactly "
            f"(2^53; 2^24 in single precision): several may have become one ({_listed(side.names.filter(rounded))}); "
            "write ids as whole numbers or text"
        )
    for found, means in (
        (side.names.str.contains(SPREADSHEET), "look like numbers that a spreadsheet shortened; export them as text"),
        (side.names.is_in(DOUBTFUL), "may say that there is none; they are kept: empty these cells if so"),
    ):
        if (found & side.used).any():
            names = side.names.filter(found & side.used)
            notes.append(f"column '{column}': {len(names):,} ids {means} ({_listed(names)})")
    return notes


def alike(column: str, side: Side, listed: FeatureTable | None) -> list[str]:
    """A note on ids of the log or of its features that may be the same id, typed differently."""
    names = side.ids if listed is None else pl.concat([side.ids, listed.ids.drop_nulls()]).unique()
    plain = normalised(names, "NFKC").str.replace_all(f"[{INVISIBLE}]", "").str.replace_all(r"\s+", " ")
    plain = plain.str.to_lowercase().str.replace(r"^\+(\d)", "$1")
    plain = plain.str.replace(r"^(-?\d+)\.0*$", "$1").str.replace(r"^0+(\d)", "$1")
    twice = plain.is_duplicated()
    if not twice.any():
        return []
    groups = pl.DataFrame({"plain": plain, "name": names}).filter(twice).group_by("plain").agg(pl.col("name").sort())
    pairs = [f"{quoted(a)} and {quoted(b)}" for a, b, *_ in groups.sort("plain")["name"].head(EXAMPLES)]
    kinds = "case or leading zeros (or inner spaces, invisible characters, width, a plus sign, a point and zeros)"
    return [
        f"column '{column}': {int((~plain.is_first_distinct()).sum()):,} ids are another one's but for {kinds}, "
        f"as {', '.join(pairs)}; kept apart"
    ]


def _rounded(column: str, side: Side) -> pl.Series:
    """Which names are whole numbers that a fractional type cannot tell from their neighbours, bool [names]."""
    numbers = side.names.cast(pl.Float64, strict=False).abs()
    pointed = side.written.str.contains(r"\.0*$") & side.names.str.contains(WHOLE)
    odd = (pointed & (numbers >= EXACT[pl.Float64])).fill_null(False).to_numpy().copy()
    for file, scan in enumerate(side.events.scans):
        limit = EXACT.get(type(scan.schema[column]))
        if limit is not None:
            start, stop = side.events.starts[file], side.events.starts[file + 1]
            names = np.unique(side.coded[start:stop])
            names = names[names < len(odd)]
            odd[names] |= (numbers >= limit).fill_null(False).to_numpy()[names]
    return pl.Series(odd)


def _listed(names: pl.Series) -> str:
    """Some of the names, for a note."""
    return ", ".join(quoted(name) for name in names.head(EXAMPLES)) + (", ..." if len(names) > EXAMPLES else "")
