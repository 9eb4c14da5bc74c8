"""The simulated session: a handful of tensors for B users at once (method.md section 2).

`reset` and `step` return new state; nothing is hidden on an object, and no reward lives here.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Session:
    """B sessions in progress.

    user: int64 [B]. items: int64 [B, T], the items shown so far, -1 from the present on.
    rewards: float32 [B, T], the feedback observed for them, 0 from the present on.
    turn: int64 [B], items shown so far. done: bool [B]. n_items: I.
    """

    user: Tensor
    items: Tensor
    rewards: Tensor
    turn: Tensor
    done: Tensor
    n_items: int

    @property
    def turns(self) -> int:
        """T, the most turns a session can have."""
        return self.items.shape[1]

    @property
    def seen(self) -> Tensor:
        """Which items were shown, bool [B, I]."""
        # padding goes to a column of its own
        shown = torch.where(self.items < 0, self.n_items, self.items)
        mask = torch.zeros((len(self.user), self.n_items + 1), dtype=torch.bool, device=self.user.device)
        return mask.scatter_(1, shown, True)[:, :-1]


def reset(user: Tensor, n_items: int, turns: int) -> Session:
    """Start one session for each user, int64 [B], with an empty history."""
    size, device = user.shape[0], user.device
    return Session(
        user=user,
        items=torch.full((size, turns), -1, dtype=torch.int64, device=device),
        rewards=torch.zeros((size, turns), device=device),
        turn=torch.zeros(size, dtype=torch.int64, device=device),
        done=torch.zeros(size, dtype=torch.bool, device=device),
        n_items=n_items,
    )


def last_items(session: Session, window: int) -> Tensor:
    """The last `window` items, int64 [B, window], newest last, -1 where there was none."""
    return _last(session.items, session.turn, window, -1)


def last_rewards(session: Session, window: int) -> Tensor:
    """The rewards of `last_items`, float32 [B, window], 0 where there was none."""
    return _last(session.rewards, session.turn, window, 0)


def _last(history: Tensor, turn: Tensor, window: int, fill: float) -> Tensor:
    place = turn[:, None] + torch.arange(-window, 0, device=turn.device)
    found = history.gather(1, place.clamp(min=0))
    return found.masked_fill(place < 0, fill)


def step(session: Session, action: Tensor, reward: Tensor, leaves: Tensor) -> Session:
    """Show `action` int64 [B], observe `reward` float32 [B]; `leaves` bool [B] ends a session after this item.

    The item that makes a user leave is still recorded with its reward. Sessions that are done do not change.
    """
    live = ~session.done
    place = session.turn.clamp(max=session.turns - 1)[:, None]
    items = session.items.scatter(1, place, action[:, None])
    rewards = session.rewards.scatter(1, place, reward[:, None])
    turn = session.turn + live
    keep = live[:, None]
    return replace(
        session,
        items=torch.where(keep, items, session.items),
        rewards=torch.where(keep, rewards, session.rewards),
        turn=turn,
        done=session.done | leaves | (turn >= session.turns),
    )


def restart(session: Session, where: Tensor, user: Tensor) -> Session:
    """Begin new sessions for `user` int64 [B] in the rows `where` bool [B]; other rows stay."""
    row = where[:, None]
    return replace(
        session,
        user=torch.where(where, user, session.user),
        items=session.items.masked_fill(row, -1),
        rewards=session.rewards.masked_fill(row, 0.0),
        turn=session.turn.masked_fill(where, 0),
        done=session.done & ~where,
    )


def end_exhausted(session: Session, offered: int) -> Session:
    """End sessions that were shown all of `offered` items, none of them twice: nothing is left."""
    return replace(session, done=session.done | (session.turn >= offered))
