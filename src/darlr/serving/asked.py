"""One user of a call, as the policy needs it: codes in place of ids, and the session so far."""

import math
import operator
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from darlr.data.spelling import plain
from darlr.data.unit import Unit
from darlr.errors import ConfigError
from darlr.serving.given import ItemRule, of_user, read_history
from darlr.serving.ids import NEW, Id, Ids
from darlr.simulation.session import Session, reset
from darlr.world.tables import Histories

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


def allowed_items(some: Sequence[Asked], session: Session, logged: Histories) -> Tensor:
    """Which items may be recommended to each user, bool [B, I]: none that the session holds."""
    allowed = ~replace(session, user=session.user[: len(some)], items=session.items[: len(some)]).seen
    for row, one in enumerate(some):
        if one.rules.new_items and one.code is not None:
            allowed[row, logged.one(one.code)] = False
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


def session_of(some: Sequence[Asked], n_items: int, unit: Unit) -> Session:
    """The sessions so far; cold-start users have the codes 0, 1, ... in the policy that is built for them."""
    codes = [place if one.code is None else one.code for place, one in enumerate(some)]
    turns = torch.tensor([len(one.items) for one in some])
    start = reset(torch.tensor(codes), n_items, max(one.kind[1] for one in some))
    items, rewards = start.items, start.rewards.double()
    for row, one in enumerate(some):
        if one.items:  # the newest event comes last
            items[row, -len(one.items) :] = torch.tensor(one.items, dtype=torch.int64)
            rewards[row, -len(one.items) :] = torch.tensor(one.rewards, dtype=torch.float64)
    learned = unit.learn(rewards).masked_fill(items < 0, 0.0)
    return replace(start, items=items, rewards=learned, turn=turns)


def _plain(user: Any) -> Id | None:
    """An unknown user in the answer: a whole number as it is, anything else as text, None for `NEW`."""
    if user is NEW:
        return None
    try:
        return operator.index(user)
    except TypeError:
        return plain(str(user))
