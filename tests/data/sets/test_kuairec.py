import numpy as np
import pytest

from darlr.data.log import check
from darlr.data.scope import scope_of
from darlr.data.sets.kuairec import located, read
from darlr.data.sources import open_source
from darlr.errors import DataError
from darlr.options import KuaiRecConfig
from tests.kuairec_raw import FILES, HEADER, big, write


def cells(log):
    """User id, video id, reward of each event."""
    users, items = np.array(log.user_ids), np.array(log.item_ids)
    return list(zip(users[log.user].tolist(), items[log.item].tolist(), log.reward.tolist(), strict=True))


def test_a_tiny_folder(tmp_path):
    log, report = read(write(tmp_path))
    check(log)
    assert (log.user_ids, log.item_ids) == ((10, 11, 12, 13), (0, 1, 2, 3, 4))
    assert cells(log) == [(10, 2, 1.5), (10, 0, 0.25), (10, 2, 5.0), (11, 1, 0.0), (13, 4, 1.0)]
    assert log.timestamp.tolist() == [1593878402500, 1593878403438, 1593878404000, 1593878401000, 1593878401000]
    assert (log.reward_range, log.exit, log.category) == ((0, 5), "category", "category")
    scope = scope_of(log)
    assert (scope.users.tolist(), scope.items.tolist()) == ([0, 2], [1, 3])
    category, duration = log.item_features
    names = [{category.vocabulary[code] for code in row if code >= 0} for row in category.values]
    assert names == [{"8"}, {"27", "9"}, {"9"}, {"8"}, {"7"}]
    np.testing.assert_allclose(duration.values, np.log([4.2, 5, 6, 2, 3]), rtol=1e-6)
    degree, fans = log.user_features
    assert [degree.vocabulary[code] if code >= 0 else None for code in degree.values] == ["high", "full", "full", None]
    np.testing.assert_allclose(fans.values, np.log1p([3, np.nan, 0, 1]), rtol=1e-6)
    assert (report.rows_read, report.rows_kept, report.dropped) == (5, 5, ())
    assert "1 events repeat a cell and are kept" in str(report)
    assert "3 of 4 cells of the block were observed" in str(report)
    assert "duration of 3 videos from item_daily_features.csv, of 2 from big_matrix.csv, of 0 not" in str(report)


def test_every_odd_event_is_counted(tmp_path):
    rows = [(11, 0, 1, ""), (11, 0, 2, "inf"), (11, 0, 3, "nan"), (11, 0, 4, -0.5), (11, 0, 5, "-inf")]
    rows += [(10, 1, 6, 1.0), (12, 3, 7, ""), (12, 4, 8, 2.0)]
    log, report = read(write(tmp_path, big_matrix=big(*rows)))
    assert cells(log) == [(11, 0, 5.0), (12, 4, 2.0)]
    assert [(d.reason, d.count, d.example.rsplit(", ")[-1]) for d in report.dropped] == [
        ("no watch ratio", 3, "row 2"),
        ("a negative watch ratio", 2, "row 5"),
        ("events on cells of the truth", 1, "row 7"),
    ]
    assert (report.rows_read, report.rows_kept) == (8, 2)
    assert "1 infinite watch ratios (a video of no duration) count 5" in str(report)


def test_events_come_in_time_order_and_gaps_keep_their_place(tmp_path):
    rows = [(13, 0, 9, 0.1), (11, 0, 8, 0.2), (11, 1, "", 0.3), (11, 2, 4, 0.4), (13, 1, 7, 0.5), (12, 4, "", 0.6)]
    rows += [(13, 2, "", 0.7), (10, 0, "", 0.8), (10, 2, 9, 0.9)]
    log, report = read(write(tmp_path, big_matrix=big(*rows)))
    assert [(user, item) for user, item, _ in cells(log)] == [
        (10, 0),
        (10, 2),
        (11, 2),
        (11, 0),
        (11, 1),
        (12, 4),
        (13, 1),
        (13, 2),
        (13, 0),
    ]
    assert log.timestamp.tolist() == [9000, 9000, 4000, 8000, 8000, 4000, 7000, 7000, 9000]
    assert "4 events without a time" in str(report)


def test_without_any_time_the_log_has_none(tmp_path):
    log, report = read(write(tmp_path, big_matrix=big((13, 0, "", 1.0), (11, 2, "", 0.5))))
    assert log.timestamp is None
    assert cells(log) == [(13, 0, 1.0), (11, 2, 0.5)]
    assert "no event has a time" in str(report)


def test_rewards_as_they_are(tmp_path):
    rows = [(11, 0, 1, 8.5), (11, 1, 2, "inf"), (11, 2, 3, 0.5)]
    log, _ = read(write(tmp_path, big_matrix=big(*rows)), KuaiRecConfig(reward="raw"))
    assert log.reward.tolist() == [8.5, 5.0, 0.5]
    assert log.reward_range == (0, 8.5)


def test_normalised_rewards_compare_videos(tmp_path):
    # 101 events each: video 0 from 0 to 1, video 4 from 0 to 4; their 2nd and 98th percentiles become 0 and 1
    rows = [(11 + 2 * (k % 2), video, k, k * top / 100) for video, top in ((0, 1), (4, 4)) for k in range(101)]
    rows.append((11, 2, 0, 2.0))  # alone: the scale of the whole log
    log, _ = read(write(tmp_path, big_matrix=big(*rows)), KuaiRecConfig(reward="normalised"))
    check(log)
    assert log.reward_range == (0, 1)
    wanted = np.clip((np.arange(101) - 2) / 96, 0, 1)
    for video in (0, 4):
        chosen = np.sort(log.reward[log.item == video])
        np.testing.assert_allclose(chosen, wanted, atol=1e-6)
    whole = np.quantile([row[3] for row in rows], [0.02, 0.98])
    assert log.reward[log.item == 2] == pytest.approx((2 - whole[0]) / (whole[1] - whole[0]))


def test_without_daily_features_durations_come_from_the_events(tmp_path):
    (write(tmp_path) / "item_daily_features.csv").unlink()
    log, report = read(tmp_path)
    np.testing.assert_allclose(np.exp(log.item_features[1].values), [4, 5, 6, np.nan, 3], rtol=1e-6)
    assert "of 0 videos from item_daily_features.csv, of 4 from big_matrix.csv, of 1 not known" in str(report)


@pytest.mark.parametrize("place", ["kuairec", "KuaiRec 2.0/data", "kuairec/KuaiRec 2.0/data"])
def test_where_the_files_may_lie(tmp_path, place):
    write(tmp_path / place)
    assert located(tmp_path / "kuairec") == tmp_path / place
    assert len(open_source("kuairec", raw=tmp_path)) == 5


@pytest.mark.parametrize("name", [name for name in FILES if name != "item_daily_features"])
def test_a_missing_file_is_named(tmp_path, name):
    (write(tmp_path) / f"{name}.csv").unlink()
    with pytest.raises(DataError, match=rf"{name}\.csv: file not found; .*DARLR_DATA.*kuairec/ or 'KuaiRec 2.0/data/'"):
        read(tmp_path)


ROW = "11,1,0,5000,2020-07-05 00:00:01.000,20200705,1593878401.0,0.0\n"


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("big_matrix", HEADER + ROW + ROW.replace(",0.0\n", ",good\n"), "row 3, column 'watch_ratio': 'good' is not a"),
        ("big_matrix", HEADER + ROW + "11.5" + ROW[2:], "row 3, column 'user_id': '11.5' is not a whole number"),
        ("big_matrix", HEADER + ROW + "3000000000" + ROW[2:], "'3000000000' is not a whole number below 2^31"),
        ("big_matrix", HEADER + ROW + ROW[2:], "row 3, column 'user_id': empty"),
        ("big_matrix", HEADER + ROW + "99" + ROW[2:], "row 3, column 'user_id': 99 is not in user_features.csv"),
        ("big_matrix", HEADER + "11,9" + ROW[4:], "row 2, column 'video_id': 9 is not in item_categories.csv"),
        ("big_matrix", HEADER + ROW.replace("1593878401.0", "1e300"), "column 'timestamp': 1e+300 is not a time"),
        ("big_matrix", HEADER + ROW.replace("1593878401.0", "noon"), "row 2, column 'timestamp': 'noon' is not a"),
        ("big_matrix", HEADER + ROW + ROW.strip() + ",7\n", "row 3: 9 values where the header names 8 columns"),
        ("big_matrix", HEADER.replace("watch_ratio", "ratio") + ROW, "no column 'watch_ratio'; perhaps you meant 'rat"),
        ("big_matrix", HEADER, "the file has no rows"),
        ("big_matrix", big((11, 0, 1, ""), (10, 1, 2, 1.0)), "no row of the file can be kept"),
        ("small_matrix", HEADER + "99" + ROW[2:], "row 2, column 'user_id': 99 is not in user_features.csv"),
        ("item_categories", "video_id,feat\n0,[8]\n1,8\n", "row 3, column 'feat': '8' is not a list"),
        ("item_categories", "video_id,feat\n0,[8]\n0,[9]\n", "row 3, column 'video_id': video 0 occurs before"),
        ("item_daily_features", "video_id,video_duration\n9,1\n", "row 2, column 'video_id': 9 is not in item_categ"),
        (
            "item_daily_features",
            "video_id,video_duration\n0,x\n",
            "row 2, column 'video_duration': 'x' is not a number",
        ),
        ("user_features", "user_id,degree\n10,a\n10,b\n", "row 3, column 'user_id'"),
    ],
)
def test_errors_name_file_row_and_column(tmp_path, file, text, told):
    with pytest.raises(DataError) as error:
        read(write(tmp_path, **{file: text}))
    assert f"{file}.csv" in str(error.value)
    assert told in str(error.value)
