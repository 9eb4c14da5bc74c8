"""What a caller gives: histories of users, and the items that must or must not be recommended."""

import math
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from darlr.errors import ConfigError, DarlrWarning
from darlr.serving.ids import Id, Ids

Pairs = Iterable[tuple[Id, SupportsFloat]]
PAIRS = "give (item, reward) pairs, oldest first, such as [('sku-7', 4.0)]"
NAMED = 5  # the most unknown items that a warning names


def read_history(history: Pairs, low: float, high: float) -> list[tuple[Id, float]]:
    """One user's events as a list. low, high: the range of rewards of the log that the policy was trained on.

    Raises ConfigError for what is not a pair, and for a reward that is not a number or is outside the range.
    """
    if hasattr(history, "columns"):  # iterating over a frame gives its columns
        raise ConfigError(
            "option history: a frame holds no pairs; give its rows, in polars frame.rows(), in pandas "
            "frame.itertuples(index=False)"
        )
    if isinstance(history, str | bytes | Mapping) or not isinstance(history, Iterable):
        raise ConfigError(f"option history: {history!r} holds no events; {PAIRS}")
    return [_event(event, low, high) for event in history]


def _event(event: Any, low: float, high: float) -> tuple[Id, float]:
    try:
        item, given = [] if isinstance(event, str | bytes | Mapping) else event  # a text of two letters is no pair
    except (TypeError, ValueError):
        raise ConfigError(f"option history: {event!r} is no event; {PAIRS}") from None
    try:
        reward = math.nan if isinstance(given, str | bytes) else float(given)
    except (TypeError, ValueError, OverflowError):
        reward = math.nan
    if math.isnan(reward):
        raise ConfigError(f"option history: the reward of item {item!r} must be a number, not {given!r}")
    slack = 1e-6 * max(abs(low), abs(high))  # the range was stored in 32 bits
    if not low - slack <= reward <= high + slack:
        raise ConfigError(
            f"option history: the reward of item {item!r} is {reward:g}, outside the log's range of {low:g} to "
            f"{high:g}; use its units, clip it to the range, or train on a log that was read with a wider range "
            "(option reward-range)"
        )
    return item, reward


def of_user(given: Mapping[Any, Any], names: Iterable[Hashable]) -> Any:
    """The value of a mapping under the first of the user's names that it has; None where it has none."""
    return next((given[name] for name in names if name in given), None)


def refuse_frame(ids: Any, option: str) -> None:
    """Raise ConfigError for a frame in place of ids, because iterating over it gives its columns."""
    if hasattr(ids, "columns"):
        raise ConfigError(f"option {option}: a frame is no list of ids; give its column of ids, such as frame['id']")


class ItemRule:
    """The option `exclude` or `only`: items for everybody, or for each user of a mapping.

    unknown: the ids found so far that are not in the catalogue; they have no effect.
    """

    def __init__(self, given: Any, option: str, items: Ids) -> None:
        """given: the value of the option; None is no rule. Raises ConfigError for what holds no ids."""
        self.option, self.items = option, items
        self.unknown: list[object] = []
        self.by_user: Mapping[Any, Any] | None = given if isinstance(given, Mapping) else None
        self.everybody = None if given is None or self.by_user is not None else self._marked(given)

    def marked(self, names: Iterable[Any]) -> NDArray[np.bool_] | None:
        """The items that the rule names for the user of these names, bool [I]; None where it has no entry."""
        if self.by_user is None:
            return self.everybody
        found = of_user(self.by_user, names)
        return None if found is None else self._marked(found)

    def _marked(self, given: Any) -> NDArray[np.bool_]:
        refuse_frame(given, self.option)
        given = [given] if isinstance(given, str | int) else given
        if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
            raise ConfigError(f"option {self.option}: {given!r} holds no item ids; give a list, such as ['sku-7']")
        codes, unknown = self.items.split(list(given))
        self.unknown += unknown
        marked = np.zeros(len(self.items.ids), dtype=bool)
        marked[codes] = True
        return marked


def unknown_items(option: str, unknown: Sequence[object]) -> list[str]:
    """A sentence that names the unknown items of an option; none where there are none."""
    if not unknown:
        return []
    names = list(dict.fromkeys(str(name) for name in unknown))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    message = f"items that the log does not hold were left out: {', '.join(map(repr, names[:NAMED]))}{more}"
    return [f"option {option}: {message}"]


def warn_of_unknown(option: str, unknown: Sequence[object]) -> None:
    """Show one DarlrWarning that names the unknown items of an option, if there are any."""
    for message in unknown_items(option, unknown):
        warnings.warn(message, DarlrWarning, stacklevel=3)
