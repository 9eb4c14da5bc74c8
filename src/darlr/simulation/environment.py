"""The simulated session as an environment: one step and one loop for training and evaluation (method.md section 2).

In each turn a player observes the sessions, shows items and observes feedback, and the exit rule says who leaves. In
training the player is an agent, feedback is an estimate, and a session that ends makes room for another. In evaluation
the player is a policy, feedback is the ground truth or an evaluation world model, and every user has one session.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from darlr.simulation.exits import Exit, never
from darlr.simulation.felt import FeltRule
from darlr.simulation.session import Session, end_exhausted, freeze, last_items, reset, restart, show

Chance = TypeVar("Chance")
Chance_contra = TypeVar("Chance_contra", contravariant=True)


@runtime_checkable
class Move(Protocol):
    """The action and feedback of one turn of B sessions, and anything else that the player records."""

    @property
    def action(self) -> Tensor:
        """The shown items, int64 [B]."""
        ...

    @property
    def feedback(self) -> Tensor:
        """The rewards that the sessions observe, floating point [B]."""
        ...


M = TypeVar("M", bound=Move)
M_co = TypeVar("M_co", bound=Move, covariant=True)


@runtime_checkable
class Player(Protocol[Chance_contra, M_co]):
    """An agent or policy together with the source of its rewards."""

    def move(self, session: Session, chance: Chance_contra) -> M_co:
        """Choose items and look up their feedback. chance: the random numbers of this turn."""
        ...


class Played(NamedTuple, Generic[M]):
    """One turn. done: whether the session ended with this item, bool [B]. turn: the number of its items so far, [B].

    The entries of sessions that were over before have no meaning.
    """

    move: M
    done: Tensor
    turn: Tensor


@dataclass(frozen=True)
class Environment:
    """The rules of the sessions, without rewards.

    exit: the exit rule. turns: T, the most turns of a session. n_items: I, the size of the catalogue. repeats: whether
    a session may show an item twice. offered: the number of items that can be recommended at all.
    """

    exit: Exit
    turns: int
    n_items: int
    repeats: bool
    offered: int

    @property
    def together(self) -> bool:
        """Whether all sessions end with turn T: nobody leaves, and the items do not run out."""
        return self.exit is never and (self.repeats or self.offered > self.turns)

    def start(self, user: Tensor) -> Session:
        """New sessions of users int64 [B]."""
        session = reset(user, self.n_items, self.turns)
        return session if self.repeats else end_exhausted(session, self.offered)

    def step(self, session: Session, action: Tensor, feedback: Tensor) -> Session:
        """Show items int64 [B], record their feedback [B], and end the sessions of users who leave.

        The last item is recorded too. Sessions that were over go on; `turn` freezes or restarts them.
        """
        if self.together:
            return show(session, action, feedback, None)
        if isinstance(self.exit, FeltRule):
            leaves = self.exit.felt(session, action, feedback)
        else:
            leaves = self.exit.leaves(last_items(session, self.exit.window), action)
        after = show(session, action, feedback, leaves)
        return after if self.repeats else end_exhausted(after, self.offered)


def turn(
    environment: Environment, player: Player[Chance, M], session: Session, chance: Chance, newcomer: Tensor | None
) -> tuple[Session, Played[M]]:
    """One turn of B sessions: the sessions after it, and its record.

    newcomer: int64 [B], the users of the sessions that begin where others ended; None keeps sessions over.
    """
    move = player.move(session, chance)
    after = environment.step(session, move.action, move.feedback)
    played = Played(move, after.done, after.turn)
    if environment.together:  # no session was over before, and all are over after turn T
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
    """T turns of B sessions of users int64 [B]: the sessions at the end, and the records of all turns.

    chance: (turn, sessions before it) -> the random numbers of the turn. newcomers: int64 [T, B], for each turn the
    users of the sessions that begin where others ended; None plays one session for each user. take_turn: `turn` or its
    compiled twin.
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
