"""The simulated session as an environment: one step and one loop, in which agents train and are evaluated.

A turn is always the same: a player observes the sessions and acts, something pays, the exit rule says who leaves. What
differs is plugged in. In training the player is an agent that learns, an estimate pays, and a session that ends makes
room for another. In evaluation the player is a policy, the truth or an evaluation world model pays, and every user has
one session (method.md section 2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from darlr.simulation.exits import Exit, never
from darlr.simulation.session import Session, end_exhausted, freeze, last_items, reset, restart, show

Chance = TypeVar("Chance")
Chance_contra = TypeVar("Chance_contra", contravariant=True)


@runtime_checkable
class Move(Protocol):
    """What a player did in one turn of B sessions, and whatever else it wants to remember of it."""

    @property
    def action(self) -> Tensor:
        """The items that were shown, int64 [B]."""
        ...

    @property
    def feedback(self) -> Tensor:
        """The rewards that the sessions observe for them, floating point [B]."""
        ...


M = TypeVar("M", bound=Move)
M_co = TypeVar("M_co", bound=Move, covariant=True)


@runtime_checkable
class Player(Protocol[Chance_contra, M_co]):
    """Whoever acts in sessions, with what pays plugged in."""

    def move(self, session: Session, chance: Chance_contra) -> M_co:
        """Observe, act, and be paid. chance: the random numbers of this turn."""
        ...


class Played(NamedTuple, Generic[M]):
    """One turn. done: whether the session ended with this item, bool [B]; turn: items shown in it by then, int64 [B].

    Where a session was over before, nothing was shown, and the move means nothing.
    """

    move: M
    done: Tensor
    turn: Tensor


@dataclass(frozen=True)
class Environment:
    """The rules of the sessions. Nothing here knows a reward.

    exit: who leaves. turns: T, the most turns of a session. n_items: I, the catalogue. repeats: whether a session may
    show an item twice. offered: how many of the items can be recommended at all.
    """

    exit: Exit
    turns: int
    n_items: int
    repeats: bool
    offered: int

    @property
    def together(self) -> bool:
        """Whether all sessions end with turn T and no sooner: nobody leaves, and the items do not run out."""
        return self.exit is never and (self.repeats or self.offered > self.turns)

    def start(self, user: Tensor) -> Session:
        """New sessions of users int64 [B]."""
        session = reset(user, self.n_items, self.turns)
        return session if self.repeats else end_exhausted(session, self.offered)

    def step(self, session: Session, action: Tensor, feedback: Tensor) -> Session:
        """Show items int64 [B], whose rewards [B] the sessions observe; see who leaves.

        The item that makes a user leave is still recorded with its reward. A session that was over goes on as if it
        were not: `turn` decides what becomes of it.
        """
        if self.together:
            return show(session, action, feedback, torch.zeros_like(session.done))
        after = show(session, action, feedback, self.exit.leaves(last_items(session, self.exit.window), action))
        return after if self.repeats else end_exhausted(after, self.offered)


def turn(
    environment: Environment, player: Player[Chance, M], session: Session, chance: Chance, newcomer: Tensor | None
) -> tuple[Session, Played[M]]:
    """One turn of B sessions, tensors alone: the sessions after it, and what it was.

    newcomer: int64 [B], the user for whom a session begins where one ended; None: sessions that are over stay so.
    """
    move = player.move(session, chance)
    after = environment.step(session, move.action, move.feedback)
    played = Played(move, after.done, after.turn)
    if environment.together:  # then none was over before, and all are after turn T
        return after, played
    return (freeze(session, after) if newcomer is None else restart(after, newcomer)), played


TurnFunction = Callable[..., tuple[Session, Played[M]]]


def play(
    environment: Environment,
    player: Player[Chance, M],
    user: Tensor,
    chance: Callable[[int, Session], Chance],
    newcomers: Tensor | None = None,
    take_turn: TurnFunction[M] = turn,
) -> tuple[Session, list[Played[M]]]:
    """T turns of B sessions of users int64 [B]: the sessions in the end, and all turns.

    chance: (turn, sessions before it) -> the random numbers of the turn. newcomers: int64 [T, B], the users who go on
    in place of those whose sessions end in each turn; None: one session a user, until all are over. take_turn: `turn`,
    or the same compiled.
    """
    session, played = environment.start(user), []
    for number in range(environment.turns):
        if newcomers is None and not environment.together and bool(session.done.all()):
            break
        newcomer = None if newcomers is None else newcomers[number]
        session, one = take_turn(environment, player, session, chance(number, session), newcomer)
        played.append(one)
    if environment.together and newcomers is not None:
        session = restart(session, newcomers[-1])
    return session, played
