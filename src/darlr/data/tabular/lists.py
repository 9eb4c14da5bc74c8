"""Columns of lists: which of them can be features, and how lists are read that Python, JSON or NumPy wrote as text."""

import ast
import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from darlr.data.tabular.columns import trimmed

LIST = r"(?s)^[\[({].*[\])}]$"
NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
NUMBERS = "it holds lists of decimal numbers; make each number a column, or name the column in the option multi"


def unfit(series: pl.Series, separator: str, multi: bool) -> str | None:
    """Why a column is no feature, or None where it can be one. multi: it is meant to hold categories."""
    kind = series.dtype
    if isinstance(kind, pl.List | pl.Array):
        inner = kind.inner
        if inner.is_nested() or inner in (pl.Binary, pl.Object):
            return f"it holds lists of {inner.base_type()} values; only lists of texts or whole numbers are features"
        vectors = inner.is_float() or inner.is_decimal()
    elif kind.is_nested() or kind in (pl.Binary, pl.Object):
        return f"it holds {kind.base_type()} values, which are neither texts nor numbers"
    else:
        vectors = kind == pl.String and _holds_numbers(trimmed(series), separator)
    return NUMBERS if vectors and not multi else None


def looks_like_list(text: str) -> bool:
    """Whether a text is in brackets and has several parts."""
    return text[0] + text[-1] in ("[]", "()", "{}") and "," in text


def joined(texts: Sequence[str]) -> str | None:
    """The mark that seems to join categories in the texts, because splitting there gives fewer of them; or None."""
    for mark in (",", ";"):
        if len({part.strip() for text in texts for part in text.split(mark)}) < len(texts):
            return mark
    return None


def with_lists(series: pl.Series) -> pl.Series:
    """The column with lists in place of texts that write lists; as it is unless every text can be read as one. Elements
    are texts, or float64 where some have a point. Lists of lists, and mappings, become lists of empty lists.
    """
    if series.dtype != pl.String:
        return series
    text = trimmed(series)
    distinct = text.drop_nulls().unique()
    if distinct.is_empty() or not distinct.str.contains(LIST).all():
        return series
    try:
        known = {cell: _parsed(cell) for cell in distinct}
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return series
    elements = [element for cells in known.values() for element in cells]
    if any(isinstance(element, list | tuple | dict | set) for element in elements):
        return pl.Series(series.name, [[[]]] * len(text), dtype=pl.List(pl.List(pl.String)))
    kind = pl.Float64 if any(isinstance(element, float) for element in elements) else pl.String
    convert = float if kind == pl.Float64 else str
    lists = {cell: [convert(element) for element in cells if element is not None] for cell, cells in known.items()}
    return pl.Series(series.name, [lists.get(cell) for cell in text], dtype=pl.List(kind))


def _holds_numbers(text: pl.Series, separator: str) -> bool:
    """Whether every text is a row of two or more numbers, and some number has a point."""
    between = rf"(\s|,|;|\||{pl.escape_regex(separator)})+"
    rows = text.drop_nulls().str.contains(rf"^[\[({{]?\s*{NUMBER}({between}{NUMBER})+\s*[\])}}]?$")
    return bool(rows.all()) and bool(text.str.contains(".", literal=True).any())


def _parsed(text: str) -> list[Any]:
    """The elements of a JSON or Python list, tuple or set; raises ValueError or SyntaxError when it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        found = ast.literal_eval(text)
    if isinstance(found, dict):
        return [found]
    if isinstance(found, set):
        return sorted(found, key=str)
    if not isinstance(found, list | tuple):
        raise ValueError("no list")
    return list(found)
