"""The report of a reader: what it kept, dropped and noticed. It is printed after `darlr data prepare` and stored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Dropped:
    """Rows left out for one reason: their number, and where the first one was (empty if not known)."""

    reason: str
    count: int
    example: str = ""


@dataclass(frozen=True)
class PrepareReport:
    """What a reader of a data set kept, dropped and noticed. rows_read and rows_kept count events; `dropped` explains
    the difference. notes: what a person should check. remarks: what the reader did that needs no check. columns: the
    options of a user's own table (`ColumnsConfig`) by which later events are read, as JSON values; None for others.
    """

    source: str
    rows_read: int
    rows_kept: int
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    columns: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.rows_kept:,} of {self.rows_read:,} rows kept"]
        for one in self.dropped:
            place = f" (first at {one.example})" if one.example else ""
            lines += [f"  dropped {one.count:,}: {one.reason}{place}"] if one.count else []
        return "\n".join(lines + [f"  note: {note}" for note in (*self.notes, *self.remarks)])

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "PrepareReport":
        """Inverse of `to_json`."""
        notes, remarks = (tuple(values.get(name, ())) for name in ("notes", "remarks"))
        dropped = tuple(Dropped(**one) for one in values["dropped"])
        counts = values["rows_read"], values["rows_kept"]
        return PrepareReport(values["source"], *counts, dropped, notes, remarks, values.get("columns"))
