"""Bandits on the world model: epsilon-greedy, and UCB with real counts."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from darlr.simulation.session import Session
from darlr.world.context import Context

EPSILON = 0.1  # Sutton and Barto 2018, section 2.2
GOLDEN = 0x9E3779B1  # 2**32 over the golden ratio, odd
MASK = 2**32 - 1


@dataclass(frozen=True)
class EpsilonGreedy:
    """Explore with probability epsilon, uniformly over the allowed items; else the user's best item.

    The coin and the order of an exploring turn are a hash of (seed, user, turn, item): a function of the session
    alone, so that played greedily this is epsilon-greedy under any mask. table: float32 [U, I].
    """

    table: Tensor
    epsilon: float
    seed: int

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I]: the user's row of the table, or uniform numbers in an exploring turn."""
        key = _mix(_mix(session.user + 1 + self.seed * 7919) + session.turn + 1)
        explores = _uniform(_mix(key)) < self.epsilon
        item = torch.arange(self.table.shape[1], device=self.table.device)
        order = _uniform(_mix(key[:, None] + GOLDEN * (item + 1)))
        return torch.where(explores[:, None], order, self.table[session.user])


def _mix(x: Tensor) -> Tensor:
    """A 32-bit hash of int64, in int64 (lowbias32 of C. Wellons' hash-prospector); overflow keeps the low bits."""
    x = x & MASK
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK
    return x ^ (x >> 16)


def _uniform(x: Tensor) -> Tensor:
    return (x >> 8).float() / 2**24


@dataclass(frozen=True)
class UCB:
    """UCB1 (Auer et al. 2002) for rewards of standard deviation `scale`: r(u, i) + c * scale * sqrt(2 ln N / n_i).

    r: the world model's reward [U, I]. n_i: logged events of item i, by all users, plus how often this session has
    shown it; N: their sum. An item without an event counts one, so every bonus is finite.
    """

    table: Tensor
    count: Tensor
    scale: float
    c: float

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I]: upper confidence bounds."""
        shown = torch.zeros((len(session.user), session.n_items), device=self.table.device)
        shown.scatter_add_(1, session.items.clamp(min=0), (session.items >= 0).float())
        count = (self.count + shown).clamp(min=1)
        bonus = (2 * count.sum(1, keepdim=True).log() / count).sqrt()
        return self.table[session.user] + self.c * self.scale * bonus


def fit_epsilon_greedy(context: Context, seed: int = 0, epsilon: float = EPSILON) -> EpsilonGreedy:
    """Epsilon-greedy over the world model's rewards."""
    return EpsilonGreedy(context.tables().reward, epsilon, seed)


def fit_ucb(context: Context, seed: int = 0, c: float = 1.0) -> UCB:
    """UCB with the counts of the log; `seed` changes nothing.

    The scale is the logged rewards' standard deviation about their item's mean; in a log of positives alone, where
    that is 0, the Bernoulli deviation of the world model's mean reward.
    """
    log, table = context.catalogue, context.tables().reward
    count = np.bincount(log.item, minlength=log.n_items).astype(np.float64)
    mean = np.bincount(log.item, log.reward, minlength=log.n_items) / np.maximum(count, 1)
    scale = float(np.sqrt(np.square(log.reward - mean[log.item]).mean())) if len(log) else 0.0
    if scale < 1e-6:
        low, high = context.tables().reward_range
        share = min(max((float(table.mean()) - low) / max(high - low, 1e-12), 0.0), 1.0)
        scale = (high - low) * math.sqrt(share * (1 - share))
    return UCB(table, torch.from_numpy(count.astype(np.float32)), scale, c)
