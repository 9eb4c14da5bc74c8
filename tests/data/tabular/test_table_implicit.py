"""Logs of clicks, which have no rewards, and columns of words in place of rewards."""

import pytest

from darlr.data.tabular.read_table import read_table
from darlr.errors import ConfigError, DataError
from darlr.options import TableConfig

CLICKS = "user,item,t,event\nann,x,1,view\nbob,y,2,view\nann,y,3,cart\n,y,4,buy\nann,x,1,view\n"


@pytest.fixture
def clicks(tmp_path):
    (tmp_path / "log.csv").write_text(CLICKS)
    return tmp_path / "log.csv"


def test_each_event_of_a_log_without_rewards_is_a_positive(clicks):
    log, report = read_table(TableConfig(clicks, implicit=True, timestamp="t"))
    assert (log.reward.tolist(), log.reward_range) == ([1, 1, 1], (0.0, 1.0))
    assert [(dropped.reason, dropped.count) for dropped in report.dropped] == [
        ("no user id", 1),
        ("exact repeat of an earlier row", 1),
    ]
    assert any("every event is a positive of reward 1 (option implicit)" in note for note in report.remarks)
    assert read_table(TableConfig(clicks, implicit=True, reward_range=(0, 2)))[0].reward_range == (0, 2)


def test_a_missing_column_of_rewards_points_to_implicit_and_no_other_column_does(clicks):
    with pytest.raises(
        DataError, match=r"no column 'reward'; columns: .*; name the column of rewards .* set the option implicit .*"
    ):
        read_table(TableConfig(clicks))
    for config in (TableConfig(clicks, user="who"), TableConfig(clicks, implicit=True, timestamp="when")):
        with pytest.raises(DataError, match="no column") as found:
            read_table(config)
        assert "implicit" not in str(found.value)


def test_a_column_of_words_says_which_and_what_to_do(clicks, tmp_path):
    with pytest.raises(DataError) as found:
        read_table(TableConfig(clicks, reward="event"))
    assert str(found.value) == (
        f"{clicks}, row 2, column 'event': 'view' is not a number (reward); the column holds texts, 'view' (3), "
        "'buy' (1), 'cart' (1): write a number for each, or keep the rows of one of them and set the option implicit"
    )
    (tmp_path / "log.csv").write_text("user,item,reward\na,x,1\nb,y,oops\n")  # one bad cell is not a column of words
    with pytest.raises(DataError, match=r"row 3, column 'reward': 'oops' is not a number \(reward\)$"):
        read_table(TableConfig(clicks))


def test_implicit_and_rewards_exclude_each_other(clicks):
    with pytest.raises(ConfigError, match="option implicit: reward 'stars' is named too"):
        TableConfig(clicks, implicit=True, reward="stars")
    with pytest.raises(ConfigError, match="option reward-range: 2 to 3 must hold 1"):
        TableConfig(clicks, implicit=True, reward_range=(2, 3))
