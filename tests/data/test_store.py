import dataclasses
import json
import os
import shutil

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darlr.data import store
from darlr.data.log import Block, FeatureColumn, InteractionLog
from darlr.data.report import Dropped, PrepareReport
from darlr.data.sources import prepare
from darlr.errors import DataError, MachineError
from darlr.io import memory

REPORT = PrepareReport("test", 3, 2, (Dropped("no user id", 1, "a.csv, row 4"),), ("a note",))


def equal(first: InteractionLog, second: InteractionLog) -> bool:
    """Field by field, arrays by value and type."""

    def same(a, b):
        if dataclasses.is_dataclass(a):
            return type(a) is type(b) and all(
                same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)
            )
        if isinstance(a, np.ndarray):
            return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        if isinstance(a, tuple):
            return type(b) is tuple and len(a) == len(b) and all(map(same, a, b))
        return type(a) is type(b) and a == b

    return same(first, second)


@st.composite
def columns(draw, n):
    def column(name):
        kind = draw(st.sampled_from(["categorical", "multi", "numeric"]))
        if kind == "numeric":
            numbers = st.floats(width=32, allow_infinity=False)
            return FeatureColumn(
                name, kind, np.array(draw(st.lists(numbers, min_size=n, max_size=n)), dtype=np.float32)
            )
        words = tuple(draw(st.lists(st.text(max_size=5), min_size=1, max_size=4, unique=True)))
        wide = draw(st.integers(1, 3)) if kind == "multi" else 1
        flat = draw(st.lists(st.integers(-1, len(words) - 1), min_size=n * wide, max_size=n * wide))
        values = np.array(flat, dtype=np.int64).reshape((n, wide) if kind == "multi" else (n,))
        return FeatureColumn(name, kind, values, words)

    names = draw(st.lists(st.text(min_size=1, max_size=6), max_size=3, unique=True))
    return tuple(column(name) for name in names)


@st.composite
def logs(draw):
    def ids():
        kind = draw(st.sampled_from([st.integers(-(2**63), 2**63 - 1), st.text(max_size=8)]))
        return tuple(draw(st.lists(kind, min_size=1, max_size=4, unique=True)))

    users, items = ids(), ids()
    n = draw(st.integers(0, 6))

    def many(values, kind):
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=kind)

    return InteractionLog(
        name=draw(st.text(max_size=5)),
        user=many(st.integers(0, len(users) - 1), np.int64),
        item=many(st.integers(0, len(items) - 1), np.int64),
        reward=many(st.floats(0, 1, width=32), np.float32),
        user_ids=users,
        item_ids=items,
        timestamp=draw(st.just(None) | st.just(many(st.integers(-(2**63), 2**63 - 1), np.int64))),
        propensity=draw(st.just(None) | st.just(many(st.floats(0.125, 1, width=32), np.float32))),
        random=draw(st.just(None) | st.just(many(st.booleans(), bool))),
        user_features=draw(columns(len(users))),
        item_features=draw(columns(len(items))),
        block=draw(st.just(None) | st.just(Block(np.array([0]), np.array([], dtype=np.int64)))),
        exit=draw(st.sampled_from(["none", "category", "distance"])),
    )


@settings(max_examples=40)
@given(log=logs())
def test_a_prepared_folder_gives_back_the_same_log(log, tmp_path_factory):
    folder = tmp_path_factory.mktemp("round") / "trip"
    store.save(log, folder, REPORT)
    assert equal(store.load(folder), log)
    assert store.load_report(folder) == REPORT
    shutil.rmtree(folder)


def tiny(**changes) -> InteractionLog:
    log = InteractionLog(
        name="tiny",
        user=np.array([0, 1, 1]),
        item=np.array([0, 0, 1]),
        reward=np.array([0.0, 1.0, 0.5], dtype=np.float32),
        user_ids=("a", "b"),
        item_ids=(7, 9),
        item_features=(FeatureColumn("kind", "categorical", np.array([0, -1]), ("x",)),),
        category="kind",
    )
    return dataclasses.replace(log, **changes)


def test_the_checksum_is_the_same_on_every_machine():
    assert store.checksum(tiny()) == "e8d59eec0e1774ee91c5a5e9bffd486e8acb11da8148324c6727065dea8fcf2a"
    assert store.checksum(tiny(name="another")) == store.checksum(tiny())


@pytest.mark.parametrize(
    "changes",
    [
        {"user": np.array([0, 1, 0])},
        {"reward": np.array([0.0, 1.0, 0.25], dtype=np.float32)},
        {"user_ids": ("a", "c")},
        {"item_ids": ("7", "9")},
        {"timestamp": np.array([1, 2, 3])},
        {"category": None},
        {"item_features": (FeatureColumn("kind", "categorical", np.array([0, -1]), ("y",)),)},
        {"exit": "distance"},
        {"block": Block(np.array([0]), np.array([0]))},
    ],
)
def test_the_checksum_sees_every_change(changes):
    assert store.checksum(tiny(**changes)) != store.checksum(tiny())


def test_saving_again_replaces_and_leaves_nothing_beside(tmp_path):
    store.save(tiny(), tmp_path / "out", REPORT)
    (tmp_path / "out" / "truth.safetensors").write_bytes(b"of the old data")
    store.save(tiny(name="second"), tmp_path / "out", REPORT)
    assert store.load(tmp_path / "out").name == "second"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "dataset.json",
        "interactions.parquet",
        "items.parquet",
        "users.parquet",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failed_write_leaves_the_old_data_and_nothing_half_written(tmp_path, monkeypatch):
    store.save(tiny(), tmp_path / "out", REPORT)

    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(DataError, match=r"out: cannot be written \(no space"):
        store.save(tiny(name="second"), tmp_path / "out", REPORT)
    assert store.load(tmp_path / "out").name == "tiny"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failed_rename_puts_the_old_data_back(tmp_path, monkeypatch):
    store.save(tiny(), tmp_path / "out", REPORT)
    rename = os.rename

    def once(source, target):
        if ".draft-" in str(source):
            raise OSError("the network drive went away")
        rename(source, target)

    monkeypatch.setattr("os.rename", once)
    with pytest.raises(DataError, match="went away"):
        store.save(tiny(name="second"), tmp_path / "out", REPORT)
    assert store.load(tmp_path / "out").name == "tiny"


def test_other_folders_are_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="not a prepared data set; choose another"):
        prepare("synthetic", tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def _edit(folder, change):
    manifest = json.loads((folder / "dataset.json").read_text())
    change(manifest)
    (folder / "dataset.json").write_text(json.dumps(manifest))


def _swap_rewards(folder):
    frame = pl.read_parquet(folder / "interactions.parquet")
    frame.with_columns(pl.col("reward").reverse()).write_parquet(folder / "interactions.parquet")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "dataset.json").unlink(), "not a prepared data set"),
        (lambda f: (f / "dataset.json").write_text("{"), "dataset.json: damaged"),
        (lambda f: _edit(f, lambda m: m.update(schema=9)), "schema 9, this version of darlr reads 2"),
        (lambda f: _edit(f, lambda m: m.pop("exit")), "damaged.*exit"),
        (lambda f: _edit(f, lambda m: m.update(category=None)), "do not match the checksum"),
        (lambda f: (f / "users.parquet").unlink(), "users.parquet: cannot be read"),
        (lambda f: (f / "items.parquet").write_bytes(b"PAR1"), "items.parquet: cannot be read"),
        (_swap_rewards, "do not match the checksum"),
    ],
)
def test_damage_is_found(damage, message, tmp_path):
    store.save(tiny(), tmp_path / "out", REPORT)
    damage(tmp_path / "out")
    with pytest.raises(DataError, match=message):
        store.load(tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user": np.array([0, 1, 2])}, "user has a code outside 0 to 1"),
        ({"item": np.array([0, 1])}, "differ in length"),
        ({"user_ids": ("a", 1)}, "all str or all int"),
        ({"item_ids": (7, 7)}, "item ids repeat"),
        ({"reward": np.array([0, np.nan, 1], dtype=np.float32)}, "reward has a NaN"),
        ({"reward": np.array([0, 2, 1], dtype=np.float32)}, "outside the reward range"),
        ({"reward_range": (1.0, 1.0)}, "is empty"),
        ({"reward_range": (0.0, float("inf"))}, "is infinite"),
        ({"timestamp": np.array([1.0, 2.0, 3.0])}, "timestamp must be int64"),
        ({"propensity": np.array([0.5, 0.0, 1.0], dtype=np.float32)}, "outside"),
        ({"random": np.array([0, 1, 0])}, "random must be bool"),
        ({"category": "colour"}, "category 'colour'"),
        (
            {"item_features": (FeatureColumn("kind", "categorical", np.array([0, 1]), ("x",)),)},
            "outside its vocabulary",
        ),
        ({"user_features": (FeatureColumn("age", "numeric", np.array([1], dtype=np.float32)),)}, "wrong shape"),
        ({"block": Block(np.array([2]), np.array([0]))}, "block.users has a code"),
    ],
)
def test_an_inconsistent_log_is_not_written(changes, message, tmp_path):
    with pytest.raises(DataError, match=message):
        store.save(tiny(**changes), tmp_path / "out", REPORT)
    assert list(tmp_path.iterdir()) == []


def test_the_report_says_what_was_dropped():
    assert str(REPORT) == ("test: 2 of 3 rows kept\n  dropped 1: no user id (first at a.csv, row 4)\n  note: a note")


def test_a_manifest_with_numbers_that_are_no_json_is_damaged(tmp_path):
    prepare("synthetic", tmp_path / "d")
    path = tmp_path / "d" / store.MANIFEST
    text = path.read_text()
    path.write_text(text.replace('"reward_range": [\n    1.0,\n    5.0\n  ]', '"reward_range": [0, Infinity]'))
    assert path.read_text() != text
    with pytest.raises(DataError, match=r"dataset.json: damaged.*\(Infinity is no JSON number\)"):
        store.load(tmp_path / "d")


def test_a_data_set_that_does_not_fit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    prepare("synthetic", tmp_path / "data")
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    with pytest.raises(MachineError, match=r"data: a log of [89],\d+ events: takes about .*; prepare fewer events"):
        store.load(tmp_path / "data")


def test_events_are_written_in_blocks(tmp_path, monkeypatch):
    prepare("synthetic", tmp_path / "whole")
    monkeypatch.setattr(store, "BLOCK", 1000)
    prepare("synthetic", tmp_path / "blocks")
    assert equal(store.load(tmp_path / "whole"), store.load(tmp_path / "blocks"))
