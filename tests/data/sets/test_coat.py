import numpy as np
import pytest

from darlr.data.sets.coat import read
from darlr.errors import DataError

USER_MAP = "gender:men\ngender:women\nage:young\nage:old"
ITEM_MAP = "jackettype:bomber\njackettype:vests\ncolor:blue"


@pytest.fixture
def folder(tmp_path):
    """Two users and three items in Coat's layout; item 3 has two jacket types."""
    features = tmp_path / "user_item_features"
    features.mkdir()
    (tmp_path / "train.ascii").write_text("0 5 1 \n2 0 0 \n")
    (features / "user_features_map.txt").write_text(USER_MAP)
    (features / "user_features.ascii").write_text("1 0 0 1\n0 1 1 0\n")
    (features / "item_features_map.txt").write_text(ITEM_MAP)
    (features / "item_features.ascii").write_text("1 0 1\n0 1 0\n1 1 1\n")
    return tmp_path


def test_ratings_and_decoded_features(folder):
    log, report = read(folder)
    assert log.user.tolist() == [0, 0, 1]
    assert log.item.tolist() == [1, 2, 0]
    assert log.reward.tolist() == [5, 1, 2]
    assert [(c.name, c.vocabulary, c.values.tolist()) for c in log.user_features] == [
        ("gender", ("men", "women"), [0, 1]),
        ("age", ("young", "old"), [1, 0]),
    ]
    assert [c.values.tolist() for c in log.item_features] == [[0, 1, -1], [0, -1, 0]]
    assert report.notes == (
        "item_features.ascii: 1 rows without exactly one 'jackettype' (first: row 3), set missing",
        "item_features.ascii: 1 rows without exactly one 'color' (first: row 2), set missing",
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train.ascii", "0 5 1\n2 0\n", "train.ascii, row 2: 2 values where row 1 has 3"),
        ("train.ascii", "0 5 1\n2 x 0\n", "train.ascii, row 2, column 2: 'x' is not a whole number"),
        ("train.ascii", "0 6 1\n2 0 0\n", "train.ascii, row 1, column 2: 6 is not a rating 0 to 5"),
        ("train.ascii", "", "train.ascii: the file is empty"),
        ("user_item_features/item_features.ascii", "1 0 1\n", "1 x 3 values, expected 3 x 3"),
        ("user_item_features/item_features_map.txt", "jackettype:a\nbomber\nc:d", "row 2: expected 'group:value'"),
        ("user_item_features/item_features_map.txt", "a:a\na:b\na:c", "no line starts with 'jackettype:'"),
    ],
)
def test_a_bad_file_is_named(folder, name, text, message):
    (folder / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read(folder)


def test_missing_files_name_the_variable(tmp_path):
    with pytest.raises(DataError, match=r"train\.ascii: file not found.*DARLR_DATA"):
        read(tmp_path)


def test_the_real_data(data_folder):
    log, report = read(data_folder / "coat")
    assert (log.n_users, log.n_items, len(log), report.notes) == (290, 300, 6960, ())
    assert (np.bincount(log.user) == 24).all()
    assert [c.name for c in log.user_features] == ["gender", "age", "location", "fashioninterest"]
    assert [len(c.vocabulary) for c in log.item_features] == [2, 16, 13, 2]
    # first item, by hand from the raw bits: men's bomber, column 28 = "other" colour, on the front page
    assert [c.vocabulary[c.values[0]] for c in log.item_features] == ["men", "bomber", "other", "yes"]
