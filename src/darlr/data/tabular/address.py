"""Files at addresses such as s3://bucket/logs/*.parquet, which polars reads where they lie."""

from collections.abc import Sequence
from functools import partial

import polars as pl

from darlr.data.tabular.file import DELIMITERS, KNOWN, plain_names, plainly_named, suffix_of
from darlr.data.tabular.table import Scan, Text, far
from darlr.errors import DataError


def scan_address(address: str, needed: Sequence[str], only_needed: bool) -> Scan:
    """As `darlr.data.tabular.file.scan_file`, of an address, which may be a pattern: its files are read as one.

    Raises DataError when polars cannot read it, with what polars says, or when a column is missing or occurs twice.
    """
    suffix = suffix_of(address)
    if suffix is None:
        raise DataError(f"{address}: unknown kind of file; known: {KNOWN}; for a folder add /*.parquet or the like")
    try:  # glob: a pattern is one, as no file of this machine is meant
        if suffix == ".parquet":
            frame = plainly_named(pl.scan_parquet(address, glob=True), address, needed, only_needed, ", row 1")
            return Scan(address, frame, frame.collect_schema(), 1)
        mark = DELIMITERS[suffix]
        text = partial(pl.scan_csv, address, glob=True, infer_schema=False, separator=mark)
        first, raw = text(has_header=False, n_rows=1).collect(), text()
        there = raw.collect_schema().names()
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise far(address, error) from error
    names = plain_names(address, [cell or "" for cell in first.row(0)], needed, ", row 1")
    wanted = list(dict.fromkeys(needed)) if only_needed else [name for name in names if name]
    frame = raw.select(pl.col(there[names.index(name)]).alias(name) for name in wanted)
    return Scan(address, frame, pl.Schema(dict.fromkeys(wanted, pl.String)), 2, Text(mark, len(names)))
