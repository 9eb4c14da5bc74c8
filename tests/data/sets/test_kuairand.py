from collections import Counter

import numpy as np
import polars as pl
import pytest
import torch

from darlr.data.item_features import log_category_bits
from darlr.data.log import check
from darlr.data.sets.kuairand import RANDOMISED, STANDARD, USERS, VIDEOS, read, read_random
from darlr.data.store import checksum, load, save
from darlr.errors import DataError
from darlr.simulation.exits import CategoryExit
from tests.raw import kuairand

EVENT = ("user_id", "video_id", "time_ms", "is_click")


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "kuairand"
    return folder, kuairand.write(folder)


@pytest.fixture
def own(raw, tmp_path):
    """A copy of the raw files to spoil."""
    for path in raw[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def rows(*paths):
    return Counter(row for path in paths for row in pl.read_csv(path).select(EVENT).iter_rows())


def events(log):
    ids = np.array(log.user_ids)[log.user], np.array(log.item_ids)[log.item]
    return list(zip(*(column.tolist() for column in (*ids, log.timestamp, log.reward)), strict=True))


def test_every_event_of_both_files_comes_out_once_in_order_of_time(raw):
    folder, world = raw
    log, report = read(folder)
    check(log)
    written = rows(*(folder / name for name in STANDARD))
    assert Counter(events(log)) == Counter(dict.fromkeys(written, 1))
    assert (np.diff(log.timestamp) >= 0).all()
    assert (log.timestamp < kuairand.SECOND_START).any()
    assert (log.timestamp >= kuairand.SECOND_START).any()
    assert len(str(log.timestamp[0])) == 13
    (dropped,) = report.dropped
    assert (dropped.count, report.rows_read, report.rows_kept) == (world.repeats[0], written.total(), len(log))
    assert dropped.count > 0
    assert "log_standard_4_" in dropped.example
    assert (log.exit, log.category, log.reward_range) == ("category", "tag", (0.0, 1.0))
    assert log.user_ids == tuple(world.user_ids.tolist())
    assert log.item_ids == tuple(world.video_ids.tolist())


def test_the_random_log_has_the_same_ids_and_is_apart(raw):
    folder, world = raw
    log, report = read_random(folder)
    assert set(events(log)) == set(rows(folder / RANDOMISED))
    assert report.dropped[0].count == world.repeats[1] > 0
    assert log.user_ids == tuple(world.user_ids.tolist())


def test_training_never_opens_the_random_log(own):
    before = checksum(read(own)[0])
    (own / RANDOMISED).unlink()
    assert checksum(read(own)[0]) == before


def test_tags_are_the_categories_and_a_missing_one_is_shared_with_nobody(raw):
    folder, world = raw
    log, report = read(folder)
    names = log.item_features[0].vocabulary
    assert [[int(names[c]) for c in row if c >= 0] for row in log.category_codes()] == world.tags
    assert {len(tags) for tags in world.tags} >= {0, 1, 2}
    untagged = [place for place, tags in enumerate(world.tags) if not tags]
    assert any(f"{len(untagged)} of 40 videos have no tag" in note for note in report.notes)
    rule = CategoryExit(log_category_bits(log))
    seen = torch.full((1, 1), untagged[0])
    assert not rule.ending(seen).any()


def test_features(raw):
    folder, _ = raw
    log, report = read(folder)
    users, videos = (pl.read_csv(folder / name, infer_schema=False) for name in (USERS, VIDEOS))
    length = videos["video_duration"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    np.testing.assert_allclose(log.item_features[1].values, np.log1p(length / 1000), rtol=1e-5)
    column = {column.name: column for column in log.user_features}
    assert len(column) == 30
    fans = users["fans_user_num"].cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(column["fans_user_num"].values, np.log1p(fans), rtol=1e-5)
    unknown = (users["is_live_streamer"] == "-124").to_numpy()
    assert unknown.any()
    assert ((column["is_live_streamer"].values == -1) == unknown).all()
    assert "-124" not in column["is_live_streamer"].vocabulary
    assert any(f"-124 read as missing in {unknown.sum()} rows of 'is_live_streamer'" in note for note in report.notes)
    empty = users["onehot_feat4"].is_null().to_numpy()
    assert ((column["onehot_feat4"].values == -1) == empty).all()


def test_random_events_in_a_standard_file_are_dropped_and_counted(own):
    path = own / STANDARD[1]
    frame = pl.read_csv(path)
    frame.with_columns(pl.Series("is_rand", [1] * 3 + [0] * (len(frame) - 3))).write_csv(path)
    before, (log, report) = len(events(read(own)[0])), read(own)
    assert report.dropped[0].count == 3
    assert report.dropped[0].reason == "events of the other policy (is_rand is not 0)"
    assert report.dropped[0].example == f"{path}, row 2"
    assert len(log) == before == report.rows_read - sum(one.count for one in report.dropped)


@pytest.mark.parametrize(
    ("name", "column", "value", "told"),
    [
        (STANDARD[0], "user_id", "9999", "9999 is not in user_features_pure.csv"),
        (STANDARD[1], "video_id", "9999", "9999 is not in video_features_basic_pure.csv"),
        (STANDARD[1], "time_ms", "noon", "'noon' is not a whole number"),
        (STANDARD[0], "is_click", "2", "'2' is neither 0 nor 1"),
        (STANDARD[0], "is_click", None, "empty"),
        (STANDARD[0], "is_rand", "x", "'x' is neither 0 nor 1"),
        (VIDEOS, "tag", "7;8", "'7;8' is not a list of tags such as 12,3"),
        (VIDEOS, "video_duration", "-5", "'-5' is not a length in milliseconds"),
        (USERS, "user_id", "u7", "'u7' is not a whole number"),
    ],
)
def test_errors_name_file_row_and_column(own, name, column, value, told):
    frame = pl.read_csv(own / name, infer_schema=False)
    frame.with_columns(frame[column].scatter(1, value)).write_csv(own / name)
    with pytest.raises(DataError) as error:
        read(own)
    assert f"{name}, row 3, column '{column}': {told}" in str(error.value)


def test_a_missing_file_and_a_missing_column_are_named(own):
    frame = pl.read_csv(own / STANDARD[0]).rename({"is_click": "is_clicked"})
    frame.write_csv(own / STANDARD[0])
    with pytest.raises(DataError, match="there is no column 'is_click'; perhaps you meant 'is_clicked'"):
        read(own)
    (own / STANDARD[0]).unlink()
    with pytest.raises(DataError, match=r"pure.csv: file not found.*kuairand/ with the files of KuaiRand-Pure/data/"):
        read(own)


def test_prepared_and_loaded_it_is_the_same(raw, tmp_path):
    log, report = read(raw[0])
    save(log, tmp_path / "out", report)
    assert checksum(load(tmp_path / "out")) == checksum(log)
