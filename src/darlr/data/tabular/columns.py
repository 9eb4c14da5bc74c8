"""One column of a file as ids or numbers: how its cells are read, what cannot be an id, how ids become codes."""

import unicodedata
from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import IntArray, Mask
from darlr.data.spelling import INVISIBLE, NO_ID, NO_VALUE, SPACES, WHOLE
from darlr.data.tabular.table import Rows, Table

INTEGER = r"^(0|-?[1-9]\d*)$"
CONTROL = r"[\x00-\x1f\x7f]"  # line breaks, tabs, NUL: no part of an id, but of a cell that was read wrongly
LONGEST = 1_000  # characters of an id
SHOWN = 40  # characters of a cell that an error quotes


def trimmed(series: pl.Series) -> pl.Series:
    """Strings as `spelling.plain` makes them, null where nothing is left."""
    text = normalised(series.cast(pl.String).str.strip_chars(SPACES + INVISIBLE), "NFC")
    return text.set(text == "", None)


def normalised(text: pl.Series, form: Literal["NFC", "NFKC"]) -> pl.Series:
    """Strings in a normal form of Unicode; ASCII, which is in all of them, costs nothing."""
    foreign = (text.str.len_bytes() > text.str.len_chars()).fill_null(False)
    if not foreign.any():
        return text
    return text.clone().scatter(foreign.arg_true(), text.filter(foreign).str.normalize(form))  # it writes in place


def without_words(text: pl.Series) -> pl.Series:
    """Trimmed strings, with null in place of words such as NULL, which mean that there is no value."""
    return text.set(text.is_in(NO_VALUE), None)


def plain_ids(series: pl.Series) -> pl.Series:
    """Trimmed ids, null where there is none or a word for none. Where all are whole numbers, "1.0" becomes "1"."""
    text = trimmed(series)
    text = text.set(text.is_in(NO_ID), None)
    whole = text.drop_nulls().str.contains(WHOLE).all()
    return text.str.replace(r"\.0*$", "") if whole else text


def read_ids(table: Table, column: str) -> pl.Series:
    """Ids as `plain_ids`, null where missing. Raises DataError when they are neither text nor whole numbers, hold
    control characters, are too long, or two of them differ only in spaces.
    """
    kind = table.frame.schema[column]
    refuse_id_type(table, column, kind)
    raw = table.frame.select(id_text(column, kind)).to_series()
    distinct = raw.drop_nulls().unique(maintain_order=True)
    refuse_odd_ids(table, column, codes(raw, distinct.to_list()), distinct, fractional(kind))
    return plain_ids(raw)


def refuse_id_type(rows: Rows, column: str, kind: pl.DataType) -> None:
    """Raise DataError unless a column of this type can hold ids."""
    if not (kind in (pl.String, pl.Categorical, pl.Enum, pl.Null) or kind.is_integer() or fractional(kind)):
        advice = f"write the column as text, in polars: pl.col({column!r}).cast(pl.String)"
        rows.fail(0, column, f"ids must be text or whole numbers, not {kind}; {advice}")


def fractional(kind: pl.DataType) -> bool:
    """Whether a column of this type may hold fractions."""
    return kind.is_float() or kind.is_decimal()


def id_text(column: str, kind: pl.DataType) -> pl.Expr:
    """The column as strings, spaces kept; whole numbers of a fractional type lose their point."""
    raw = pl.col(column)
    if kind.is_decimal():
        return raw.cast(pl.String).str.replace(r"\.0*$", "")
    if not kind.is_float():
        return raw.cast(pl.String)
    whole = raw.cast(pl.Int64, strict=False)
    same = (whole.cast(pl.Float64) == raw.cast(pl.Float64)).fill_null(False)
    return pl.when(same).then(whole.cast(pl.String)).otherwise(raw.cast(pl.String))


def refuse_odd_ids(
    rows: Rows, column: str, coded: NDArray[np.integer], distinct: pl.Series, whole: bool = False
) -> None:
    """Raise DataError at the first row whose id cannot be one. coded: places in `distinct`, the untrimmed ids, [rows];
    below 0 or beyond its end where missing. whole: they must be whole numbers.
    """
    names = plain_ids(distinct)
    none = pl.repeat(False, len(names), eager=True)
    checks = (
        (~names.str.contains(INTEGER) if whole else none, "is not a whole number, so it cannot be an id"),
        (names.str.contains(CONTROL), "holds a control character or line break; is a quotation mark left open?"),
        (names.str.len_chars() > LONGEST, f"has more than {LONGEST:,} characters; is this the column of ids?"),
    )
    for odd, problem in checks:
        if odd.any():
            row = int(rows_of(odd, coded).argmax())
            rows.fail(row, column, f"{quoted(distinct[int(coded[row])])} {problem}")
    present, names = names.is_not_null(), distinct.cast(pl.String).str.strip_chars()
    twice = names.is_duplicated() & present
    if twice.any():
        first = int(rows_of(twice, coded).argmax())
        name = int(coded[first])
        second = int(rows_of((names == names[name]) & (distinct != distinct[name]), coded).argmax())
        pair = f"ids {quoted(distinct[int(coded[second])])} and {quoted(distinct[name])} ({rows.at(first)})"
        rows.fail(second, column, f"{pair} differ only in spaces; write them alike")


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


def occurs_before(columns: Sequence[NDArray[np.generic]]) -> Mask:
    """Which rows of these columns, each [n], repeat an earlier one, bool [n]."""
    rows = pl.DataFrame({str(place): column for place, column in enumerate(columns)})
    return ~rows.select(pl.struct(pl.all()).is_first_distinct()).to_series().to_numpy()


def refuse_number_type(rows: Rows, column: str, kind: pl.DataType, what: str) -> None:
    """Raise DataError unless a column of this type can hold numbers."""
    if not (kind.is_numeric() or kind in (pl.String, pl.Boolean, pl.Null)):
        rows.fail(0, column, f"{what} must be numbers, not {kind}")


def number(column: str, kind: pl.DataType) -> pl.Expr:
    """The column as float64, NaN where there is no number."""
    raw = pl.col(column).str.strip_chars() if kind == pl.String else pl.col(column)
    return raw.cast(pl.Float64, strict=False).fill_null(float("nan"))


def flag(column: str, kind: pl.DataType) -> pl.Expr:
    """A column of 0 and 1, or of false and true, as float64; NaN where a cell is neither."""
    raw = number(column, kind)
    if kind == pl.String:
        word = pl.col(column).str.strip_chars().str.to_lowercase()
        raw = pl.when(word == "true").then(1.0).when(word == "false").then(0.0).otherwise(raw)
    return pl.when(raw.is_in([0.0, 1.0])).then(raw).otherwise(float("nan"))


def number_problem(cell: object, what: str) -> str:
    """Why a cell that was read as NaN or infinite is no number."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return f"the {what} is missing"
    if isinstance(cell, str) and cell.strip() in NO_ID and not is_float(cell):
        return f"the {what} is missing: the cell says {quoted(cell)}"
    kind = "number" if isinstance(cell, str) and not is_float(cell) else "finite number"
    return f"{quoted(cell)} is not a {kind} ({what})"


def quoted(cell: object) -> str:
    """A cell as errors show it: quoted, cut when long, escaped where two texts may look the same."""
    composed = not isinstance(cell, str) or unicodedata.is_normalized("NFC", cell)
    text = repr(cell) if composed else ascii(cell)
    return text if len(text) <= SHOWN + 2 else f"{text[: SHOWN + 1]}...'"


def rows_of(chosen: pl.Series, coded: NDArray[np.integer]) -> Mask:
    """Rows whose code is chosen, bool [rows]. chosen: bool [codes]. A code that marks a missing value is not chosen."""
    mask = np.append(chosen.fill_null(False).to_numpy(), False)
    return np.asarray(mask[np.minimum(coded, len(chosen))])


def is_float(text: str) -> bool:
    """Whether Python reads the text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
