"""Rewards and propensities: cells that are no numbers, and numbers outside their range."""

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import FloatArray
from darlr.data.tabular.columns import number_problem
from darlr.data.tabular.events import Events

SHARE = 0.01  # of the reward range: where the rewards fill less, the range is noted


def refuse_bad_numbers(events: Events, what: str, column: str, keep: NDArray[np.bool_]) -> None:
    """Raise DataError at the first row to keep without a finite number."""
    bad = ~np.isfinite(events.numbers[what]) & keep
    if bad.any():
        row = int(bad.argmax())
        texts = events.texts(row, column)
        advice = f"; the column holds texts, {texts}: write a number for each, or keep the rows of one of them"
        advice += " and set the option implicit" if what == "reward" else ""
        events.fail(row, column, number_problem(events.cell(row, column), what) + (advice if texts else ""))


def observed_range(reward: FloatArray) -> tuple[float, float]:
    """Lowest and highest reward; a single value v gives (0, v), (v, 0), or (0, 1) when v is 0."""
    low, high = float(reward.min()), float(reward.max())
    if low < high:
        return low, high
    return (min(low, 0.0), max(high, 0.0)) if low else (0.0, 1.0)


def unused_range(reward: FloatArray, low: float, high: float) -> list[str]:
    """A note where the reward range is far wider than the rewards are."""
    least, most = float(reward.min()), float(reward.max())
    if least == most or most - least >= SHARE * (high - low):
        return []
    found = f"{low:g} to {high:g} is far wider than the rewards, which are {least:g} to {most:g}"
    return [f"option reward-range: {found}; is it right?"]


def refuse_outside(
    events: Events,
    column: str,
    what: str,
    keep: NDArray[np.bool_],
    limits: tuple[float, float],
    above: bool = False,
) -> None:
    """Raise DataError at the first row to keep outside the limits (`above`: the low limit is out too)."""
    with np.errstate(over="ignore"):
        values = events.numbers[what].astype(np.float32, copy=False)  # a limit of 0.1 holds a float32 of 0.1
        low, high = (np.float32(limit) for limit in limits)
    outside = ((values < low) | (values > high) | (above & (values == low))) & keep
    if outside.any():
        row = int(outside.argmax())
        wanted = f"above {limits[0]:g} and at most {limits[1]:g}" if above else f"from {limits[0]:g} to {limits[1]:g}"
        events.fail(row, column, f"{what} {events.numbers[what][row]:g} must be {wanted}")
