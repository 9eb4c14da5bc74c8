"""Logs that grow: codes stay, and the result is the log that was read at once but for the order of codes."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from darlr.data.extend import extend
from darlr.data.log import Block, FeatureColumn, InteractionLog, check
from darlr.data.report import PrepareReport
from darlr.data.store import checksum, load, save
from darlr.data.tabular.read_table import read_events
from darlr.errors import DataError

OLD = pl.DataFrame(
    {
        "user": ["cy", "ann", "bob", "ann"],
        "item": [30, 10, 20, 30],
        "reward": [1.0, 2.0, 3.0, 4.0],
        "time": [10, 20, 30, 40],
    }
)
NEW = pl.DataFrame(
    {
        "user": ["abe", "ann", "zoe", "ann"],
        "item": [20, 5, 40, 30],
        "reward": [5.0, 0.5, 3.0, 4.0],
        "time": [50, 60, 70, 40],
    }
)
ITEMS = pl.DataFrame({"item": [10, 20, 30], "genre": ["a|b", "c", "a"], "price": [1.0, 2.0, 3.0], "kind": list("xyx")})
LATER = pl.DataFrame(
    {"item": [5, 20, 40, 30], "genre": ["d|a|b", "z", "c", "z"], "price": [5.0, 9.0, None, 9.0], "kind": list("wzyz")}
)


def read(frame: pl.DataFrame, **options: object) -> InteractionLog:
    return read_events(frame, timestamp="time", **options)  # type: ignore[arg-type]


def events(log: InteractionLog) -> list[tuple[object, ...]]:
    return sorted(log.frame().iter_rows())


def test_old_codes_stay_and_new_ones_follow() -> None:
    old, new = read(OLD), read(NEW)
    grown = extend(old, new)
    assert grown.user_ids == ("ann", "bob", "cy", "abe", "zoe")
    assert grown.item_ids == (10, 20, 30, 5, 40)
    for name in ("user", "item", "reward", "timestamp"):
        assert np.array_equal(getattr(grown, name)[: len(old)], getattr(old, name))
    assert grown.reward_range == (0.5, 5.0)
    assert events(grown) == sorted(pl.concat([OLD, NEW[:3]]).iter_rows())
    assert str(grown.report) == (
        "events: 3 of 4 rows kept\n  dropped 1: events that the log holds already\n  note: 2 new users\n"
        "  note: 2 new items"
    )
    assert (old.user_ids, len(old)) == (("ann", "bob", "cy"), 4)  # unchanged


def test_what_was_shown_at_random_is_kept_and_unknown_counts_as_chosen() -> None:
    marked = OLD.with_columns(random=pl.Series([True, False, False, True]))
    grown = extend(read(marked, random="random"), read(NEW))  # the event of both logs keeps its mark
    assert grown.random is not None
    assert grown.random.tolist() == [True, False, False, True, False, False, False]
    later = extend(read(OLD), read(NEW.with_columns(random=pl.lit(True)), random="random"))
    assert later.random is not None
    assert later.random.tolist() == [False] * 4 + [True] * 3


def test_features_of_known_ids_stay_and_vocabularies_grow() -> None:
    old, new = read(OLD, items=ITEMS), read(NEW, items=LATER)
    grown = extend(old, new)
    genre, price, kind = grown.item_features
    assert [c.name for c in grown.item_features] == ["genre", "price", "kind"]
    words = [[genre.vocabulary[code] for code in row if code >= 0] for row in np.asarray(genre.values, int)]
    assert words == [["a", "b"], ["c"], ["a"], ["d", "a", "b"], ["c"]]
    assert genre.vocabulary == ("a", "b", "c", "d")  # without z, which no new item has
    np.testing.assert_array_equal(price.values, np.float32([1, 2, 3, 5, np.nan]))
    assert [kind.vocabulary[code] for code in np.asarray(kind.values, int)] == ["x", "y", "x", "w", "y"]
    bare = extend(old, read(NEW))
    np.testing.assert_array_equal(bare.item_features[1].values, np.float32([1, 2, 3, np.nan, np.nan]))
    assert (np.asarray(bare.item_features[0].values)[3:] == -1).all()
    assert bare.report is not None
    assert bare.report.notes == ("2 new items have no genre, price, kind: missing",)
    other = extend(read(OLD), new)
    assert other.report is not None
    assert other.report.notes == ("features of items that the log does not have are left out: genre, price, kind",)


def test_growing_twice_by_parts_is_growing_once(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    n = 600
    whole = pl.DataFrame(
        {
            "user": [f"u{k}" for k in rng.integers(0, 80, n)],
            "item": rng.integers(0, 50, n),
            "reward": rng.normal(size=n),
            "time": np.arange(n),
        }
    )
    first, second, third = (read(part) for part in (whole[:200], whole[200:400], whole[400:]))
    grown = extend(extend(first, second), third)
    assert events(grown) == events(read(whole))
    save(grown, tmp_path / "log", PrepareReport("test", n, n))
    stored = load(tmp_path / "log")
    assert checksum(stored) == checksum(grown)
    assert extend(stored, third).report.rows_kept == 0  # type: ignore[union-attr]
    assert checksum(extend(stored, third)) == checksum(grown)


def test_events_on_the_block_are_left_out() -> None:
    old = replace(read(OLD), block=Block(np.array([1]), np.array([0])))  # bob and item 10
    new = pl.concat([NEW, pl.DataFrame({"user": ["bob"], "item": [10], "reward": [3.0], "time": [80]})])
    grown = extend(old, read(new))
    assert len(grown) == 7
    assert grown.block is old.block
    assert "dropped 1: events on the block" in str(grown.report)


def test_ids_as_numbers_join_ids_as_text() -> None:
    old = read(OLD.with_columns(user=pl.Series(["7", "x", "7", "9"])))
    grown = extend(old, read(NEW.with_columns(user=pl.Series([7, 8, 9, 8]))))
    assert grown.user_ids == ("7", "9", "x", "8")
    check(grown)


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        (read(NEW.with_columns(item=pl.Series(["a", "b", "c", "a"]))), "item ids are text, such as 'a'.*, such as 10"),
        (read_events(NEW), "times are known in only one"),
        (read(NEW.with_columns(time=pl.col("time") + 1_700_000_000_000)), "in another unit"),
        (read(NEW, items=LATER.with_columns(price=pl.lit("dear"))), "feature 'price' is categorical, and numeric in"),
        (read(NEW, items=LATER.with_columns(kind=pl.lit("x|y"))), "feature 'kind' is multi, and categorical in"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(new: InteractionLog, problem: str) -> None:
    old = read(OLD.with_columns(time=pl.col("time") + 1_700_000_000), items=ITEMS)
    with pytest.raises(DataError, match=problem):
        extend(old, new)


def test_a_multi_valued_feature_takes_single_values() -> None:
    old, new = read(OLD, items=ITEMS), read(NEW, items=LATER.with_columns(genre=pl.Series(list("abca"))))
    genre = extend(old, new).item_features[0]
    assert isinstance(genre, FeatureColumn)
    assert genre.kind == "multi"
    assert np.array_equal(np.asarray(genre.values)[3:], [[0, -1], [2, -1]])
