"""`read_events`: frames and files of one content are one log, with the same checks and messages."""

import inspect
import warnings
from dataclasses import fields

import polars as pl
import pytest

from darlr.data.store import checksum
from darlr.data.tabular.read_table import read_events
from darlr.errors import ConfigError, DarlrWarning, DataError
from darlr.options import ColumnsConfig, TableConfig

EVENTS = pl.DataFrame(
    {
        "uid": ["ann", "bob", "ann", "cy", "bob", "dee"],
        "sku": [3, 1, 2, 1, 3, 2],
        "stars": [5.0, 2.5, 1.0, 4.0, 3.0, 2.0],
        "ts": [10, 20, 30, 40, 50, 60],
    }
)
ITEMS = pl.DataFrame({"sku": [1, 2, 3, 4], "genre": ["a", "b", "a", "c"], "price": [1.0, 2.0, None, 4.0]})
USERS = pl.DataFrame({"uid": ["ann", "bob", "cy", "dee"], "age": [30, 40, 50, 60]})
NAMED = {"user": "uid", "item": "sku", "reward": "stars", "timestamp": "ts", "category": "genre", "name": "shop"}


class Stream:
    """An object of another library: all it has is Arrow's C interface."""

    def __init__(self, frame):
        self.frame = frame

    def __arrow_c_stream__(self, schema=None):
        return self.frame.__arrow_c_stream__(schema)


def test_files_and_frames_of_one_content_are_one_log(tmp_path):
    (tmp_path / "parts").mkdir()
    for name, frame in (("events", EVENTS), ("users", USERS), ("items", ITEMS)):
        frame.write_csv(tmp_path / f"{name}.csv")
        frame.write_parquet(tmp_path / f"{name}.parquet")
        frame[:2].write_csv(tmp_path / "parts" / f"{name}-1.csv")
        frame[2:].write_csv(tmp_path / "parts" / f"{name}-2.csv")
    sources = {
        "csv": tuple(tmp_path / f"{name}.csv" for name in ("events", "users", "items")),
        "parquet, by str": tuple(str(tmp_path / f"{name}.parquet") for name in ("events", "users", "items")),
        "patterns": tuple(tmp_path / "parts" / f"{name}-*.csv" for name in ("events", "users", "items")),
        "eager": (EVENTS, USERS, ITEMS),
        "lazy": (EVENTS.lazy(), USERS.lazy(), ITEMS.lazy()),
        "several": ([EVENTS[:4], EVENTS[4:].lazy()], [USERS[:1], USERS[1:]], [ITEMS]),
        "arrow": (Stream(EVENTS), Stream(USERS), Stream(ITEMS)),
    }
    logs = {kind: read_events(log, users=users, items=items, **NAMED) for kind, (log, users, items) in sources.items()}
    assert {kind: checksum(log) for kind, log in logs.items()} == dict.fromkeys(logs, checksum(logs["csv"]))
    log = logs["lazy"]
    assert (log.user_ids, log.item_ids, len(log)) == (("ann", "bob", "cy", "dee"), (1, 2, 3, 4), 6)
    assert (log.report.rows_read, log.report.notes) == (6, ())


def test_a_pandas_frame_is_the_same_log():
    pandas = pytest.importorskip("pandas")
    events, users, items = (pandas.DataFrame(frame.to_dict(as_series=False)) for frame in (EVENTS, USERS, ITEMS))
    expected = checksum(read_events(EVENTS, users=USERS, items=ITEMS, **NAMED))
    assert checksum(read_events(events, users=users, items=items, **NAMED)) == expected
    for kind in ("category", "object", "string"):
        assert checksum(read_events(events.astype({"uid": kind}), users=users, items=items, **NAMED)) == expected
    dated = events.assign(ts=pandas.to_datetime(events["ts"], unit="s", utc=True))
    assert read_events(dated, **NAMED | {"category": None}).timestamp.argsort().tolist() == [0, 1, 2, 3, 4, 5]
    events.loc[3, "stars"] = None
    with pytest.raises(DataError, match=r"^frame, row 3, column 'stars': the reward is missing"):
        read_events(events, items=items, **NAMED)
    mixed = events.assign(uid=["ann", 7, "ann", None, 7, "dee"]).fillna({"stars": 1.0})
    with pytest.warns(DarlrWarning, match="dropped 1: no user id"):
        assert read_events(mixed, items=items, **NAMED).user_ids == ("7", "ann", "dee")


def test_a_frame_computed_anew_at_each_look_is_read_once():
    looks = []

    def seen(frame):
        looks.append(len(frame))
        return frame.reverse() if len(looks) % 2 else frame

    log = read_events(EVENTS.lazy().map_batches(seen), **NAMED | {"category": None})
    assert (len(looks), log.timestamp.tolist()) == (1, [60, 50, 40, 30, 20, 10])
    assert log.reward.tolist() == EVENTS["stars"].reverse().to_list()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"stars": [1.0, 2.0, None, 1.0, 1.0, 1.0]}, {}, "^frame, row 2, column 'stars': the reward is missing"),
        ({"stars": [1.0] * 5 + [9.0]}, {"reward_range": (1, 5)}, "^frame, row 5, column 'stars': reward 9 must be"),
        ({"ts": ["1", "x"] * 3}, {}, "^frame, row 1, column 'ts': 'x' is not a time like the others"),
        ({"sku": [1.5] * 6}, {}, "^frame, row 0, column 'sku': .* is not a whole number"),
        ({}, {"user": "ui"}, "^frame: there is no column 'ui'; perhaps you meant 'uid'"),
        ({" uid": ["a"] * 6}, {}, "^frame, column 'uid': occurs twice"),
        ({"uid": ["ann"] * 6}, {}, "^frame, column 'uid': all rows belong to one user"),
    ],
)
def test_errors_of_a_frame_name_row_and_column(change, options, message):
    frame = EVENTS.with_columns(**{name: pl.Series(values) for name, values in change.items()})
    for source in (frame, frame.lazy(), Stream(frame)):
        with pytest.raises(DataError, match=message):
            read_events(source, **NAMED | {"category": None} | options)


def test_tables_of_features_say_where_they_are_wrong(tmp_path):
    with pytest.raises(DataError, match=r"^frame of items 1, row 0, column 'sku': id '4' occurs before, in row 3$"):
        read_events(EVENTS, items=[ITEMS, ITEMS[3:]], **NAMED)
    with pytest.raises(DataError, match=r"^frame of users, column 'uid': lists none of the log's ids"):
        read_events(EVENTS, items=ITEMS, users=USERS.with_columns(uid=pl.lit("x"))[:1], **NAMED)
    with pytest.raises(ConfigError, match=r"^option category: needs the features of items"):
        read_events(EVENTS, **NAMED)


def test_other_sources_are_refused():
    for source in (3, None, [EVENTS, "a.csv"], {"user": [1]}):
        with pytest.raises(DataError, match=r"^option log: must be paths, a polars or pandas frame, or an Arrow table"):
            read_events(source)
    with pytest.raises(DataError, match=r"^frame: the frame has no rows$"):
        read_events(EVENTS[:0], **NAMED | {"category": None})


def test_options_are_those_of_the_command_line_and_misspelt_ones_are_type_errors():
    taken = {name: one.default for name, one in inspect.signature(read_events).parameters.items()}
    columns = {one.name: one.default for one in fields(ColumnsConfig)}
    assert {name: taken[name] for name in columns} == columns
    assert set(taken) - {"source"} == {one.name for one in fields(TableConfig)} - {"log"}
    with pytest.raises(TypeError, match="rewards"):
        read_events(EVENTS, rewards="stars")
    log = read_events(EVENTS, items=ITEMS, ignore="price", **NAMED)
    assert [column.name for column in log.item_features] == ["genre"]


def test_what_a_person_should_check_is_a_warning_and_what_is_usual_is_not():
    twice = pl.concat([EVENTS, EVENTS[:1]])
    with pytest.warns(DarlrWarning, match=r"6 of 7 rows kept\n  dropped 1: exact repeat .*first at frame, row 6"):
        assert len(read_events(twice, items=ITEMS, **NAMED)) == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log = read_events(EVENTS.drop("stars"), items=ITEMS, implicit=True, **NAMED | {"reward": "reward"})
    assert any("every event is a positive" in remark for remark in log.report.remarks)
