"""Columns of lists: categories where they hold any, left out with a reason where they are vectors or worse."""

import polars as pl
import pytest

from darlr.data.tabular.read_table import read_table
from darlr.errors import ConfigError, DataError
from darlr.options import TableConfig

PARQUET = {
    "floats": ([[0.1, 0.2], [0.3, 0.4], None], pl.List(pl.Float32), "lists of decimal numbers; make each number"),
    "array": ([[0.1, 0.2], [0.3, 0.4], [1, 2]], pl.Array(pl.Float64, 2), "lists of decimal numbers"),
    "nested": ([[["a"], []], [["b"]], []], pl.List(pl.List(pl.String)), "lists of List values"),
    "matrix": ([[[1, 2]], [[3, 4]], None], pl.Array(pl.Int64, (1, 2)), "lists of Array values"),
    "bytes": ([b"\x89PNG", b"\xff", None], pl.Binary, "Binary values, which are neither"),
    "lists of bytes": ([[b"\x89"], [b"\xff"], None], pl.List(pl.Binary), "lists of Binary values"),
    "struct": ([{"a": 1}, {"a": 2}, None], pl.Struct({"a": pl.Int64}), "Struct values"),
    "structs": ([[{"a": 1}], [], None], pl.List(pl.Struct({"a": pl.Int64})), "lists of Struct values"),
}
TEXT = {
    "python floats": (["[0.1, 0.2]", "[3, 4.5]", None], "lists of decimal numbers"),
    "numpy": (["[0.1 2.  3.]", "[ 1e-3  0. 1.]", None], "lists of decimal numbers"),
    "spaces": (["0.1 0.2", "0.3 0.4", "-1 +2.5"], "lists of decimal numbers"),
    "bars": (["0.1|0.2", "0.3|0.4", None], "lists of decimal numbers"),
    "one number": (["[0.5]", "[0.25]", None], "lists of decimal numbers"),
    "nested": (["[['a'], ['b']]", "[['c']]", None], "lists of List values"),
    "mappings": (["{'a': 1}", '{"b": 2}', None], "lists of List values"),
}


@pytest.fixture
def read(tmp_path):
    """The item feature `x` with these three values, None where it is left out, and the notes."""

    def read(values, kind=pl.String, **options):
        (tmp_path / "log.csv").write_text("user,item,reward\n1,1,3\n2,2,4\n1,3,5\n")
        frame = pl.DataFrame({"item": [1, 2, 3], "x": pl.Series(values, dtype=kind), "n": [1, 2, 4]})
        if kind == pl.String:
            frame.write_csv(tmp_path / "items.csv")
        else:
            frame.write_parquet(tmp_path / "items.parquet")
        items = tmp_path / ("items.csv" if kind == pl.String else "items.parquet")
        log, report = read_table(TableConfig(tmp_path / "log.csv", items=items, **options))
        return next((column for column in log.item_features if column.name == "x"), None), (
            *report.notes,
            *report.remarks,
        )

    return read


@pytest.mark.parametrize(("values", "kind", "reason"), PARQUET.values(), ids=PARQUET)
def test_parquet_columns_that_are_no_features(values, kind, reason, read):
    column, notes = read(values, kind)
    assert column is None
    assert any("items.parquet: column 'x' left out: it holds " in note and reason in note for note in notes)
    with pytest.raises(DataError, match=r"items.parquet, column 'x': cannot be a feature: it holds "):
        read(values, kind, category="x")


@pytest.mark.parametrize(("values", "reason"), TEXT.values(), ids=TEXT)
def test_vectors_and_worse_written_as_text(values, reason, read):
    column, notes = read(values)
    assert column is None
    assert any("items.csv: column 'x' left out: it holds " in note and reason in note for note in notes)
    assert read(values, categorical=("x",))[0].kind in ("categorical", "multi")


@pytest.mark.parametrize(
    "values",
    [
        ["['a', 'b']", "['b']", None],
        ['["a", "b"]', '["b"]', "[]"],
        ["('a', 'b')", "('b',)", "[None]"],
        ["{'b', 'a'}", "{'b'}", ""],
        ["a|b", "b", None],
    ],
)
def test_lists_of_texts_are_categories_however_they_are_written(values, read):
    column, _ = read(values)
    assert (column.kind, column.vocabulary) == ("multi", ("a", "b"))
    assert column.values.tolist() == [[0, 1], [1, -1], [-1, -1]]


def test_lists_of_whole_numbers_are_categories(read):
    for values, kind in ((["[8]", "[27, 9]", None], pl.String), ([[8], [27, 9], None], pl.List(pl.Int32))):
        column, _ = read(values, kind, category="x")
        assert (column.kind, column.vocabulary) == ("multi", ("27", "8", "9"))
        assert column.values.tolist() == [[1, -1], [0, 2], [-1, -1]]


def test_multi_takes_decimal_numbers_as_categories(read):
    for values, kind in ((["0.1|0.2", "0.2", None], pl.String), ([[0.1, 0.2], [0.2], None], pl.List(pl.Float64))):
        assert read(values, kind, multi=("x",))[0].vocabulary == ("0.1", "0.2")


def test_texts_that_only_look_like_lists_stay_texts(read):
    for values in (["[bold]", "[red]", None], ["(none)", "(1)", None], ["3,5", "4,5", None], ["2024 05", "x", None]):
        column, notes = read(values)
        assert (column.kind, column.vocabulary) == ("categorical", tuple(sorted(v for v in values if v)))
        assert not any("look like lists" in note for note in notes)
    column, notes = read(["['a', 'b'", "['a','b']", "['c', 'd']"])
    assert column.kind == "categorical"
    assert any("column 'x': 2 values look like lists, but not all can be read so" in note for note in notes)


def test_texts_that_seem_to_join_categories_are_noted(read):
    for mark, values in ((",", ["drama,crime", "crime", "drama"]), (";", ["a; b", "b;a", "a"])):
        column, notes = read(values)
        assert column.kind == "categorical"
        assert any(f"column 'x': its values seem to be categories with '{mark}' between" in note for note in notes)
        assert not any("seem to be" in note for note in read(values, categorical=("x",))[1])
        column, notes = read(values, separator=mark)
        assert column.kind == "multi"
        assert column.vocabulary in (("crime", "drama"), ("a", "b"))
        assert not any("seem to be" in note for note in notes)
    _, notes = read(["Bern, CH", "Rome, IT", "Ulm, DE"])
    assert not any("seem to be" in note for note in notes)


def test_every_other_column_is_a_feature_and_says_so(read):
    _, notes = read(["a", "b", None])
    assert notes[-1].endswith(
        "items.csv: every other column is a feature: x (categorical), n (numeric); the option ignore leaves columns out"
    )
    column, notes = read(["a", "b", None], ignore=("x",))
    assert column is None
    assert "a feature: n (numeric);" in notes[-1]
    with pytest.raises(ConfigError, match=r"option ignore: .*'xx'.* perhaps you meant 'x'"):
        read(["a", "b", None], ignore=("xx",))
    with pytest.raises(ConfigError, match="option ignore: 'x' is also named as a feature to read"):
        read(["a", "b", None], ignore=("x",), categorical=("x",))
