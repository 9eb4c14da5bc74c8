import os

import numpy as np
import pytest

from darlr.data.log import check
from darlr.data.scope import scope_of
from darlr.data.sets.kuairec_binary import read
from darlr.data.sources import read_source
from darlr.data.store import load, save
from darlr.errors import DataError
from tests.data.sets.kuairec_files import FILES, write


def test_a_tiny_folder(tmp_path):
    log, report = read(write(tmp_path))
    check(log)
    assert log.user_ids == (10, 11, 12, 13)
    assert log.item_ids == (0, 1, 2, 3, 4)
    assert log.user.tolist() == [0, 0, 2, 1, 1, 1, 3, 3, 0]
    assert log.item.tolist() == [2, 2, 0, 1, 1, 3, 3, 4, 4]
    assert set(log.reward.tolist()) == {1.0}
    assert log.reward_range == (0, 1)
    assert log.timestamp is None
    assert (log.exit, log.block.users.tolist(), log.block.items.tolist()) == ("category", [0, 2], [1, 3])
    names = log.item_features[0].vocabulary
    assert [{names[c] for c in row if c >= 0} for row in log.category_codes()] == [
        {"8"},
        {"27", "9"},
        {"9"},
        {"8"},
        {"7"},
    ]
    degree, fans = log.user_features
    assert [degree.vocabulary[c] if c >= 0 else None for c in degree.values] == ["high", "full", "full", None]
    np.testing.assert_allclose(fans.values, np.log1p([3, np.nan, 0, 1]), rtol=1e-6)
    assert (report.rows_read, report.rows_kept) == (9, 9)
    assert "2 of them repeat" in str(report)


def test_events_on_the_block_are_dropped_and_reported(tmp_path):
    log, report = read(write(tmp_path, log_positives="user_id,video_id\n10,0\n12,1\n11,1\n"))
    assert log.user.tolist() == [0, 1]
    assert report.rows_kept == 2
    assert report.dropped[0].count == 1
    assert report.dropped[0].example.endswith("row 3")


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("log_positives", "user_id,video_id\n10,0\n99,0\n", "row 3, column 'user_id': 99 is not in user_features.csv"),
        ("log_positives", "user_id,video_id\n10,x\n", "row 2, column 'video_id': 'x' is not a whole number"),
        ("log_positives", "user_id,video_id\n10,\n", "row 2, column 'video_id': empty"),
        ("log_positives", "user_id,item\n10,2\n", "there is no column 'video_id'"),
        ("truth_videos", "video_id\n77\n", "row 2, column 'video_id': 77 is not in item_categories.csv"),
        ("item_categories", "video_id,feat\n0,[8]\n1,8\n", r"row 3, column 'feat': '8' is not a list"),
        ("item_categories", "video_id,feat\n0,[8]\n0,[9]\n", "row 3, column 'video_id': video 0 occurs before"),
        ("user_features", "user_id,degree\n10,a\n10,b\n", "row 3, column 'user_id'"),
    ],
)
def test_errors_name_file_row_and_column(tmp_path, file, text, told):
    with pytest.raises(DataError) as error:
        read(write(tmp_path, **{file: text}))
    assert file in str(error.value)
    assert told in str(error.value)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path, name):
    (write(tmp_path) / name).unlink()
    with pytest.raises(DataError, match=f"{name}: file not found"):
        read(tmp_path)


def test_prepared_and_loaded_it_is_the_same(tmp_path):
    log, report = read(write(tmp_path / "raw"))
    save(log, tmp_path / "out", report)
    again = load(tmp_path / "out")
    assert again.block.users.tolist() == [0, 2]
    assert scope_of(again).items.tolist() == [1, 3]


def test_the_real_files():
    if "DARLR_DATA" not in os.environ or not os.path.isdir(os.path.join(os.environ["DARLR_DATA"], "kuairec_binary")):
        pytest.skip("DARLR_DATA does not name a folder with kuairec_binary/")
    log, report = read_source("kuairec_binary")
    assert (log.n_users, log.n_items, len(log)) == (7176, 10_728, 915_672)
    assert (len(log.block.users), len(log.block.items)) == (1411, 3327)
    assert len(np.unique(log.item)) == 10_611
    assert len(log.user_features) == 30
    assert report.dropped[0].count == 1
    assert log.category_codes().shape == (10_728, 4)
    assert len(log.item_features[0].vocabulary) == 31
