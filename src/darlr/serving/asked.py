"""One user of a call, as the policy needs it: codes in place of ids, and the session so far."""

import math
import operator
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darlr.data.spelling import plain
from darlr.data.unit import Unit
from darlr.errors import ConfigError
from darlr.serving.given import ItemRule, of_user, read_history
from darlr.serving.ids import NEW, Id, Ids

SHORTEST = 16  # the least number of turns of a session


@dataclass(frozen=True)
class Rules:
    """What may be recommended. new_items: whether to leave out what the user has logged."""

    exclude: ItemRule
    only: ItemRule
    new_items: bool = False


@dataclass(frozen=True)
class Asked:
    """One user of a call. shown: the id in the answer. names: the keys that a mapping may have for the user.

    items, rewards: the history, as codes and in the log's unit. unknown: items of the history that are in no catalogue.
    """

    shown: Id | None
    code: int | None
    names: tuple[Any, ...]
    items: list[int]
    rewards: list[float]
    unknown: list[object]
    rules: Rules

    @property
    def kind(self) -> tuple[bool, int]:
        """Whether the user is in the log, and the number of turns that the history is padded to, a power of two.

        Only users of one kind are computed together. The order of floating-point sums depends on the padding, so the
        scores of a user would depend on the histories beside it.
        """
        return self.code is not None, max(SHORTEST, 1 << (len(self.items) - 1).bit_length())


def allowed_items(
    some: Sequence[Asked], n_items: int, logged: Callable[[int], NDArray[np.integer]]
) -> NDArray[np.bool_]:
    """Which items may be recommended to each user, bool [B, I]: none of the history. logged: the items of a user."""
    allowed = np.ones((len(some), n_items), dtype=bool)
    for row, one in enumerate(some):
        allowed[row, one.items] = False
        if one.rules.new_items and one.code is not None:
            allowed[row, logged(one.code)] = False
        wanted, banned = one.rules.only.marked(one.names), one.rules.exclude.marked(one.names)
        if wanted is not None:
            allowed[row] &= wanted
        if banned is not None:
            allowed[row] &= ~banned
    return allowed


def read_asked(user: Any, history: Any, rules: Rules, users: Ids, items: Ids, unit: Unit) -> Asked:
    """A user with a history: pairs, or a mapping from users to theirs. Raises ConfigError for what cannot be one."""
    if user is None or not isinstance(user, Hashable) or (isinstance(user, float) and math.isnan(user)):
        raise ConfigError(f"option users: {user!r} is no user id; leave it out, or name {NEW!r} for a new user")
    code = None if user is NEW else users.code(user)
    shown = _plain(user) if code is None else users.ids[code]
    names = tuple(dict.fromkeys((user, *(() if shown is None else (shown, str(shown))))))
    given = of_user(history, names) if isinstance(history, Mapping) else history
    events = read_history(() if given is None else given, *unit.bounds)
    codes, unknown = items.split([item for item, _ in events])
    rewards = [reward for item, reward in events if not unknown or items.code(item) is not None]
    return Asked(shown, code, names, codes, rewards, unknown, rules)


def padded(some: Sequence[Asked], unit: Unit) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The histories, newest event last: items int64 [B, T], -1 for none, and rewards as they are learned [B, T]."""
    shape = len(some), max(one.kind[1] for one in some)
    items, rewards = np.full(shape, -1, np.int64), np.zeros(shape)
    for row, one in enumerate(some):
        if one.items:
            items[row, -len(one.items) :], rewards[row, -len(one.items) :] = one.items, one.rewards
    return items, np.where(items < 0, np.float32(0), unit.learn(rewards))


def _plain(user: Any) -> Id | None:
    """An unknown user in the answer: a whole number as it is, anything else as text, None for `NEW`."""
    if user is NEW:
        return None
    try:
        return operator.index(user)
    except TypeError:
        return plain(str(user))
