"""A trained policy on its own, without a data set and a world model: it recommends to one user or many.

from darlr.serving.folder import read_policy

policy = read_policy(Path("runs/demo-coat"))  # a run folder, or a copy of its folder `policy`
policy.recommend(42, n=5, history=[(7, 4.0), (12, 2.0)])  # item and reward, oldest first
policy.recommend(NEW, n=5, history=[(7, 4.0)])  # a cold-start user
"""

import math
import operator
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, SupportsIndex

import torch
from torch import Tensor

from darlr.agents.policy import RecommenderPolicy
from darlr.data.spelling import plain
from darlr.data.unit import Unit
from darlr.errors import ConfigError, RunError
from darlr.serving.given import ItemRule, Pairs, of_user, read_history, refuse_frame, warn_of_unknown
from darlr.serving.ids import NEW, Id, Ids, NewUser
from darlr.serving.newcomers import Newcomers
from darlr.simulation.policy import Policy, masked
from darlr.simulation.session import Session, reset
from darlr.world.tables import Histories

if TYPE_CHECKING:
    import polars as pl

User = Id | NewUser
Items = Iterable[Id] | Id
CELLS = 1 << 21  # the cells of a table, or of histories, that are held at once


@dataclass(frozen=True)
class _Asked:
    """One user of a call. shown: the id in the answer. names: the keys that a mapping may have for the user.

    items, rewards: the history, as codes and in the log's unit.
    """

    shown: Id | None
    code: int | None
    names: tuple[Any, ...]
    items: list[int]
    rewards: list[float]


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy with the ids, the unit of rewards and the logged items of its users."""

    policy: Policy
    users: Ids
    items: Ids
    unit: Unit
    logged: Histories
    newcomers: Newcomers

    def recommend(
        self,
        users: User | Iterable[User],
        n: SupportsIndex = 10,
        *,
        history: Pairs | Mapping[User, Pairs] | None = None,
        exclude: Items | Mapping[User, Items] | None = None,
        only: Items | Mapping[User, Items] | None = None,
        new_items: bool = False,
    ) -> "pl.DataFrame":
        """The n best next items of each user, best first: a frame of user, rank, item, score and known.

        users: one id, several, or `NEW`. A user who is not in the log is a cold-start user like `NEW`, and `known` is
        false: the history is folded into the world model, and without one the answer is that of the mean user.
        history: the session so far, (item id, reward in the log's unit) pairs, oldest first, of a single user, or a
        mapping from users to their pairs. Its items are not recommended again.
        exclude: items that are not recommended to anybody, or a mapping from users to such items. only: likewise, the
        only items that may be recommended; users who are not in the mapping may get all.
        new_items: whether to leave out the items that the user has logged.
        score: the probability that the policy recommends the item next; for a list or a table 1 for the first item.

        A mapping may spell a user as the call or as the log does. Unknown items are left out; one DarlrWarning for each
        option names them. Raises ConfigError for an `n` below 1, for what holds no pairs or ids, such as a frame or a
        missing id, and for a reward that is not a number or outside the log's range.
        """
        count = _count(n)
        alone = isinstance(users, str | int | NewUser) or not isinstance(users, Iterable)
        refuse_frame(users, "users")
        listed: list[Any] = [users] if alone else list(users)  # type: ignore[arg-type]
        if history is not None and not isinstance(history, Mapping) and len(listed) != 1:
            raise ConfigError("option history: several users need a mapping from each user to (item, reward) pairs")
        asked, unknown = self._asked(listed, history)
        warn_of_unknown("history", unknown)
        rules = ItemRule(exclude, "exclude", self.items), ItemRule(only, "only", self.items)
        width = min(count, len(self.items.ids))
        codes = torch.zeros(len(asked), width, dtype=torch.int64)
        scores = torch.zeros(len(asked), width, dtype=torch.float32)
        counts = torch.zeros(len(asked), dtype=torch.int64)
        for known, places in self._chunks(asked):
            some = [asked[place] for place in places]
            session = self._session(some)
            allowed = self._allowed(some, session, *rules, new_items)
            policy = self.policy if known else self.newcomers.policy(session.items, session.rewards)
            codes[places], scores[places] = self._best(policy, session, allowed, width, some)
            counts[places] = allowed.sum(1).clamp(max=width)
        for rule in rules:
            warn_of_unknown(rule.option, rule.unknown)
        return self._frame(asked, codes, scores, counts)

    def _asked(self, users: Sequence[Any], history: Any) -> tuple[list[_Asked], list[object]]:
        """The users of a call with their histories, and the unknown items of the histories."""
        bounds = self.unit.bounds
        if isinstance(history, Mapping):  # refuse {item: reward}
            _ = [read_history(given, *bounds) for given in history.values() if not isinstance(given, Iterable)]
        asked: list[_Asked] = []
        unknown: list[object] = []
        for user in users:
            if user is None or not isinstance(user, Hashable) or (isinstance(user, float) and math.isnan(user)):
                raise ConfigError(f"option users: {user!r} is no user id; leave it out, or name {NEW!r} for a new user")
            code = None if user is NEW else self.users.code(user)
            shown = _plain(user) if code is None else self.users.ids[code]
            names = tuple(dict.fromkeys((user, *(() if shown is None else (shown, str(shown))))))
            given = of_user(history, names) if isinstance(history, Mapping) else history
            events = read_history(() if given is None else given, *bounds)
            items, missing = self.items.split([item for item, _ in events])
            unknown += missing
            rewards = [reward for item, reward in events if not missing or self.items.code(item) is not None]
            asked.append(_Asked(shown, code, names, items, rewards))
        return asked, unknown

    def _chunks(self, asked: Sequence[_Asked]) -> Iterator[tuple[bool, list[int]]]:
        """The log's users, then others, in chunks of bounded memory: whether they are known, and their places."""
        longest = max((len(one.items) for one in asked), default=0)
        size = max(1, CELLS // max(len(self.items.ids), 64 * longest))
        for known in (True, False):
            places = [place for place, one in enumerate(asked) if (one.code is not None) == known]
            yield from ((known, places[start : start + size]) for start in range(0, len(places), size))

    def _session(self, some: Sequence[_Asked]) -> Session:
        """The sessions so far; cold-start users have the codes 0, 1, ... in the policy that is built for them."""
        codes = [place if one.code is None else one.code for place, one in enumerate(some)]
        turns = torch.tensor([len(one.items) for one in some])
        start = reset(torch.tensor(codes), len(self.items.ids), max(1, int(turns.max())))
        items, rewards = start.items, start.rewards.double()
        for row, one in enumerate(some):
            if one.items:  # the newest event comes last
                items[row, -len(one.items) :] = torch.tensor(one.items, dtype=torch.int64)
                rewards[row, -len(one.items) :] = torch.tensor(one.rewards, dtype=torch.float64)
        learned = self.unit.learn(rewards).masked_fill(items < 0, 0.0)
        return replace(start, items=items, rewards=learned, turn=turns)

    def _allowed(
        self, some: Sequence[_Asked], session: Session, exclude: ItemRule, only: ItemRule, new_items: bool
    ) -> Tensor:
        """Which items may be recommended to each user, bool [B, I]."""
        allowed = ~session.seen
        for row, one in enumerate(some):
            if new_items and one.code is not None:
                allowed[row, self.logged.one(one.code)] = False
            wanted, banned = only.marked(one.names), exclude.marked(one.names)
            if wanted is not None:
                allowed[row] &= wanted
            if banned is not None:
                allowed[row] &= ~banned
        return allowed

    def _best(
        self, policy: Policy, session: Session, allowed: Tensor, width: int, some: Sequence[_Asked]
    ) -> tuple[Tensor, Tensor]:
        """The codes of the best items and their probabilities, [B, width] each."""
        logits = policy.scores(session)
        usable = logits.isfinite().all(1)
        if not bool(usable.all()):
            user = some[int(usable.int().argmin())].shown
            raise RunError(f"user {user!r}: the policy's scores are no finite numbers; its weights are damaged")
        scores = masked(logits, allowed)
        codes = scores.argsort(descending=True, stable=True)[:, :width]  # ties go to the lowest code, as in evaluation
        if isinstance(policy, RecommenderPolicy):
            return codes, scores.softmax(-1).gather(1, codes)
        first = torch.zeros(codes.shape, dtype=torch.float32)
        first[:, :1] = 1.0
        return codes, first

    def _frame(self, asked: Sequence[_Asked], codes: Tensor, scores: Tensor, counts: Tensor) -> "pl.DataFrame":
        import polars as pl

        kept = torch.arange(codes.shape[1]) < counts[:, None]
        place, rank = (part.numpy() for part in kept.nonzero(as_tuple=True))
        whole = all(one.shown is None or isinstance(one.shown, int) for one in asked)
        kind = pl.Int64 if whole and isinstance(self.users.ids[0], int) else pl.String
        names = [None if one.shown is None else one.shown if kind == pl.Int64 else str(one.shown) for one in asked]
        items = pl.Series(self.items.ids, dtype=pl.Int64 if isinstance(self.items.ids[0], int) else pl.String)
        return pl.DataFrame(
            {
                "user": pl.Series(names, dtype=kind).gather(place),
                "rank": pl.Series(rank + 1, dtype=pl.Int64),
                "item": items.gather(codes[kept].numpy()),
                "score": pl.Series(scores[kept].numpy(), dtype=pl.Float32),
                "known": pl.Series([one.code is not None for one in asked], dtype=pl.Boolean).gather(place),
            }
        )


def _count(n: SupportsIndex) -> int:
    try:
        count = operator.index(n)
    except TypeError:
        raise ConfigError(f"option n: must be a whole number, not {n!r}") from None
    if count < 1:
        raise ConfigError(f"option n: must be at least 1, not {count}")
    return count


def _plain(user: Any) -> Id | None:
    """An unknown user in the answer: a whole number as it is, anything else as text, None for `NEW`."""
    if user is NEW:
        return None
    try:
        return operator.index(user)
    except TypeError:
        return plain(str(user))
