"""Checks of what a caller gives: histories of users, and items that may or may not be recommended."""

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, SupportsFloat

from darlr.errors import ConfigError

Item = str | int
Pairs = Iterable[tuple[Item, SupportsFloat]]
PAIRS = "give (item, reward) pairs, oldest first, such as [('sku-7', 4.0)]"


def read_history(history: Pairs, low: float, high: float) -> list[tuple[Item, float]]:
    """One user's events as a list. low, high: the range of rewards of the log that the policy was trained on.

    Raises ConfigError for what is no pair, and for a reward that is no number or outside the range.
    """
    if hasattr(history, "columns"):  # iterating over a frame gives its columns
        raise ConfigError(
            "option history: a frame holds no pairs; give its rows, in polars frame.rows(), in pandas "
            "frame.itertuples(index=False)"
        )
    if isinstance(history, str | bytes | Mapping) or not isinstance(history, Iterable):
        raise ConfigError(f"option history: {history!r} holds no events; {PAIRS}")
    return [_event(event, low, high) for event in history]


def _event(event: Any, low: float, high: float) -> tuple[Item, float]:
    if isinstance(event, str | bytes | Mapping):  # a text of two letters would pass as a pair
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


def read_items(items: Any, option: str) -> list[Any]:
    """Item ids as a list; one id alone is a list of one. Raises ConfigError for what holds no ids."""
    if isinstance(items, str | int):
        return [items]
    refuse_frame(items, option)
    if isinstance(items, bytes | Mapping) or not isinstance(items, Iterable):
        raise ConfigError(f"option {option}: {items!r} holds no item ids; give a list of them, such as ['sku-7']")
    return list(items)


def refuse_frame(ids: Any, option: str) -> None:
    """Raise ConfigError for a frame in place of ids: iterating over it gives names of columns, or columns."""
    if hasattr(ids, "columns"):
        raise ConfigError(f"option {option}: a frame is no list of ids; give its column of ids, such as frame['id']")


def of_user(given: Mapping[Any, Any], names: Iterable[Hashable]) -> Any:
    """What a mapping holds for a user, by the first of the user's names that it has; None if it has none."""
    return next((given[name] for name in names if name in given), None)
