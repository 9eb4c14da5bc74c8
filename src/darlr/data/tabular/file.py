"""Open one CSV, TSV or Parquet file. Errors name the row and column where it is broken."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from darlr.data.spelling import plain
from darlr.data.tabular.table import EVERY, NoColumnError, Scan, Table, Text, unreadable
from darlr.data.tabular.text import explain, header
from darlr.errors import DataError
from darlr.io.hints import perhaps
from darlr.io.places import refuse_address

DELIMITERS = {
    f"{kind}{packed}": mark for packed in ("", ".gz", ".zst") for kind, mark in ((".csv", ","), (".tsv", "\t"))
}
ROW = "row of the file"  # no column is called so
KNOWN = ", ".join((*DELIMITERS, ".parquet"))


def suffix_of(path: Path | str) -> str | None:
    """The ending that determines the kind of the file, or None for an unknown one."""
    return next((s for s in (*DELIMITERS, ".parquet") if str(path).lower().endswith(s)), None)


def scan_file(path: Path, needed: Sequence[str], only_needed: bool) -> Scan:
    """The columns of a file, all or only those `needed`, lazy. Cells of a text file are strings, null where empty.
    Raises DataError when the file is missing, empty or not readable, or when a column is missing or occurs twice.
    """
    require_file(path)
    suffix = suffix_of(path)
    if suffix is None:
        raise DataError(f"{path}: unknown kind of file; known: {KNOWN}")
    if suffix == ".parquet":
        try:
            raw = pl.scan_parquet(path.absolute(), glob=False)
            frame = plainly_named(raw, str(path), needed, only_needed, ", row 1")
            return Scan(str(path), frame, frame.collect_schema(), 1)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise unreadable(str(path), error) from error
    delimiter = DELIMITERS[suffix]
    names = _csv_header(path, delimiter, needed)
    wanted = list(dict.fromkeys(needed)) if only_needed else [name for name in names if name]
    places = [str(place) for place in range(len(names))]  # names of ours: those of the file may be empty
    raw = pl.scan_csv(path.absolute(), glob=False, separator=delimiter, infer_schema=False, new_columns=places)
    frame = raw.select(pl.col(str(names.index(name))).alias(name) for name in wanted)
    schema = pl.Schema(dict.fromkeys(wanted, pl.String))
    return Scan(str(path), frame, schema, 2, Text(delimiter, len(names)))


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


def read_file(path: Path, needed: Sequence[str]) -> Table:
    """The needed columns by `scan_file`, read whole. Raises DataError also when there are no rows."""
    return whole(scan_file(path, needed, True))


def whole(scan: Scan) -> Table:
    """All rows of a file or frame; raises DataError when there are none."""
    frame = scan.collect(scan.frame)
    if frame.is_empty():
        raise DataError(f"{scan.name}: the {scan.kind} has no rows")
    return Table(scan.name, frame, scan.first_row)


def read_plain_file(path: Path, names: Sequence[str]) -> Table:
    """A tab-separated file without a header line, its columns called `names`. Cells are strings, null where empty.
    Raises DataError when the file is missing, empty or badly encoded, or when a row is too wide.
    """
    require_file(path)
    first = header(path, "\t")
    if len(first) != len(names):
        raise DataError(f"{path}, row 1: {len(first)} values; expected {', '.join(names)}, with tabs between them")
    schema = pl.Schema(dict.fromkeys(names, pl.String))
    raw = pl.scan_csv(path.absolute(), glob=False, separator="\t", has_header=False, schema=schema, quote_char=None)
    return whole(Scan(str(path), raw, schema, 1, Text("\t", len(names), "the layout has")))


def plainly_named(
    frame: pl.LazyFrame, source: str, needed: Sequence[str], only_needed: bool, header: str = ""
) -> pl.LazyFrame:
    """The columns, all of them or only those `needed`, by their `plain_names`."""
    written = frame.collect_schema().names()
    names = plain_names(source, written, needed, header)
    frame = frame.rename(dict(zip(written, names, strict=True))) if names != written else frame
    return frame.select(list(dict.fromkeys(needed))) if only_needed else frame


def plain_names(source: str, written: Sequence[str], needed: Sequence[str] = (), header: str = "") -> list[str]:
    """The names of columns, spelled `plain`. header: the place of the header in the source, for errors. Raises
    DataError when a name occurs twice, and NoColumnError when a needed one is missing.
    """
    names = [plain(name) for name in written]
    for position, name in enumerate(names):
        if name and name in names[:position]:
            raise DataError(
                f"{source}{header}, column '{name}': occurs twice in the header "
                f"(columns {names.index(name) + 1} and {position + 1}); rename one"
            )
    for name in needed:
        if name not in names:
            hint = perhaps(name, names)
            other = next((mark for mark in (";", "\t", "|", ",") if len(names) == 1 and mark in names[0]), None)
            if other is not None:
                hint = f"its header is separated by {other!r}: write .csv files with ',' and .tsv files with tabs"
            raise NoColumnError(
                f"{source}: there is no column '{name}'{'; ' * bool(hint)}{hint}; columns: {', '.join(names)}", name
            )
    return names


def _csv_header(path: Path, delimiter: str, needed: Sequence[str]) -> list[str]:
    """The `plain_names` of the columns of a text file. Raises DataError when its first line names none."""
    written = header(path, delimiter)
    if not any(map(plain, written)):
        raise DataError(f"{path}: the file is empty, or its first line is; it must name the columns")
    return plain_names(str(path), written, needed, ", row 1")


def scan_numbers(path: Path, kinds: Mapping[str, type[pl.DataType]]) -> Table:
    """The columns named in `kinds`, each as its kind of number, in the order of the file; null where a cell is empty.

    Nothing else of the file is held in memory. Numbers beyond a float are infinite. Raises DataError when the file is
    missing, empty, ragged or badly encoded, a column is missing, or, with row and column, a cell is no such number.
    """
    require_file(path)
    names = _csv_header(path, ",", list(kinds))
    unique = [name or f"unnamed {place}" for place, name in enumerate(names)]
    text = partial(pl.scan_csv, path.absolute(), glob=False, infer_schema=False, new_columns=unique)
    try:
        frame = text(schema_overrides=dict(kinds)).select(*kinds).collect(engine="streaming", optimizations=EVERY)
    except (OSError, pl.exceptions.PolarsError) as error:
        _locate(text(), path, kinds)
        explain(path, ",", len(names), error)
    if frame.is_empty():
        raise DataError(f"{path}: the file has no rows")
    return Table(str(path), frame, first_row=2)


def _locate(text: pl.LazyFrame, path: Path, kinds: Mapping[str, type[pl.DataType]]) -> None:
    """Raise DataError at the first cell that is no number of its kind; return when there is none to be found."""
    bad = {
        name: pl.col(name).is_not_null() & pl.col(name).str.strip_chars().cast(kind, strict=False).is_null()
        for name, kind in kinds.items()
    }
    first = text.select(*kinds).with_row_index(ROW).filter(pl.any_horizontal(*bad.values())).head(1)
    try:
        found = first.collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError):
        return
    for name, kind in kinds.items():
        if found.height and found.select(bad[name]).item():
            wanted = "whole number below 2^31" if kind.is_integer() else "number"
            Table(str(path), found, first_row=2).fail(found[ROW][0], name, f"'{found[name][0]}' is not a {wanted}")
