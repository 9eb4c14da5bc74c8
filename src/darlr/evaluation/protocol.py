"""Play a policy against the truth: every user at once, a Python loop over turns only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from darlr.errors import ConfigError
from darlr.options import Mode
from darlr.simulation.exits import Exit, never
from darlr.simulation.policy import Policy, Translated, sample
from darlr.simulation.policy import greedy as best
from darlr.simulation.session import Session, end_exhausted, last_items, oldest_first, reset, step

if TYPE_CHECKING:
    from darlr.evaluation.truth import Truth

CELLS = 2**25  # users x items scored at once: bounds memory, never changes a number


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


def play(
    policy: Policy,
    truth: "Truth",
    n_items: int,
    rule: Exit,
    window: int,
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

    n_items: I, the catalogue that the policy scores. window: N of the exit rule. greedy: the best item, else a draw
    from the softmax. generators: of these draws, on the CPU; each serves an equal share of the users, in order.
    users: int64 [B] log codes, repeats welcome; None = all users of the truth. exit_aware: items that would make the
    user leave are skipped while any other is left.
    Raises ConfigError for a user outside the truth, and for sampling without a generator for each equal share.
    """
    device = truth.reward.device
    items, order = torch.as_tensor(truth.items, device=device).sort()  # ties then go to the lowest id
    payoff = truth.reward[:, order]
    exact = payoff.dtype == torch.float32 or isinstance(policy, Translated)  # which reads rewards to the last digit
    whole = len(items) == n_items  # then a table's columns are the truth's: no gather
    known = torch.as_tensor(truth.users, device=device)
    users = known if users is None else users.to(device)
    rows = _rows(known, users)
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
    with torch.no_grad():
        sessions = []
        for part in _chunks(len(users), n_items):
            session = reset(users[part], n_items, turns)
            left = torch.ones((len(session.user), len(items)), dtype=torch.bool, device=device)
            for turn in range(turns):
                if mode != "FB":
                    session = end_exhausted(session, len(items))
                if bool(session.done.all()):
                    break
                allowed = _without_exits(left, session, items, rule, window) if exit_aware else left
                scores = policy.scores(session if exact else replace(session, rewards=session.rewards.float()))
                scores = scores if whole else scores[:, items]
                place = best(scores, allowed) if uniform is None else sample(scores, allowed, uniform[part, turn])
                action, reward = items[place], payoff[rows[part], place]
                leaves = rule(last_items(session, window), action[:, None])[:, 0]
                session = step(session, action, reward, leaves)
                if mode != "FB":
                    left.scatter_(1, place[:, None], False)
            sessions.append(session)
    return Trajectories(
        users=users,
        items=torch.cat([oldest_first(part.items, part.turn, -1) for part in sessions]),
        rewards=torch.cat([oldest_first(part.rewards, part.turn, 0) for part in sessions]),
        length=torch.cat([part.turn for part in sessions]),
    )


def _without_exits(allowed: Tensor, session: Session, items: Tensor, rule: Exit, window: int) -> Tensor:
    """`allowed` bool [B, Ie] less what would end the session, except where that leaves nothing."""
    safe = allowed & ~rule(last_items(session, window), items[None])
    some = safe.view(torch.uint8).amax(1, keepdim=True).bool()  # any(1) takes four times longer
    return safe if bool(some.all()) else torch.where(some, safe, allowed)


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
