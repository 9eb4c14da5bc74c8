"""Bandits: epsilon-greedy and UCB on the world model, and LinUCB on the log alone."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from darlr.simulation.session import Session
from darlr.world.context import Context
from darlr.world.hashing import GOLDEN, hashed, uniform
from darlr.world.logged_neighbours import logged_neighbour_table
from darlr.world.models.bias import bias_estimate
from darlr.world.preferences import preference_features

EPSILON = 0.1  # Sutton and Barto 2018, section 2.2
NEIGHBOURS = 300
FLOATS = 2**26  # the number of floats that LinUCB holds at once; it bounds memory and changes no score


@dataclass(frozen=True)
class EpsilonGreedy:
    """A uniform item with probability epsilon, else the user's best item by a table, float32 [U, I].

    Randomness is a hash of (seed, user, turn, item), so scores depend on the session alone and their largest allowed
    entry is epsilon-greedy under any mask.
    """

    table: Tensor
    epsilon: float
    seed: int

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I]: the user's row of the table, or uniform numbers in an exploring turn."""
        key = hashed(hashed(session.user + 1 + self.seed * 7919) + session.turn + 1)
        explores = uniform(hashed(key)) < self.epsilon
        item = torch.arange(self.table.shape[1], device=self.table.device)
        order = uniform(hashed(key[:, None] + GOLDEN * (item + 1)))
        return torch.where(explores[:, None], order, self.table[session.user])


def fit_epsilon_greedy(context: Context, seed: int = 0, epsilon: float = EPSILON) -> EpsilonGreedy:
    """Epsilon-greedy on the world model's rewards."""
    return EpsilonGreedy(context.tables().reward.whole(), epsilon, seed)


@dataclass(frozen=True)
class UCB:
    """UCB1 (Auer et al. 2002) for rewards of standard deviation `scale`: r(u, i) + c * scale * sqrt(2 ln N / n_i).

    table: r, the world model's reward, [U, I]. count: the logged events of each item. n_i is this count, at least 1,
    plus the number of times that the session has shown the item; N is the sum of all n_i.
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


def fit_ucb(context: Context, seed: int = 0, c: float = 1.0) -> UCB:
    """UCB with the counts of the log; `seed` has no effect.

    The scale is the standard deviation of logged rewards about their item's mean. In a log of positives alone that is
    0, and the Bernoulli deviation of the world model's mean reward is used.
    """
    log, table = context.catalogue, context.tables().reward.whole()
    count = np.bincount(log.item, minlength=log.n_items).astype(np.float64)
    mean = np.bincount(log.item, log.reward, minlength=log.n_items) / np.maximum(count, 1)
    scale = float(np.sqrt(np.square(log.reward - mean[log.item]).mean())) if len(log) else 0.0
    if scale < 1e-6:
        low, high = context.tables().reward_range
        share = min(max((float(table.mean()) - low) / max(high - low, 1e-12), 0.0), 1.0)
        scale = (high - low) * math.sqrt(share * (1 - share))
    return UCB(table, torch.from_numpy(count.astype(np.float32)), scale, c)


@dataclass(frozen=True)
class LinUCB:
    """LinUCB (Li et al. 2010): r(u, i) = prior(u, i) + x_i . theta_u + noise, theta_u ~ N(0, 1) in units of features.

    The score is the posterior mean given the session's feedback plus alpha posterior standard deviations. prior:
    float32 [U, I]. features: float32 [I, d], each scaled by the prior standard deviation of its weight, so that the
    ridge is noise**2 times the identity.
    """

    prior: Tensor
    features: Tensor
    noise: float
    alpha: float

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], from the session's items and rewards by one rank-1 update for each turn."""
        size = max(1, FLOATS // (max(self.features.shape) * self.features.shape[1]))
        starts = range(0, max(len(session.user), 1), size)
        return torch.cat([self._scores(session, slice(start, start + size)) for start in starts])

    def _scores(self, session: Session, part: slice) -> Tensor:
        items, prior = session.items[part], self.prior[session.user[part]]
        weights, covariance = self.posterior(items, session.rewards[part] - prior.gather(1, items.clamp(min=0)))
        mean = prior + weights @ self.features.T
        if self.alpha == 0:
            return mean
        spread = torch.einsum("id,bde,ie->bi", self.features, covariance, self.features)
        return mean + self.alpha * self.noise * spread.clamp(min=0).sqrt()

    def posterior(self, items: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of theta [B, d], and the inverse of A = noise**2 I + sum x x^T [B, d, d], by Sherman-Morrison.

        items: int64 [B, T], -1 = none. residual: float32 [B, T], reward less prior.
        """
        size, d = len(items), self.features.shape[1]
        inverse = torch.eye(d, device=self.features.device).expand(size, d, d) / max(self.noise, 1e-6) ** 2
        moment = torch.zeros(size, d, device=self.features.device)
        turns = items.shape[1]
        for turn in range(turns - int((items >= 0).any(0).sum()), turns):  # items are at the end
            here = (items[:, turn] >= 0)[:, None]
            x = self.features[items[:, turn].clamp(min=0)] * here
            image = (inverse @ x[..., None]).squeeze(-1)
            inverse = inverse - image[:, :, None] * (image / (1 + (x * image).sum(1, keepdim=True)))[:, None, :]
            moment = moment + x * residual[:, turn, None]
        return (inverse @ moment[..., None]).squeeze(-1), inverse


def fit_linucb(context: Context, seed: int = 0, alpha: float = 1.0) -> LinUCB:
    """LinUCB on `preference_features`; with alpha 0, it has no bonus for uncertainty.

    The prior is fitted to the log alone: a model of biases or, in a log of positives, the items of similar users.
    """
    features, noise = preference_features(context, seed)
    if context.implicit:
        prior = logged_neighbour_table(context.log, context.scope, NEIGHBOURS, weights="cosine", itself=True)
    else:
        prior = bias_estimate(context.train, context.held_out, context.log, context.scope).whole().float()
    return LinUCB(prior, noise * features, noise, alpha)
