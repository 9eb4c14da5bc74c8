"""The state of B simulated sessions, and the functions that advance it (method.md section 2)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Session:
    """B sessions. user: int64 [B]. items: int64 [B, T], the shown items, newest last, -1 before the first.

    rewards: float32 [B, T], the feedback for them, 0 before the first. turn: int64 [B], the number of shown items.
    done: bool [B], whether the session is over. n_items: I.
    """

    user: Tensor
    items: Tensor
    rewards: Tensor
    turn: Tensor
    done: Tensor
    n_items: int

    @property
    def turns(self) -> int:
        """T, the most turns of a session."""
        return self.items.shape[1]

    @property
    def seen(self) -> Tensor:
        """Which items were shown, bool [B, I]."""
        shown = torch.where(self.items < 0, self.n_items, self.items)  # padding has a column of its own
        mask = torch.zeros((len(self.user), self.n_items + 1), dtype=torch.bool, device=self.user.device)
        return mask.scatter_(1, shown, True)[:, :-1]


def reset(user: Tensor, n_items: int, turns: int) -> Session:
    """New sessions of users int64 [B], with an empty history."""
    size, device = user.shape[0], user.device
    return Session(
        user=user,
        items=torch.full((size, turns), -1, dtype=torch.int64, device=device),
        rewards=torch.zeros((size, turns), dtype=torch.float32, device=device),
        turn=torch.zeros(size, dtype=torch.int64, device=device),
        done=torch.zeros(size, dtype=torch.bool, device=device),
        n_items=n_items,
    )


def of_history(user: Tensor, items: Tensor, rewards: Tensor, n_items: int) -> Session:
    """Sessions of users int64 [B] that have shown these items [B, T], newest last, -1 before the first."""
    turn = (items >= 0).sum(1)
    return Session(user, items, rewards, turn, turn >= items.shape[1], n_items)


def last_items(session: Session, window: int) -> Tensor:
    """The last `window` items, int64 [B, window], newest last, -1 for none."""
    return _last(session.items, window, -1)


def last_rewards(session: Session, window: int) -> Tensor:
    """The rewards of `last_items`, float32 [B, window], 0 for none."""
    return _last(session.rewards, window, 0)


def _last(history: Tensor, window: int, fill: float) -> Tensor:
    missing = window - history.shape[1]
    return history[:, -missing:] if missing <= 0 else pad(history, (missing, 0), value=fill)


def oldest_first(history: Tensor, turn: Tensor, fill: float) -> Tensor:
    """Items or rewards [B, T] of sessions with `turn` [B] turns, oldest first, then `fill`."""
    turns = history.shape[1]
    place = torch.arange(turns, device=turn.device) + (turns - turn)[:, None]
    return history.gather(1, place.clamp(max=turns - 1)).masked_fill(place >= turns, fill)


def show(session: Session, action: Tensor, reward: Tensor, leaves: Tensor | None) -> Session:
    """Show items int64 [B] with feedback [B]; `leaves` bool [B] ends a session after its item; None: nobody leaves.

    Sessions that were over go on too: see `freeze` and `restart`.
    """
    turn = session.turn + 1
    over = turn >= session.turns
    return replace(
        session,
        items=torch.cat([session.items[:, 1:], action[:, None]], dim=1),
        rewards=torch.cat([session.rewards[:, 1:], reward[:, None]], dim=1),
        turn=turn,
        done=over if leaves is None else leaves | over,
    )


def freeze(before: Session, after: Session) -> Session:
    """The sessions `after` a turn; sessions that were over `before` it are unchanged."""
    live = ~before.done
    keep = live[:, None]
    return replace(
        before,
        items=torch.where(keep, after.items, before.items),
        rewards=torch.where(keep, after.rewards, before.rewards),
        turn=before.turn + live,
        done=before.done | after.done,
    )


def restart(session: Session, user: Tensor) -> Session:
    """Replace each session that is done by a new one of its entry of `user`, int64 [B]; others go on."""
    row = session.done[:, None]
    return replace(
        session,
        user=torch.where(session.done, user, session.user),
        items=session.items.masked_fill(row, -1),
        rewards=session.rewards.masked_fill(row, 0.0),
        turn=session.turn.masked_fill(session.done, 0),
        done=torch.zeros_like(session.done),
    )


def end_exhausted(session: Session, offered: int) -> Session:
    """End sessions that have shown all of `offered` items, none of them twice."""
    if offered > session.turns:
        return session
    return replace(session, done=session.done | (session.turn >= offered))
