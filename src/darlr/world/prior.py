"""The prior of the belief about a new user, from the log alone.

Of ratings it is the mean and the covariance of the rows of the log's users, by the draws of a factorisation machine
from its posterior (`darlr.world.models.bayesian`). Variance that the leading directions leave out counts as noise of
the item. Of positives it is the maximum likelihood fit of probabilistic principal components to the users' rows of 0
and 1 (Tipping and Bishop 1999).
"""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import scipy  # its solvers load when they are first used
import torch
from torch import Tensor

from darlr.data.log import IntArray, InteractionLog
from darlr.data.scope import places, scope_of, within_scope
from darlr.world import noise
from darlr.world.answers import EVENTS, FEW, Answers, cells_of, choose, widest
from darlr.world.belief import Belief
from darlr.world.implicit import distinct
from darlr.world.kind import Scale, WorldModel
from darlr.world.models.bayesian import BayesianFM
from darlr.world.models.history import strongest
from darlr.world.models.mixture import posterior_of

DIRECTIONS = 64  # the most directions of preference
LEVEL = 1.0  # of positives: the prior deviation of the level of a user's row, as a multiple of the mean row
USERS = 20_000  # the most users whose rows give the covariance; of more, evenly spread ones are taken
LEAST = 1e-4  # the smallest variance of a reward, in squared units of the range of rewards


def belief_of(model: WorldModel, scale: Scale, log: InteractionLog, answers: Answers | None = None) -> Belief | None:
    """The belief about a user who is in no log, from a world model that was fitted to the log.

    log: of ratings. answers: what its held-out events say of noise and spread (`darlr.world.answers`). The result is
    None for a world model without a posterior.
    """
    posterior = posterior_of(model)
    if posterior is None:
        return None
    scope = scope_of(log)
    users, items = (torch.from_numpy(side) for side in (_some(scope.users), scope.items))
    mean, factors, left_out = of_draws(posterior, users, items)
    own = noise.of_posterior(posterior, scale, log) + left_out * scale.spread**2
    found = Belief(scale.centre + scale.spread * mean, scale.spread * factors, own)
    return found if answers is None else answers.of(found)


def answers_of(model: WorldModel, scale: Scale, log: InteractionLog, held_out: InteractionLog) -> dict[str, Any]:
    """What held-out events say of the belief of a world model that was fitted to the log without them, as metrics."""
    if log.implicit or posterior_of(model) is None or not len(held_out):
        return {}
    belief, posterior, scope = belief_of(model, scale, log), posterior_of(model), scope_of(log)
    assert belief is not None
    assert posterior is not None
    found = choose(belief, within_scope(log, scope), within_scope(held_out, scope))
    some = slice(None, None, -(-len(held_out) // EVENTS))
    user, item, reward = (torch.from_numpy(getattr(held_out, name)[some]) for name in ("user", "item", "reward"))
    mean, log_variance = posterior(*(side.expand(posterior.members, -1) for side in (user, item)))
    inputs = scale.centre + scale.spread * mean.mean(0), scale.variance(log_variance).mean(0)
    known = widest(cells_of(log).of(reward), *inputs) if len(held_out) >= FEW else 1.0
    return {"answers": asdict(replace(found, known=known))}


def of_draws(model: BayesianFM, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mean [I] of the users' rows, the factors [I, d] of their covariance, and the variance [I] outside of these.

    All are in standardised units.

    The covariance is that of the users in each draw, averaged over draws, plus that of the mean row between draws. A
    new user's row is uncertain in both ways. Of several members every so many draws are taken, as many as one has.
    """
    some = slice(None, None, model.members)
    tables = {"user_linear": users, "user_vector": users, "item_linear": items, "item_vector": items}
    linear, vector, of_items, item_vector = (
        getattr(model, name).flatten(0, 1)[some, codes].double() for name, codes in tables.items()
    )
    of_user = torch.cat([linear[..., None], vector], -1)
    of_item = torch.cat([torch.ones_like(of_items)[..., None], item_vector], -1)  # [draws, I, 1 + f]
    centre = of_user.mean(1)
    rows = of_items + (of_item @ centre[..., None]).squeeze(-1)
    centred = of_user - centre[:, None]
    inside = torch.linalg.cholesky(
        centred.mT @ centred / len(users) + 1e-9 * torch.eye(of_user.shape[-1], dtype=torch.float64)
    )
    mean = rows.mean(0)
    wide = torch.cat([(of_item @ inside).permute(1, 0, 2).flatten(1), (rows - mean).T], 1) / len(rows) ** 0.5
    factors = _leading(wide)
    left_out = (wide.square().sum(1) - factors.square().sum(1)).clamp(min=0)
    return mean.float(), factors.float(), left_out.float()


def _some(users: IntArray) -> IntArray:
    """At most USERS of the users, evenly spread."""
    return users[:: -(-len(users) // USERS)] if len(users) else users


def _leading(wide: Tensor) -> Tensor:
    """The factors [I, d] whose products are nearest to those of the rows of `wide` [I, p]."""
    _, turn = torch.linalg.eigh(wide.T @ wide)
    leading: Tensor = wide @ turn[:, -min(DIRECTIONS, *wide.shape) :]
    return leading


def of_positives(log: InteractionLog) -> Belief:
    """The prior from the rows of 0 and the positive reward of the users who may have logged the scope's items.

    A log of positives says little about how many of the shown items a user likes. The level of a row is therefore one
    more direction of preference, of the deviation LEVEL.
    """
    scope, missing = scope_of(log), log.unit.zero
    positive = float(log.reward[0]) - missing
    cells, learners = distinct(log), _some(scope.candidates(log))
    place, row = places(scope.items, log.n_items), places(learners, log.n_users)
    kept = (row[cells.user] >= 0) & (place[cells.item] >= 0)
    pairs = row[cells.user[kept]], place[cells.item[kept]]
    shape = len(learners), len(scope.items)
    rows = scipy.sparse.csr_matrix((np.full(len(pairs[0]), positive), pairs), shape=shape)
    mean = np.asarray(rows.mean(0)).ravel()
    variance = np.asarray(rows.multiply(rows).mean(0)).ravel() - mean**2
    count = min(DIRECTIONS, min(shape) - 1)
    centred = scipy.sparse.linalg.LinearOperator(
        shape,
        matvec=lambda v: rows @ v.ravel() - mean @ v.ravel(),
        rmatvec=lambda v: rows.T @ v.ravel() - mean * v.sum(),
        dtype=np.float64,
    )
    _, strength, right = strongest(centred, count)
    spread = strength**2 / shape[0]
    rest = max((variance.sum() - spread.sum()) / max(shape[1] - count, 1), 0.0)
    factors = right.T * np.sqrt(np.clip(spread - rest, 0, None))
    own = np.clip(variance - (factors**2).sum(1), LEAST * positive**2, None)
    factors = np.concatenate([factors, LEVEL * mean[:, None]], 1)
    centre, along, own = (torch.from_numpy(part.astype(np.float32)) for part in (mean + missing, factors, own))
    return Belief(centre, along, own)
