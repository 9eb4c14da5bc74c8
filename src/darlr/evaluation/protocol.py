"""Play a policy against the ground truth: all users at once, in the environment that training uses."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

from darlr.errors import ConfigError
from darlr.evaluation.truth import Truth
from darlr.options import Mode
from darlr.simulation import environment
from darlr.simulation.environment import Environment
from darlr.simulation.exits import CategoryExit, Exit, never
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.policy import Policy, Short, Translated, knowing, sample
from darlr.simulation.policy import greedy as best
from darlr.simulation.session import Session, last_items, oldest_first, reset
from darlr.simulation.shortlist import columns
from darlr.world.estimates import Estimate, estimate_of

CELLS = 2**25  # users x items that are scored at once; it bounds memory and changes no number
WIDE = 20_000  # items above which policies play by short lists
SHORT = 512  # sessions that are played at once by short lists


class Shown(NamedTuple):
    """The items of one turn, int64 [B], as catalogue codes, and their true rewards [B]."""

    action: Tensor
    feedback: Tensor


@dataclass(frozen=True)
class Player:
    """Policies whose actions earn the rewards of a table. Each plays an equal share of the sessions, in order.

    payoff: the rewards of the truth. rows: int64 [B], the row of each session in it. items: int64 [Ie], the catalogue
    codes of its items, rising. columns: int64 [Ie], the columns of these items in it. left: bool [B, Ie], the items
    that may still be shown, updated in place where repeats are not allowed; None where policies play by short lists.
    exit_aware: whether items that would end the session are avoided where others are left. fatigue: how rewards fall in
    a session. asked: the sessions of each policy that its short lists were asked for last, updated in place.
    """

    policies: Sequence[Policy]
    payoff: Estimate
    rows: Tensor
    columns: Tensor
    items: Tensor
    left: Tensor | None
    rules: Environment
    exit_aware: bool
    fatigue: Fatigue | None = None
    asked: dict[int, Tensor] = field(default_factory=dict)

    def move(self, session: Session, chance: Tensor | None) -> Shown:
        """Show the best item, or with uniform random numbers `chance`, float32 [B], one drawn from the softmax."""
        place, share = torch.zeros_like(session.user), len(session.user) // len(self.policies)
        for number, policy in enumerate(self.policies):
            part = slice(number * share, (number + 1) * share)
            live = (~session.done[part]).nonzero().squeeze(1)
            if len(live):  # sessions that are over show nothing; leaving out a few of them takes longer
                rows = live if 4 * len(live) < 3 * share else slice(None)
                if self.left is None:  # mostly the same sessions as before, of which a policy can keep much
                    before = self.asked.get(number, live)
                    rows = self.asked[number] = live if 4 * len(live) < 3 * len(before) else before
                luck = None if chance is None else chance[part][rows]
                own = _part(session, part)
                if not isinstance(policy, Translated):
                    own = replace(own, rewards=own.rewards.float())
                if self.left is None:
                    place[part][rows] = self._listed(policy, _part(own, rows), luck)
                else:
                    place[part][rows] = self._choose(policy, own, self.left[part], luck, rows)
        if self.left is not None and not self.rules.repeats:
            self.left.scatter_(1, place[:, None], False)
        item, reward = self.items[place], self.payoff.pairs(self.rows, self.columns[place])
        return Shown(item, reward if self.fatigue is None else self.fatigue.felt(session, item, reward))

    def _choose(
        self, policy: Policy, session: Session, left: Tensor, chance: Tensor | None, rows: Tensor | slice
    ) -> Tensor:
        """Choose the columns of these rows. Scoring all keeps scores as they are, as batches may change last bits."""
        scores = self._offered(policy.scores(session))[rows]
        allowed = self._safe(_part(session, rows), left[rows]) if self.exit_aware else left[rows]
        return best(scores, allowed) if chance is None else sample(scores, allowed, chance)

    def _listed(self, policy: Policy, session: Session, chance: Tensor | None) -> Tensor:
        """Choose columns by short lists, or by all items where no item of a list may be shown."""
        found = policy.shortlist(session, greedy=chance is None) if isinstance(policy, Short) else None
        assert found is not None
        items, scores = found
        column = torch.searchsorted(self.items, items) if self._partial else items
        column = column.clamp(max=len(self.items) - 1)
        allowed = self.items[column] == items
        if not self.rules.repeats:
            shown = columns(items, session.items)
            allowed = allowed & ~_marked(torch.where(shown < 0, items.shape[1], shown), items.shape[1])
        if self.exit_aware:
            recent = last_items(session, self.rules.exit.window)
            allowed = allowed & ~_ending(self.rules.exit, recent, items.clamp(max=self.rules.n_items - 1))
        best_of = best(scores, allowed) if chance is None else sample(scores, allowed, chance)
        place = column.gather(1, best_of[:, None]).squeeze(1)
        none = (~allowed.any(1) & ~session.done).nonzero().squeeze(1)
        for some in torch.split(none, max(1, CELLS // self.rules.n_items)) if len(none) else ():
            own, luck = _part(session, some), None if chance is None else chance[some]
            left = torch.ones((len(some), len(self.items)), dtype=torch.bool, device=some.device)
            if not self.rules.repeats:
                left = ~self._offered(own.seen)
            place[some] = self._choose(policy, own, left, luck, slice(None))
        return place

    @property
    def _partial(self) -> bool:
        """Whether the truth lacks items of the catalogue."""
        return len(self.items) < self.rules.n_items

    def _offered(self, table: Tensor) -> Tensor:
        """Select the truth's items from a table [B, I]; where they are the whole catalogue nothing is copied."""
        return table[:, self.items] if self._partial else table

    def _safe(self, session: Session, left: Tensor) -> Tensor:
        """Select what is left and ends no session, or all that is left where nothing is safe."""
        rule = self.rules.exit
        ending = rule.ending(last_items(session, rule.window))
        safe = left & ~(ending if ending.shape[1] == 1 else self._offered(ending))
        some = safe.view(torch.uint8).amax(1, keepdim=True).bool()  # any(1) takes four times longer
        return safe if bool(some.all()) else safe | (left & ~some)


@dataclass(frozen=True)
class Trajectories:
    """Finished sessions.

    users: int64 [B], log codes. items: int64 [B, T], log codes in order, -1 after the end. rewards: [B, T], true
    rewards, 0 after the end. length: int64 [B], turns.
    """

    users: Tensor
    items: Tensor
    rewards: Tensor
    length: Tensor

    @property
    def returns(self) -> Tensor:
        """The summed reward of each session, float64 [B]."""
        return self.rewards.double().sum(1)

    def split(self, size: int) -> "list[Trajectories]":
        """Split the sessions into parts of `size`, in order."""
        parts = (getattr(self, part.name).split(size) for part in fields(self))
        return [Trajectories(*part) for part in zip(*parts, strict=True)]


def _ending(rule: Exit, recent: Tensor, items: Tensor) -> Tensor:
    """Find which of each session's items int64 [B, S] would make the user leave; bool [B, S]."""
    if isinstance(rule, CategoryExit):
        return rule.ending_among(recent, items)
    return rule.leaves(recent.repeat_interleave(items.shape[1], 0), items.flatten()).view(items.shape)


def _marked(place: Tensor, width: int) -> Tensor:
    """Mark places int64 [B, m] from 0 to `width`, of which the last stands for none; bool [B, width]."""
    mask = torch.zeros((len(place), width + 1), dtype=torch.bool, device=place.device)
    return mask.scatter_(1, place, True)[:, :-1]


def _part(session: Session, rows: Tensor | slice) -> Session:
    """Select some of the sessions."""
    values = {name: getattr(session, name)[rows] for name in ("user", "items", "rewards", "turn", "done")}
    return replace(session, **values)


def _lists(policy: Policy, user: Tensor, n_items: int, *, greedy: bool) -> bool:
    """Whether a policy has short lists."""
    return isinstance(policy, Short) and policy.shortlist(reset(user, n_items, 1), greedy=greedy) is not None


def play(
    policy: Policy | Sequence[Policy],
    truth: Truth,
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
    """Play one session for each user against the truth (docs/results.md, modes FB, NX_0, NX_10).

    FB allows repeats. NX_0 does not. NX_10 allows no repeats, has no exit rule and lasts 10 turns. Only items of the
    truth are recommended, and the policy observes their true rewards. The item after which a user leaves still earns.
    A session ends when no item is left.

    policy: one, or several, each for an equal share of the users, in order.
    n_items: I, the catalogue that the policy scores. greedy: whether the best item is shown; otherwise items are drawn
    from the softmax. generators: CPU generators of these draws, each for an equal share of the users, in order. users:
    int64 [B], log codes, which may repeat; None = all users of the truth. exit_aware: see `Player`.

    Raises ConfigError for a user outside the truth, and where sampling lacks a generator for each equal share.
    """
    payoff = estimate_of(truth.reward)
    device = payoff.device
    items, order = torch.as_tensor(truth.items, device=device).sort()  # so that ties go to the lowest id
    known = torch.as_tensor(truth.users, device=device)
    users = known if users is None else users.to(device)
    if not len(users) or not bool(torch.isin(users, known).all()):
        raise ConfigError("every user to evaluate must be one of the truth's users, and at least one is needed")
    place = torch.zeros(int(known.max()) + 1, dtype=torch.int64, device=device)
    place[known] = torch.arange(len(known), device=device)
    rows = place[users]
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
    policies = [knowing(one, rule, turns) for one in policies] if exit_aware else policies
    rules = Environment(rule, turns, n_items, repeats=mode == "FB", offered=len(items))
    short = n_items > WIDE and all(_lists(one, users[:1], n_items, greedy=greedy) for one in policies)
    size = SHORT if short else max(1, CELLS // max(n_items, 1))

    def played(part: slice) -> Session:
        own, chance = users[part], None if uniform is None else uniform[part]
        left = None if short else torch.ones((len(own), len(items)), dtype=torch.bool, device=device)
        player = Player(policies, payoff, rows[part], order, items, left, rules, exit_aware, truth.fatigue)
        return environment.play(rules, player, own, lambda turn, _: None if chance is None else chance[:, turn])[0]

    with torch.no_grad():
        sessions = [played(slice(start, start + size)) for start in range(0, len(users), size)]
    return Trajectories(
        users=users,
        items=torch.cat([oldest_first(part.items, part.turn, -1) for part in sessions]),
        rewards=torch.cat([oldest_first(part.rewards, part.turn, 0) for part in sessions]),
        length=torch.cat([part.turn for part in sessions]),
    )
