"""What every policy in use does with its scores: it recommends to one user or many. Nothing here needs PyTorch."""

import operator
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from darlr.agents.forbidden import FORBIDDEN
from darlr.data.unit import Unit
from darlr.decisions.records import Decision, Sink
from darlr.errors import ConfigError
from darlr.options.serving import Name, StrategyConfig
from darlr.serving.asked import Asked, Rules, read_asked
from darlr.serving.given import ItemRule, Pairs, refuse_frame, warn_of_unknown
from darlr.serving.ids import NEW, Id, Ids, NewUser
from darlr.serving.strategy import Listed, choose, choose_each, seed_of

if TYPE_CHECKING:
    import polars as pl

User = Id | NewUser
Items = Iterable[Id] | Id
CELLS = 1 << 21  # the cells of a table, or of histories, that are held at once
ROWS = 16  # the least number of users that are computed at once: kernels for fewer round differently


@dataclass(frozen=True)
class ServedPolicy(ABC):
    """A policy with the ids and the unit of rewards. version: the hash of the content of its folder, as text."""

    users: Ids
    items: Ids
    unit: Unit
    version: str

    def recommend(
        self,
        users: User | Iterable[User],
        n: SupportsIndex = 10,
        *,
        history: Pairs | Mapping[User, Pairs] | None = None,
        exclude: Items | Mapping[User, Items] | None = None,
        only: Items | Mapping[User, Items] | None = None,
        new_items: bool = False,
        strategy: Name = StrategyConfig.strategy,
        epsilon: float = StrategyConfig.epsilon,
        request_id: str | Sequence[str] | None = None,
        log: Sink | None = None,
        arm: str = "default",
    ) -> "pl.DataFrame":
        """Up to n next items of each user: a frame of user, rank, item, score, propensity and known.

        users: one id, several, or `NEW`. A user who is not in the log is a cold-start user like `NEW`, and `known` is
        false: the history is folded into the world model, and without one the answer is that of the mean user.
        history: the session so far, (item id, reward in the log's unit) pairs, oldest first, of a single user, or a
        mapping from users to their pairs. Its items are not recommended again.
        exclude: items that are not recommended to anybody, or a mapping from users to such items. only: likewise, the
        only items that may be recommended; users who are not in the mapping may get all.
        new_items: whether to leave out the items that the user has logged.
        strategy, epsilon: how items are chosen, see `StrategyConfig`. request_id: a name for the call, or one for each
        user, for the strategies that draw: the same name, user and `version` draw the same items.
        log: a `darlr.DecisionLog` that keeps the decisions; each user then needs a request_id of its own. arm: the name
        of this policy in the log, to compare it with others.
        score: higher is better: a learned policy's logit, or the value of a list or a table. propensity: the
        probability that the strategy puts the item at this rank, given the items at the ranks before.

        A mapping may spell a user as the call or as the log does. Unknown items are left out; one DarlrWarning for each
        option names them. Raises ConfigError for an `n` below 1, for what holds no pairs or ids, such as a frame or a
        missing id, for a reward that is not a number or outside the log's range, and for a draw without a request_id.
        Raises OSError where the log takes nothing; nothing is recommended then.
        """
        count, config = _count(n), StrategyConfig(strategy, epsilon)
        alone = isinstance(users, str | int | NewUser) or not isinstance(users, Iterable)
        refuse_frame(users, "users")
        listed: list[Any] = [users] if alone else list(users)  # type: ignore[arg-type]
        requests = _requests(request_id, len(listed), config, logged=log is not None)
        if history is not None and not isinstance(history, Mapping) and len(listed) != 1:
            raise ConfigError("option history: several users need a mapping from each user to (item, reward) pairs")
        if isinstance(history, Mapping):  # refuse {item: reward}
            _ = [self.read(NEW, given) for given in history.values() if not isinstance(given, Iterable)]
        rules = Rules(ItemRule(exclude, "exclude", self.items), ItemRule(only, "only", self.items), new_items)
        asked = [self.read(user, history, rules) for user in listed]
        warn_of_unknown("history", [item for one in asked for item in one.unknown])
        width = min(count, len(self.items.ids))
        codes, counts = np.zeros((len(asked), width), np.int64), np.zeros(len(asked), np.int64)
        values, chances = np.zeros((len(asked), width), np.float32), np.zeros((len(asked), width))
        for places in self.chunks(asked):
            scores, allowed, items = self.scored([asked[place] for place in places])
            seeds = np.array([self.seed(requests[place], asked[place]) for place in places], np.uint64)
            choice = (choose if log is None else choose_each)(scores, allowed, width, config, seeds, items)
            codes[places], chances[places], counts[places] = choice.codes, choice.propensities, choice.counts
            values[places] = choice.scores
        for rule in (rules.exclude, rules.only):
            warn_of_unknown(rule.option, rule.unknown)
        if log is not None:
            for place, (name, one) in enumerate(zip(requests, asked, strict=True)):
                ranks = slice(int(counts[place]))
                log.decided(self._decision(name, one, config, codes[place, ranks], chances[place, ranks], arm))
        return self._frame(asked, codes, counts, values, chances)

    def _decision(self, name: str, one: Asked, config: StrategyConfig, codes: Any, chances: Any, arm: str) -> Decision:
        """What is logged of one answer. codes, chances: items and propensities by rank."""

        def ids(rule: ItemRule) -> tuple[Id, ...] | None:
            marked = rule.marked(one.names)
            return None if marked is None else tuple(self.items.ids[code] for code in np.flatnonzero(marked).tolist())

        return Decision(
            request_id=name,
            time=datetime.now(UTC),
            user=one.shown,
            user_known=one.code is not None,
            history=tuple((self.items.ids[item], reward) for item, reward in zip(one.items, one.rewards, strict=True)),
            exclude=ids(one.rules.exclude) or (),
            candidates=ids(one.rules.only),
            new_items=one.rules.new_items,
            strategy=config.strategy,
            epsilon=config.epsilon,
            seed=self.seed(name, one) if config.random else None,
            items=tuple(self.items.ids[code] for code in codes.tolist()),
            propensities=tuple(chances.tolist()),
            arm=arm,
            run=arm,
            version=self.version,
        )

    def seed(self, request: str, one: Asked) -> int:
        """The seed of the draws for one user of a request, below 2^64."""
        return seed_of(request, None if one.shown is None else str(one.shown), self.version)

    def read(self, user: Any, history: Any, rules: Rules | None = None) -> Asked:
        """A user with a history and rules, in the codes of this policy; see `read_asked` for the errors."""
        none = Rules(ItemRule(None, "exclude", self.items), ItemRule(None, "only", self.items))
        return read_asked(user, history, rules or none, self.users, self.items, self.unit)

    @abstractmethod
    def scored(self, some: Sequence[Asked]) -> tuple[Any, Any, Listed | None]:
        """The scores of items, float32 [B, n], and which may be recommended, bool [B, n], as arrays; and the items.

        some: users of one kind. The scores of a user are the same bits whoever is beside it. The items are None where
        they are the whole catalogue. With slates they are those of any of the slates, and a user may not get items
        outside its own. Raises RunError where a score is no finite number.
        """

    @abstractmethod
    def predicted(self, some: Sequence[Asked]) -> NDArray[np.float32]:
        """The rewards of all items that the world model expects after each history, [B, I], in the unit of learning."""

    def scored_whole(self, some: Sequence[Asked]) -> tuple[Any, Any]:
        """The scores of all items, float32 [B, I], and which may be recommended, bool [B, I]; see `scored`."""
        scores, allowed, listed = self.scored(some)
        if listed is None:
            return scores, allowed
        shape = len(some), listed.n_items
        whole, permitted = np.full(shape, FORBIDDEN, np.float32), np.zeros(shape, dtype=bool)
        whole[:, listed.items], permitted[:, listed.items] = scores, allowed
        return whole, permitted

    def chunks(self, asked: Sequence[Asked]) -> Iterator[list[int]]:
        """The places of users of one kind, in chunks of bounded memory."""
        kinds: dict[tuple[bool, int], list[int]] = {}
        for place, one in enumerate(asked):
            kinds.setdefault(one.kind, []).append(place)
        for (_, turns), places in kinds.items():
            size = max(ROWS, CELLS // max(len(self.items.ids), 64 * turns))
            yield from (places[start : start + size] for start in range(0, len(places), size))

    def _frame(self, asked: Sequence[Asked], codes: Any, counts: Any, scores: Any, propensities: Any) -> "pl.DataFrame":
        import polars as pl

        kept = np.arange(codes.shape[1]) < counts[:, None]
        place, rank = kept.nonzero()
        whole = all(one.shown is None or isinstance(one.shown, int) for one in asked)
        kind = pl.Int64 if whole and isinstance(self.users.ids[0], int) else pl.String
        names = [None if one.shown is None else one.shown if kind == pl.Int64 else str(one.shown) for one in asked]
        of_items = pl.Int64 if isinstance(self.items.ids[0], int) else pl.String
        items = [self.items.ids[code] for code in codes[kept].tolist()]
        return pl.DataFrame(
            {
                "user": pl.Series(names, dtype=kind).gather(place),
                "rank": pl.Series(rank + 1, dtype=pl.Int64),
                "item": pl.Series(items, dtype=of_items),
                "score": pl.Series(scores[kept], dtype=pl.Float32),
                "propensity": pl.Series(propensities[kept], dtype=pl.Float64),
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


def _requests(
    given: str | Sequence[str] | None, users: int, config: StrategyConfig, *, logged: bool = False
) -> Sequence[str]:
    """The name of each user's request; ConfigError where a strategy that draws has none.

    logged: whether feedback refers to the names, so that each user needs one; they are made up where none is given.
    """
    if given is None and logged:
        return [str(uuid.uuid4()) for _ in range(users)]
    if given is None:
        if config.random:
            raise ConfigError(
                f"option request-id: strategy {config.strategy} draws items; name the request, so that the draw can be "
                "repeated"
            )
        return [""] * users
    requests = [given] * users if isinstance(given, str) else list(given)
    if len(requests) != users or not all(isinstance(one, str) for one in requests):
        raise ConfigError(f"option request-id: give one text, or one for each of the {users} users, not {given!r:.80}")
    if logged and len(set(requests)) < users:
        raise ConfigError("option request-id: a log needs one of its own for each user, as feedback refers to it")
    return requests
