"""What a caller says of a session so far, checked: pairs of an item and a reward in the log's units."""

import math
from collections.abc import Iterable
from typing import Any, SupportsFloat

from darlr.errors import ConfigError

Item = str | int
PAIRS = "give (item, reward) pairs, oldest first, such as [('sku-7', 4.0)]"


def read_history(history: Iterable[tuple[Item, SupportsFloat]], low: float, high: float) -> list[tuple[Item, float]]:
    """The events as a list, whatever gives them. low, high: the range of rewards that the policy was trained on.

    Raises ConfigError for what is no pair, and for a reward that is no number or outside the range.
    """
    if isinstance(history, str | bytes | dict) or not isinstance(history, Iterable):
        raise ConfigError(f"option history: {history!r} holds no events; {PAIRS}")
    return [_event(event, low, high) for event in history]


def _event(event: Any, low: float, high: float) -> tuple[Item, float]:
    if isinstance(event, str | bytes | dict):  # a text of two letters would pass as a pair
        raise ConfigError(f"option history: {event!r} is no event; {PAIRS}")
    try:
        item, given = event
    except (TypeError, ValueError):
        raise ConfigError(f"option history: {event!r} is no event; {PAIRS}") from None
    try:
        reward = None if isinstance(given, str | bytes) else float(given)
    except (TypeError, ValueError, OverflowError):
        reward = None
    if reward is None or math.isnan(reward):
        raise ConfigError(f"option history: the reward of item {item!r} must be a number, not {given!r}")
    slack = 1e-6 * max(abs(low), abs(high))  # the range was stored in 32 bits
    if not low - slack <= reward <= high + slack:
        raise ConfigError(
            f"option history: the reward of item {item!r} is {reward:g}, outside the log's range of {low:g} to "
            f"{high:g}; use its units, cut it to the range, or train on a log prepared with a wider --reward-range"
        )
    return item, reward
