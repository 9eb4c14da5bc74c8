"""The variance of a reward around its expected value, for each item, fitted on the log."""

import numpy as np
import scipy  # its solvers load when they are first used
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import places, scope_of
from darlr.world.estimates import CELLS, Estimate
from darlr.world.kind import Scale
from darlr.world.models.bayesian import BayesianFM

USERS = 1024  # users over whom a predicted variance is averaged
EVENTS, BATCH = 1 << 18, 1 << 14  # the most events whose residuals are used, evenly spread ones; those of a batch
WEIGHTS = 2.0 ** np.arange(1, 13)  # candidates for the number of events that the variance of all items counts as


def by_item(
    items: Int[np.ndarray, " L"], squares: Float[np.ndarray, " L"], n_items: int
) -> Float[np.ndarray, " n_items"]:
    """The variance of each item's rewards, from the squared residuals of events.

    The variance of an item has a scaled inverse chi-squared prior around that of all events (Gelman et al. 2013,
    section 2.6). The prior counts as `weight` events, which maximises the likelihood of the items' mean squares: a mean
    square of n events over the common variance follows the F distribution with n and `weight` degrees of freedom.
    """
    if not len(items):
        return np.ones(n_items)
    count = np.bincount(items, minlength=n_items)
    total = np.bincount(items, squares, minlength=n_items)
    common = max(float(squares.mean()), 1e-12)
    seen = count > 0
    ratio = total[seen] / count[seen] / common
    fits = [scipy.stats.f.logpdf(np.maximum(ratio, 1e-9), count[seen], weight).sum() for weight in WEIGHTS]
    weight = WEIGHTS[int(np.argmax(fits))]
    found: NDArray[np.float64] = (weight * common + total) / (weight + count)
    return found


@torch.no_grad()
def of_posterior(model: BayesianFM, scale: Scale, log: InteractionLog) -> Float[Tensor, " I"]:
    """The variance of the rewards of each item of the log's scope, in squared units of reward, float32 [I].

    The squared residual of an event is its expectation over the draws of the posterior.
    """
    scope, some = scope_of(log), slice(None, None, max(1, -(-len(log) // EVENTS)))
    user, item = (torch.from_numpy(side[some]) for side in (log.user, log.item))
    target = scale.standardise(torch.from_numpy(log.reward[some]))
    squares = []
    for u, i, r in zip(*(torch.split(part, BATCH) for part in (user, item, target)), strict=True):
        mean, log_variance = model(u.expand(model.members, -1), i.expand(model.members, -1))
        spread = log_variance.exp() - model.noise[:, None]
        squares.append(((r - mean).square() + spread).mean(0))
    place = places(scope.items, log.n_items)[item.numpy()]
    inside = place >= 0
    square = torch.cat(squares).double().numpy() if squares else np.zeros(0)
    found = by_item(place[inside], square[inside], len(scope.items))
    return torch.from_numpy((found * scale.spread**2).astype(np.float32))


def mean_risk(risk: Estimate) -> Float[Tensor, " I"]:
    """The predicted variance of each item's rewards, averaged over at most USERS evenly spread users."""
    users, items = risk.shape
    some = torch.arange(0, users, -(-users // USERS), device=risk.device)
    parts = torch.split(some, max(1, CELLS // items))
    total = torch.stack([risk.rows(part).sum(0, dtype=torch.float64) for part in parts]).sum(0)
    return (total / len(some)).float()
