"""Ranges of options as they are written for `darlr tune`."""

import pytest

from darlr.errors import ConfigError
from darlr.options import RunConfig
from darlr.options.json import to_json
from darlr.options.names import named
from darlr.options.tuning import USUAL, Range, read_range, space


def test_ranges_are_read_and_written_alike():
    for text in ("model.embedding=int:4:64:log", "model.dropout=float:0:0.5", "model.kind=choice:deepfm,mixed"):
        assert str(read_range(text)) == text
    assert read_range("reward.lambda_u=float:0.1:1").name == "reward.lambda-u"
    assert read_range("model.embedding=int:4:64").ends == (4, 64)
    assert read_range("x=choice:1,2.5,true,text").choices == (1, 2.5, True, "text")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model.embedding", "is no range"),
        ("model.embedding=real:1:2", "is no range"),
        ("=int:1:2", "is no range"),
        ("model.embedding=int:1", "needs two numbers"),
        ("model.embedding=int:1.5:3", "needs two numbers, which are whole after int"),
        ("model.dropout=float:0.5:0.5", "lower number before a higher one"),
        ("model.dropout=float:nan:1", "lower number before a higher one"),
        ("model.dropout=float:0:inf", "lower number before a higher one"),
        ("model.dropout=float:0:1:ln", "ends with 'ln', where only log can stand"),
        ("model.dropout=float:0:1:log", "begin above 0"),
        ("model.kind=choice:deepfm", "nothing to choose"),
        ("model.kind=choice:deepfm,deepfm", "nothing to choose"),
    ],
)
def test_text_that_is_no_range_is_refused(text, said):
    with pytest.raises(ConfigError, match=said):
        read_range(text)


def test_own_ranges_replace_the_usual_ones_of_their_options():
    names = [one.name for one in space("world", ())]
    found = space("world", ("model.embedding=int:2:3", "model.members=int:1:9"))
    assert [one.name for one in found] == [*names, "model.members"]
    assert {one.name: one for one in found}["model.embedding"] == Range("model.embedding", "int", 2, 3)
    kept = [one.name for one in space("world", (), fixed=["model.embedding", "model.kind"])]
    assert kept == [name for name in names if name != "model.embedding"]
    assert [one.name for one in space("world", ("model.members=int:1:9",), usual=False)] == ["model.members"]
    with pytest.raises(ConfigError, match="no option to search"):
        space("world", (), usual=False)


def test_usual_ranges_name_options_and_hold_their_defaults():
    values = named(to_json(RunConfig()))
    for texts in USUAL.values():
        for one in map(read_range, texts):
            assert one.holds(values[one.name])
