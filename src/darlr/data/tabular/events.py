"""The events of a log's files, streamed into codes and numbers: nothing else of the files is ever in memory whole."""

from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import IntArray
from darlr.data.tabular.columns import (
    fractional,
    id_text,
    number,
    quoted,
    refuse_id_type,
    refuse_number_type,
    refuse_odd_ids,
)
from darlr.data.tabular.inputs import open_log, several
from darlr.data.tabular.table import NoColumnError, Scan
from darlr.errors import DataError
from darlr.options import ColumnsConfig

KINDS = {"reward": pl.Float64, "propensity": pl.Float32}  # rewards of any unit keep their digits
SHOWN = 3  # texts of a column that an error shows
IMPLICIT = "name the column of rewards (option reward), or set the option implicit if each event is a click or the like"
MISSING = 2**32 - 1  # the code of a row without an id


@dataclass
class Events:
    """All rows of all files or frames, in order.

    name: what the log is called if nobody names it. starts: int64 [files + 1], the first row of each file, then the
    number of rows.
    coded: uint32 [rows] for user and item, places in `names` (untrimmed, distinct), MISSING where null.
    numbers: [rows], float64 for reward and float32 for propensity, NaN where there is none.
    """

    scans: tuple[Scan, ...]
    starts: IntArray
    coded: dict[str, NDArray[np.uint32]]
    names: dict[str, pl.Series]
    numbers: dict[str, NDArray[np.floating]]
    notes: list[str] = field(default_factory=list)
    name: str = ""

    @property
    def source(self) -> str:
        """The files or frames, as errors about all of them say it."""
        return several([scan.name for scan in self.scans])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def at(self, row: int) -> str:
        """File and row, as errors and reports give them."""
        scan, place = self._place(row)
        return f"{scan.name}, row {place + scan.first_row}"

    def fail(self, row: int, column: str, problem: str) -> NoReturn:
        """Raise DataError about a cell; `row` counts from 0 over all files."""
        raise DataError(f"{self.at(row)}, column '{column}': {problem}")

    def cell(self, row: int, column: str) -> Any:
        """One cell as the file has it: read again, so only for errors."""
        scan, place = self._place(row)
        return scan.collect(scan.frame.select(column).slice(place, 1)).item()

    def texts(self, row: int, column: str) -> str:
        """The commonest texts of a column in the file of a row, each with its count; "" where one is a number."""
        scan, _ = self._place(row)
        if scan.schema[column] != pl.String:
            return ""
        text = pl.col(column).str.strip_chars()
        found = scan.collect(scan.frame.group_by(text).len()).filter(pl.col(column) != "")
        if found[column].cast(pl.Float64, strict=False).is_not_null().any():
            return ""
        top = found.sort(["len", column], descending=[True, False]).head(SHOWN)
        return ", ".join(f"{quoted(name)} ({count:,})" for name, count in top.iter_rows())

    def _place(self, row: int) -> tuple[Scan, int]:
        file = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.scans[file], row - int(self.starts[file])


def stream_events(source: Any, config: ColumnsConfig) -> Events:
    """Ids and numbers of all rows, streamed file by file; rows that will be dropped are not checked yet.

    source: paths or frames, see `darlr.data.tabular.inputs`. Raises DataError, naming the file or frame, when it lacks
    a column, cannot be read, or has cells that cannot be ids.
    """
    numeric = {} if config.implicit else {"reward": config.reward}
    numeric |= {} if config.propensity is None else {"propensity": config.propensity}
    sides = {"user": config.user, "item": config.item}
    needed = [*sides.values(), *numeric.values()]
    needed += [] if config.timestamp is None else [config.timestamp]
    try:
        scans, left_out, name = open_log(source, needed)
    except NoColumnError as error:
        if error.column != numeric.get("reward"):
            raise
        raise DataError(f"{error}; {IMPLICIT}") from error
    known = {side: pl.Categories.random() for side in sides}
    parts, notes = [], left_out
    for scan in scans:
        here = Events((scan,), np.array([0, 1]), {}, {}, {})  # its first row, for errors
        for column in sides.values():
            refuse_id_type(here, 0, column, scan.schema[column])
        for what, column in numeric.items():
            refuse_number_type(here, 0, column, scan.schema[column], what)
        ids = [
            id_text(column, scan.schema[column])
            .cast(pl.Categorical(known[side]))
            .to_physical()
            .fill_null(MISSING)
            .alias(side)
            for side, column in sides.items()
        ]
        values = [number(column, scan.schema[column]).cast(KINDS[what]).alias(what) for what, column in numeric.items()]
        part = scan.collect(scan.frame.select(*ids, *values))
        if part.is_empty() and len(scans) > 1:
            notes.append(f"{scan.name}: has no rows")
        notes += scan.quoting(part.height)
        parts.append(part)
    starts = np.cumsum([0, *(part.height for part in parts)])
    whole = pl.concat(parts, rechunk=False)
    del parts
    events = Events(
        scans,
        starts,
        {side: whole.drop_in_place(side).to_numpy() for side in sides},
        {side: categories.to_series() for side, categories in known.items()},
        {what: whole.drop_in_place(what).to_numpy() for what in numeric},
        notes=notes,
        name=name,
    )
    if config.implicit:
        events.numbers["reward"] = np.ones(len(events), dtype=np.float32)
    if not len(events):
        raise DataError(f"{scans[0].name}: the {scans[0].kind} has no rows" + ", and no other has" * (len(scans) > 1))
    for side, column in sides.items():
        floats = all(fractional(scan.schema[column]) for scan in scans)
        refuse_odd_ids(events, column, events.coded[side], events.names[side], floats)
    return events


def repeated(events: Events, times: IntArray, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows to keep that say what an earlier one says (user, item, numbers, time), bool [rows].

    Rows are hashed first, so that only those with an equal hash are compared.
    """
    columns: dict[str, Any] = {**events.coded, **events.numbers, "time": times}
    hashes = pl.DataFrame(columns).hash_rows(seed=0).to_numpy()
    ordered = np.sort(hashes[keep])
    suspects = np.flatnonzero(np.isin(hashes, ordered[1:][ordered[1:] == ordered[:-1]]) & keep)
    again = np.zeros(len(keep), dtype=bool)
    rows = pl.DataFrame({name: values[suspects] for name, values in columns.items()})
    again[suspects] = ~rows.select(pl.struct(pl.all()).is_first_distinct()).to_series().to_numpy()
    return again
