"""Turn one column of a file into ids, numbers or times; anything doubtful is an error with its cell."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import FloatArray, IntArray
from darlr.data.table_file import Table

INTEGER = r"^(0|-?[1-9]\d*)$"
MICRO = 1_000_000


def trimmed(series: pl.Series) -> pl.Series:
    """Strings without spaces around them, null where nothing is left."""
    text = series.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def read_ids(table: Table, column: str) -> pl.Series:
    """Ids as trimmed strings, null where missing.

    Raises DataError when they are neither text nor whole numbers, or two of them differ only in spaces.
    """
    raw = table.frame[column]
    if raw.dtype.is_float():
        odd = raw.is_not_null() & ~(raw == raw.round()).fill_null(False)
        if odd.any():
            row = _first(odd)
            table.fail(row, column, f"{raw[row]} is not a whole number, so it cannot be an id")
        raw = raw.cast(pl.Int64)
    text_like = raw.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)
    if not (text_like or raw.dtype.is_integer()):
        table.fail(0, column, f"ids must be text or whole numbers, not {raw.dtype}")
    ids = trimmed(raw)
    raw = raw.cast(pl.String).set(ids.is_null(), None)
    if raw.n_unique() != ids.n_unique():
        pairs = pl.DataFrame({"id": ids, "raw": raw}).with_row_index("row").drop_nulls()
        firsts = pairs.unique(subset=["raw"], keep="first", maintain_order=True)
        clash = firsts.filter(pl.col("id").is_duplicated()).sort("row")
        same = clash.filter(pl.col("id") == clash["id"][0])
        first, second = (same["row"][k] for k in (0, 1))
        problem = f"ids {same['raw'][1]!r} and {same['raw'][0]!r} (row {first + table.first_row}) differ only in spaces"
        table.fail(second, column, problem)
    return ids


def numbered(ids: Sequence[pl.Series]) -> tuple[tuple[str, ...], tuple[str, ...] | tuple[int, ...]]:
    """All distinct ids in code order: as strings, and as ints when every one is an int64 in plain notation."""
    distinct = pl.concat(list(ids)).drop_nulls().unique()
    if bool(distinct.str.contains(INTEGER).all()):
        numbers = distinct.cast(pl.Int64, strict=False)
        if numbers.null_count() == 0:
            ordered = tuple(numbers.sort().to_list())
            return tuple(map(str, ordered)), ordered
    names = tuple(distinct.sort().to_list())
    return names, names


def codes(values: pl.Series, names: Sequence[str]) -> IntArray:
    """Position of each value in `names`, int64 [n], -1 for null."""
    physical = values.cast(pl.Enum(list(names))).to_physical().cast(pl.Int64)
    return physical.fill_null(-1).to_numpy()


def read_numbers(table: Table, column: str, rows: NDArray[np.bool_], what: str) -> FloatArray:
    """Numbers of the chosen rows, float32; raises DataError on a missing, non-numeric, NaN or infinite one."""
    raw = table.frame[column]
    if not (raw.dtype.is_numeric() or raw.dtype in (pl.String, pl.Boolean, pl.Null)):
        table.fail(0, column, f"{what} must be numbers, not {raw.dtype}")
    text = trimmed(raw) if raw.dtype == pl.String else raw
    values = text.cast(pl.Float64, strict=False)
    chosen = pl.Series(rows)
    _fail_where(table, column, text.is_null() & chosen, f"the {what} is missing")
    _fail_where(table, column, values.is_null() & chosen, f"{{}} is not a number ({what})", raw)
    with np.errstate(over="ignore"):
        numbers = values.fill_null(0).to_numpy().astype(np.float32)
    bad = pl.Series(~np.isfinite(numbers)) & chosen
    _fail_where(table, column, bad, f"{{}} is not a finite number ({what})", raw)
    return numbers[rows]


def read_times(table: Table, column: str, rows: NDArray[np.bool_]) -> IntArray:
    """Times of the chosen rows, int64: whole numbers as they are, fractions and dates in millionths of a second.

    Raises DataError on a missing time, or one that is no number while the first is (or no date while the first is).
    """
    raw = table.frame[column]
    chosen = pl.Series(rows)
    text = trimmed(raw) if raw.dtype == pl.String else raw
    _fail_where(table, column, text.is_null() & chosen, "the timestamp is missing")
    if raw.dtype.is_temporal():
        values = text.cast(pl.Datetime("us")).to_physical()
    elif raw.dtype.is_integer():
        values = text.cast(pl.Int64)
    else:
        values = text.cast(pl.Int64, strict=False) if raw.dtype == pl.String else text
        if raw.dtype != pl.String or (values.is_null() & chosen).any():
            values = _fractions(text)
            if values.drop_nulls().is_empty() and raw.dtype == pl.String:
                values = text.str.to_datetime(time_unit="us", time_zone="UTC", strict=False).to_physical()
    _fail_where(table, column, values.is_null() & chosen, "{} is not a time like the others", raw)
    times: IntArray = values.fill_null(0).to_numpy()[rows]
    return times.astype(np.int64)


def _fractions(text: pl.Series) -> pl.Series:
    """Numbers in millionths; null where not a number or beyond int64."""
    return (text.cast(pl.Float64, strict=False) * MICRO).cast(pl.Int64, strict=False)


def _first(mask: pl.Series) -> int:
    found = mask.arg_max()
    return 0 if found is None else found


def _fail_where(table: Table, column: str, mask: pl.Series, problem: str, shown: pl.Series | None = None) -> None:
    if mask.any():
        row = _first(mask)
        table.fail(row, column, problem if shown is None else problem.format(repr(shown[row])))
