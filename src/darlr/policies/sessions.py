"""Logged sessions for the model-free agents, and the one state function that learning and acting share."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.simulation.session import Session, last_items, last_rewards, reset
from darlr.world.context import Context

WINDOW = 3


@dataclass(frozen=True)
class StateEncoder:
    """State of a session: the mean over its last w items of [item vector, reward scaled to 0..1, 1]; zeros at first.

    vectors: float32 [I, d]. The trailing entry tells an empty session from one of average items.
    """

    vectors: Tensor
    low: float
    high: float
    window: int = WINDOW

    @property
    def size(self) -> int:
        """Entries of a state."""
        return self.vectors.shape[1] + 2

    def __call__(self, session: Session) -> Tensor:
        """float32 [B, d + 2]."""
        items, rewards = last_items(session, self.window), last_rewards(session, self.window)
        there = (items >= 0).float()[..., None]
        scaled = self.scale(rewards)[..., None]
        tokens = torch.cat([self.vectors[items.clamp(min=0)], scaled, torch.ones_like(scaled)], dim=-1) * there
        return tokens.sum(1) / there.sum(1).clamp(min=1)

    def scale(self, reward: Tensor) -> Tensor:
        """Rewards as the agents see them: 0 at the low, 1 at the high end of the logged range."""
        return ((reward - self.low) / max(self.high - self.low, 1e-12)).clamp(0, 1)


@dataclass(frozen=True)
class Transitions:
    """Steps of all logged sessions, one session after the other.

    state, after: float32 [L, s], before and after the step. action: int64 [L]. reward: float32 [L], scaled.
    last: bool [L], the session's last step.
    """

    state: Tensor
    action: Tensor
    reward: Tensor
    after: Tensor
    last: Tensor


def session_starts(user: NDArray[np.int64], turns: int) -> NDArray[np.int64]:
    """Place of each event in its session, int64 [L], for events sorted by user: at most `turns`, one user each."""
    _, start, count = np.unique(user, return_index=True, return_counts=True)
    place: NDArray[np.int64] = (np.arange(len(user)) - np.repeat(start, count)) % turns
    return place


def session_data(context: Context) -> tuple[StateEncoder, Transitions]:
    """The state of the world model's item vectors, and the transitions of the logged sessions."""
    world = context.tables()
    encoder = StateEncoder(world.item_vectors, *world.reward_range)
    return encoder, transitions(context.catalogue, encoder, context.turns)


def transitions(log: InteractionLog, encoder: StateEncoder, turns: int) -> Transitions:
    """Each user's events in time order (log order without timestamps), cut into sessions of at most `turns`.

    A session ends where it is cut, as logs do not record exits. States come from `encoder` on the same Session that
    an agent would observe.
    """
    place = np.arange(len(log))
    order = np.lexsort((place, place if log.timestamp is None else log.timestamp, log.user))
    user, item = log.user[order], torch.from_numpy(log.item[order])
    reward = torch.from_numpy(log.reward[order])
    turn = torch.from_numpy(session_starts(user, turns))
    first = turn == 0
    row = first.cumsum(0) - 1
    window = encoder.window
    # the last `window` events before each one, and after it, in Sessions of that many turns
    states = [encoder(_recent(item, reward, torch.from_numpy(user), turn + shift, shift, window)) for shift in (0, 1)]
    last = torch.ones(len(item), dtype=torch.bool)
    last[:-1] = row[1:] != row[:-1]
    return Transitions(states[0], item, encoder.scale(reward), states[1], last)


def _recent(item: Tensor, reward: Tensor, user: Tensor, turn: Tensor, shift: int, window: int) -> Session:
    """Sessions [L] that hold the last min(turn, window) events up to event l - 1 + shift."""
    count = turn.clamp(max=window)
    back = torch.arange(window, 0, -1)  # newest last
    index = torch.arange(len(item))[:, None] + shift - back
    there = back <= count[:, None]
    index = torch.where(there, index, 0)
    start = reset(user, 0, window)  # the catalogue plays no part in a state
    return Session(
        user=start.user,
        items=item[index].masked_fill(~there, -1),
        rewards=reward[index].masked_fill(~there, 0.0),
        turn=count,
        done=start.done,
        n_items=start.n_items,
    )
