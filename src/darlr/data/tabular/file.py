"""Open one CSV, TSV or Parquet file, and say precisely what is wrong with it."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from darlr.data.spelling import plain
from darlr.data.tabular.table import NoColumnError, Scan, Table, Text, unreadable
from darlr.data.tabular.text import explain, header
from darlr.errors import DataError
from darlr.io.hints import perhaps
from darlr.io.places import refuse_address

DELIMITERS = {
    f"{kind}{packed}": mark for packed in ("", ".gz", ".zst") for kind, mark in ((".csv", ","), (".tsv", "\t"))
}
KNOWN = ", ".join((*DELIMITERS, ".parquet"))


def suffix_of(path: Path) -> str | None:
    """The ending that says what kind of file it is, or None for an unknown one."""
    return next((s for s in (*DELIMITERS, ".parquet") if path.name.lower().endswith(s)), None)


def scan_file(path: Path, needed: Sequence[str], only_needed: bool) -> Scan:
    """The file's columns (all, or only those `needed`), lazy; CSV cells as strings, null where empty.

    Raises DataError when the file is missing, empty or no readable text, or a column is missing or doubled.
    """
    require_file(path)
    suffix = suffix_of(path)
    if suffix is None:
        raise DataError(f"{path}: unknown kind of file; known: {KNOWN}")
    if suffix == ".parquet":
        return _scan_parquet(path, needed, only_needed)
    return _scan_csv(path, DELIMITERS[suffix], needed, only_needed)


def require_file(path: Path) -> None:
    """Raise DataError unless there is a file with something in it that may be read."""
    refuse_address(path)
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a file ({KNOWN})")
    if not path.is_file():
        raise DataError(f"{path}: file not found")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if empty:
        raise DataError(f"{path}: the file is empty")


def read_file(path: Path, needed: Sequence[str], only_needed: bool) -> Table:
    """`scan_file`, read whole; raises DataError also when it has no rows, or is ragged or badly encoded."""
    return whole(scan_file(path, needed, only_needed))


def whole(scan: Scan) -> Table:
    """All rows of a file or frame; raises DataError when there are none."""
    frame = scan.collect(scan.frame)
    if frame.is_empty():
        raise DataError(f"{scan.name}: the {scan.kind} has no rows")
    return Table(scan.name, frame, scan.first_row)


def read_plain_file(path: Path, names: Sequence[str]) -> Table:
    """A tab-separated file without a header line, its columns called `names`; cells as strings, null where empty.

    Raises DataError when the file is missing, empty, badly encoded or has too wide a row.
    """
    require_file(path)
    first = header(path, "\t")
    if not first:
        raise DataError(f"{path}: its first line is empty")
    if len(first) != len(names):
        raise DataError(f"{path}, row 1: {len(first)} values; expected {', '.join(names)}, with tabs between them")
    try:
        schema = dict.fromkeys(names, pl.String)
        frame = pl.read_csv(
            path.absolute(), glob=False, separator="\t", has_header=False, schema=schema, quote_char=None
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        explain(path, "\t", len(names), error, "the layout has")
    return Table(str(path), frame, first_row=1)


def _scan_parquet(path: Path, needed: Sequence[str], only_needed: bool) -> Scan:
    try:
        frame = pl.scan_parquet(path.absolute(), glob=False)
        written = frame.collect_schema().names()
        names = plain_names(f"{path}, row 1", written)
        require_columns(str(path), needed, names)
        if names != written:
            frame = frame.rename(dict(zip(written, names, strict=True)))
        frame = frame.select(list(dict.fromkeys(needed))) if only_needed else frame
        return Scan(str(path), frame, frame.collect_schema(), 1)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unreadable(str(path), error) from error


def csv_header(path: Path, delimiter: str, needed: Sequence[str]) -> list[str]:
    """Names of the columns, spelled `plain`; raises DataError when one is doubled, or a needed one is missing."""
    written = header(path, delimiter)
    if not any(map(plain, written)):
        raise DataError(f"{path}: the file is empty, or its first line is; it must name the columns")
    names = plain_names(f"{path}, row 1", written)
    require_columns(str(path), needed, names)
    return names


def plain_names(place: str, written: Sequence[str]) -> list[str]:
    """The names of columns, spelled `plain`; raises DataError, naming the place of the header, if one is doubled."""
    names = [plain(name) for name in written]
    for position, name in enumerate(names):
        if name and name in names[:position]:
            raise DataError(
                f"{place}, column '{name}': occurs twice in the header "
                f"(columns {names.index(name) + 1} and {position + 1}); rename one"
            )
    return names


def _scan_csv(path: Path, delimiter: str, needed: Sequence[str], only_needed: bool) -> Scan:
    names = csv_header(path, delimiter, needed)
    wanted = list(dict.fromkeys(needed)) if only_needed else [name for name in names if name]
    places = [str(place) for place in range(len(names))]  # names of ours: those of the file may be empty
    raw = pl.scan_csv(path.absolute(), glob=False, separator=delimiter, infer_schema=False, new_columns=places)
    frame = raw.select(pl.col(str(names.index(name))).alias(name) for name in wanted)
    schema = pl.Schema(dict.fromkeys(wanted, pl.String))
    return Scan(str(path), frame, schema, 2, Text(path, delimiter, len(names)))


def require_columns(place: str, needed: Sequence[str], names: Sequence[str]) -> None:
    """Raise NoColumnError, naming the file or frame, when a column is missing."""
    for name in needed:
        if name not in names:
            hint = perhaps(name, names)
            other = next((mark for mark in (";", "\t", "|", ",") if len(names) == 1 and mark in names[0]), None)
            if other is not None:
                hint = f"its header is separated by {other!r}: write .csv files with ',' and .tsv files with tabs"
            raise NoColumnError(
                f"{place}: there is no column '{name}'{'; ' * bool(hint)}{hint}; columns: {', '.join(names)}", name
            )
