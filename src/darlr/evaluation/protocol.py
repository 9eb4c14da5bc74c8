"""Play a policy against the truth: every user at once, in the environment that training plays in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from darlr.errors import ConfigError
from darlr.options import Mode
from darlr.simulation import environment
from darlr.simulation.environment import Environment
from darlr.simulation.exits import Exit, never
from darlr.simulation.policy import Policy, Translated, sample
from darlr.simulation.policy import greedy as best
from darlr.simulation.session import Session, last_items, oldest_first

if TYPE_CHECKING:
    from darlr.evaluation.truth import Truth

CELLS = 2**25  # users x items scored at once: bounds memory, never changes a number


@dataclass(frozen=True)
class Shown:
    """One turn's items int64 [B] in the catalogue's codes, and their true rewards [B]."""

    action: Tensor
    feedback: Tensor


@dataclass(frozen=True)
class Evaluated:
    """Policies as a player, paid by a table. Each plays an equal share of the sessions, in order.

    payoff: [Ue, Ie], of users and items of the truth. rows: int64 [B], each session's row of it. items: int64 [Ie], the
    items behind its columns, in the catalogue's codes. left: bool [B, Ie], what may still be shown; it changes in place
    where nothing is shown twice. exit_aware: an item that would end the session is shown only where no other is left.
    """

    policies: Sequence[Policy]
    payoff: Tensor
    rows: Tensor
    items: Tensor
    left: Tensor
    rules: Environment
    exit_aware: bool

    def move(self, session: Session, chance: Tensor | None) -> Shown:
        """Show the best item, or with uniform random numbers `chance`, float32 [B], one drawn from the softmax."""
        place, share = torch.zeros_like(session.user), len(session.user) // len(self.policies)
        for number, policy in enumerate(self.policies):
            part = slice(number * share, (number + 1) * share)
            live = (~session.done[part]).nonzero().squeeze(1)
            if len(live):  # the others show nothing; where they are few, leaving them out takes longer
                own = live if 4 * len(live) < 3 * share else slice(None)
                luck = None if chance is None else chance[part][own]
                place[part][own] = self._choose(policy, _part(session, part), self.left[part], luck, own)
        if not self.rules.repeats:
            self.left.scatter_(1, place[:, None], False)
        return Shown(self.items[place], self.payoff[self.rows, place])

    def _choose(
        self, policy: Policy, session: Session, left: Tensor, chance: Tensor | None, own: Tensor | slice
    ) -> Tensor:
        """The column of the item that each of the sessions `own` shows; the policy scores the others beside them."""
        exact = self.payoff.dtype == torch.float32 or isinstance(policy, Translated)  # reads the last digit too
        scores = policy.scores(session if exact else replace(session, rewards=session.rewards.float()))
        scores = (scores if self.whole else scores[:, self.items])[own]
        allowed = self._safe(_part(session, own), left[own]) if self.exit_aware else left[own]
        return best(scores, allowed) if chance is None else sample(scores, allowed, chance)

    @property
    def whole(self) -> bool:
        """Whether all of the catalogue can be recommended: then a table's columns need no gathering."""
        return len(self.items) == self.rules.n_items

    def _safe(self, session: Session, left: Tensor) -> Tensor:
        """What is left and would not end the session; all that is left where nothing is safe."""
        rule = self.rules.exit
        ending = rule.ending(last_items(session, rule.window))
        safe = left & ~(ending if self.whole or ending.shape[1] == 1 else ending[:, self.items])
        some = safe.view(torch.uint8).amax(1, keepdim=True).bool()  # any(1) takes four times longer
        return safe if bool(some.all()) else torch.where(some, safe, left)


@dataclass(frozen=True)
class Trajectories:
    """Finished sessions.

    users: int64 [B], log codes. items: int64 [B, T], log codes in order, -1 after the end.
    rewards: float32 [B, T], true rewards, 0 after the end. length: int64 [B], turns played.
    """

    users: Tensor
    items: Tensor
    rewards: Tensor
    length: Tensor

    @property
    def returns(self) -> Tensor:
        """Summed reward of each session, float64 [B]."""
        return self.rewards.double().sum(1)

    def split(self, size: int) -> "list[Trajectories]":
        """Parts of `size` sessions each, in order."""
        parts = zip(*(getattr(self, field.name).split(size) for field in fields(self)), strict=True)
        return [Trajectories(*part) for part in parts]


def _part(session: Session, rows: Tensor | slice) -> Session:
    """Some of the sessions."""
    values = {name: getattr(session, name)[rows] for name in ("user", "items", "rewards", "turn", "done")}
    return replace(session, **values)


def play(
    policy: Policy | Sequence[Policy],
    truth: "Truth",
    n_items: int,
    rule: Exit,
    *,
    mode: Mode,
    turns: int = 30,
    greedy: bool = True,
    generators: Sequence[torch.Generator] = (),
    users: Tensor | None = None,
    exit_aware: bool = False,
) -> Trajectories:
    """One session a user against the truth (docs/results.md, modes FB, NX_0, NX_10).

    FB: repeats allowed, exit rule on. NX_0: no repeats, exit rule on. NX_10: no repeats, exit rule off, exactly 10
    turns. Only items of the truth are recommended; the policy observes their true rewards; the item that makes a user
    leave still earns. A session with nothing left to recommend ends.

    policy: one, or several, each for an equal share of the users, in order; their sessions share turns. n_items: I, the
    catalogue that the policy scores. greedy: the best item, else a draw from the softmax. generators:
    of these draws, on the CPU; each serves an equal share of the users, in order. users: int64 [B] log codes, repeats
    welcome; None = all users of the truth. exit_aware: items that would make the user leave are skipped while any other
    is left.

    Raises ConfigError for a user outside the truth, and for sampling without a generator for each equal share.
    """
    device = truth.reward.device
    items, order = torch.as_tensor(truth.items, device=device).sort()  # ties then go to the lowest id
    payoff = truth.reward[:, order]
    known = torch.as_tensor(truth.users, device=device)
    users = known if users is None else users.to(device)
    rows = _rows(known, users)
    policies = policy if isinstance(policy, Sequence) else [policy]
    if mode == "NX_10":
        rule, turns, exit_aware = never, 10, False
    uniform: Tensor | None = None
    if not greedy:
        if not generators or len(users) % len(generators):
            raise ConfigError(
                "sampled evaluation needs generators, each for an equal share of the users: "
                "pass generators=[torch.Generator().manual_seed(seed)]"
            )
        share = len(users) // len(generators), turns
        uniform = torch.cat([torch.rand(share, generator=one) for one in generators]).to(device)
    rules = Environment(rule, turns, n_items, repeats=mode == "FB", offered=len(items))
    sessions = []
    with torch.no_grad():
        for part in _chunks(len(users), n_items):
            own = users[part]
            left = torch.ones((len(own), len(items)), dtype=torch.bool, device=device)
            player = Evaluated(policies, payoff, rows[part], items, left, rules, exit_aware)
            chance = _of_each_turn(None if uniform is None else uniform[part])
            sessions.append(environment.play(rules, player, own, chance)[0])
    return Trajectories(
        users=users,
        items=torch.cat([oldest_first(part.items, part.turn, -1) for part in sessions]),
        rewards=torch.cat([oldest_first(part.rewards, part.turn, 0) for part in sessions]),
        length=torch.cat([part.turn for part in sessions]),
    )


def _of_each_turn(uniform: Tensor | None) -> Callable[[int, Session], Tensor | None]:
    """Columns of random numbers float32 [B, T]; None for greedy sessions."""
    return lambda turn, _: None if uniform is None else uniform[:, turn]


def _rows(known: Tensor, users: Tensor) -> Tensor:
    """Place of each of `users` among the truth's users `known`, int64 [B]."""
    if not len(users) or not bool(torch.isin(users, known).all()):
        raise ConfigError("every user to evaluate must be one of the truth's users, and at least one is needed")
    row = torch.zeros(int(known.max()) + 1, dtype=torch.int64, device=users.device)
    row[known] = torch.arange(len(known), device=users.device)
    return row[users]


def _chunks(n_users: int, n_items: int) -> Iterator[slice]:
    size = max(1, CELLS // max(n_items, 1))
    for start in range(0, n_users, size):
        yield slice(start, start + size)
