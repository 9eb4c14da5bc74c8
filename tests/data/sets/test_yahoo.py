import numpy as np
import pytest

from darlr.data.sets.yahoo import TEST, TRAIN, read, read_random
from darlr.data.store import checksum
from darlr.errors import DataError
from tests.raw import yahoo


def write(folder, train, test="1\t30\t5\n3\t10\t1\n"):
    for name, text in ((TRAIN, train), (TEST, test)):
        (folder / name).write_bytes(text.encode("latin1"))
    return folder


def test_by_hand(tmp_path):
    log, report = read(write(tmp_path, "1\t20\t3\n3\t10\t4\n1\t20\t5\n7\t10\t1\n"))
    assert (log.user_ids, log.item_ids) == ((1, 3, 7), (10, 20, 30))
    assert (log.user.tolist(), log.item.tolist(), log.reward.tolist()) == ([0, 1, 2], [1, 0, 0], [3, 4, 1])
    assert (log.exit, log.reward_range, log.user_features, log.item_features) == ("none", (1.0, 5.0), (), ())
    assert (report.rows_read, report.rows_kept, report.dropped[0].count) == (4, 3, 1)
    assert report.dropped[0].example == f"{tmp_path / TRAIN}, row 3"
    random, _ = read_random(tmp_path)
    assert (random.user.tolist(), random.item.tolist(), random.reward.tolist()) == ([0, 1], [2, 0], [5, 1])
    assert random.user_ids == log.user_ids


def test_the_generated_files_come_out_as_they_were_written(tmp_path):
    world = yahoo.write(tmp_path)
    log, report = read(tmp_path)
    written = np.loadtxt(tmp_path / TRAIN, dtype=int)
    found = np.stack([np.array(log.user_ids)[log.user], np.array(log.item_ids)[log.item]], axis=1)
    assert report.dropped[0].count == world.repeats > 0
    assert (found == np.unique(written[:, :2], axis=0)).all()
    assert read_random(tmp_path)[0].user.tolist() == np.repeat(np.arange(40), 10).tolist()


def test_the_log_does_not_depend_on_the_random_ratings(tmp_path):
    train = "1\t20\t3\n3\t10\t4\n"
    before = checksum(read(write(tmp_path, train))[0])
    assert checksum(read(write(tmp_path, train, "1\t30\t1\n3\t10\t5\n"))[0]) == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1\t2\t3\n2\t2\t6\n", "row 2, column 'rating': 6 is not a rating 1 to 5"),
        ("1\t2\t3\n2\t2\t3.5\n", "row 2, column 'rating': '3.5' is not a whole number"),
        ("1\t2\t3\n2\t2\n", "row 2, column 'rating': empty"),
        ("1\t2\t3\na\t2\t1\n", "row 2, column 'user': 'a' is not a whole number"),
        ("1\t2\t3\n1\t1\t1\t1\n", "row 2: 4 values where the layout has 3 columns"),
        ("1 2 3\n", "row 1: 1 values; expected user, song, rating, with tabs between them"),
        ("1\t2\t3\n\xff\t1\t1\n", "line 2: is not UTF-8"),
        ("", "the file is empty"),
    ],
)
def test_errors_name_file_row_and_column(tmp_path, text, told):
    with pytest.raises(DataError) as error:
        read(write(tmp_path, text))
    assert f"{TRAIN}" in str(error.value)
    assert told in str(error.value)


@pytest.mark.parametrize("name", [TRAIN, TEST])
def test_a_missing_file_is_named(tmp_path, name):
    (write(tmp_path, "1\t2\t3\n") / name).unlink()
    with pytest.raises(DataError, match=f"{name}: file not found.*yahoo/"):
        read(tmp_path)
