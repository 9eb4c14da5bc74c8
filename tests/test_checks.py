"""The sample of calls whose annotated shapes are checked while tests run."""

import jaxtyping
import pytest
import torch

from darlr.methods.rewards import References
from darlr.world.feedback import standardise
from tests import checks


def refused(calls: int) -> list[int]:
    """Which of so many calls are refused, where each passes three dimensions for two."""
    found = []
    for number in range(1, calls + 1):
        try:
            standardise(torch.rand(2, 3, 4))
        except jaxtyping.TypeCheckError:
            found.append(number)
    return found


def test_the_first_calls_are_checked_and_some_that_follow() -> None:
    expected = [*range(1, checks.FIRST + 1), checks.EVERY, 2 * checks.EVERY]
    assert refused(2 * checks.EVERY + 1) == expected


def test_each_test_begins_anew() -> None:
    assert refused(2) == [1, 2]


def test_dataclasses_are_checked_when_they_are_made() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        References(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2), torch.zeros(3))
