import pytest

from darlr.io.hints import perhaps


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("stras", "perhaps you meant 'Stars'"),
        ("STARS", "perhaps you meant 'Stars'"),
        ("x", ""),
        ("usr", "perhaps you meant 'user'"),
    ],
)
def test_the_name_most_like_a_word_is_offered_in_its_own_spelling(word, hint):
    assert perhaps(word, ["user", "Stars"]) == hint


def test_a_prefix_is_shown_and_not_compared():
    assert perhaps("widhts", ["widths"], prefix="inner.") == "perhaps you meant 'inner.widths'"
    assert perhaps("inner", ["widths"], "known: widths", prefix="inner.") == "known: widths"
