"""The neighbours of users by logged feedback, and the mean logged rewards of these neighbours."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import IntArray, InteractionLog
from darlr.data.scope import Scope, places

CHUNK = 1024  # the candidates whose feedback is held as a dense matrix at once


def logged_feedback(log: InteractionLog, users: IntArray, items: IntArray) -> tuple[Tensor, Tensor]:
    """The mean logged reward of each cell, 0 for none, and whether there is one, float32 [u, i] each, by log codes."""
    row, column = places(users, log.n_users), places(items, log.n_items)
    inside = (row[log.user] >= 0) & (column[log.item] >= 0)
    cell = row[log.user[inside]] * len(items) + column[log.item[inside]]
    cell, place, count = np.unique(cell, return_inverse=True, return_counts=True)
    mean, logged = np.zeros((2, len(users) * len(items)), np.float32)
    mean[cell] = np.bincount(place, log.reward[inside], minlength=len(cell)) / count
    logged[cell] = 1
    shape = (len(users), len(items))
    return torch.from_numpy(mean.reshape(shape)), torch.from_numpy(logged.reshape(shape))


def logged_neighbours(
    log: InteractionLog, scope: Scope, k: int = 300, *, itself: bool = False
) -> tuple[Tensor, Tensor]:
    """The k nearest candidates of each scope user: log codes int64 [Us, k] and cosines float32 [Us, k].

    The cosine is that of the logged feedback on items outside the block. Candidates are the users outside the block,
    which are all users where there is none; users are their own candidates only with `itself`. k is cut to their
    number.
    """
    columns = scope.feedback_items(log)
    candidates = scope.candidates(log)
    wanted = _unit(logged_feedback(log, scope.users, columns)[0])
    codes = torch.from_numpy(candidates)
    parts = [
        wanted @ _unit(logged_feedback(log, chunk, columns)[0]).T
        for chunk in np.array_split(candidates, max(1, -(-len(candidates) // CHUNK)))
    ]
    cosine = torch.cat(parts, 1)
    own = 0
    if not itself:
        cosine = cosine.masked_fill(codes == torch.from_numpy(scope.users)[:, None], -torch.inf)
        own = int(np.isin(candidates, scope.users).any())
    best = cosine.topk(min(k, len(candidates) - own), dim=1)
    return codes[best.indices], best.values


def logged_neighbour_table(
    log: InteractionLog,
    scope: Scope,
    k: int = 300,
    *,
    weights: Literal["uniform", "cosine"] = "uniform",
    itself: bool = False,
) -> Tensor:
    """The mean logged reward of each user's k neighbours, float32 [Us, Is]; a neighbour without an event counts as 0.

    In an implicit log it is proportional to the share of the neighbours who logged the item.
    """
    index, cosine = logged_neighbours(log, scope, k, itself=itself)
    vote = torch.ones_like(cosine) if weights == "uniform" else cosine
    table = torch.zeros(len(scope.users), len(scope.items))
    candidates = scope.candidates(log)
    for chunk in np.array_split(candidates, max(1, -(-len(candidates) // CHUNK))):
        found = torch.from_numpy(places(chunk, log.n_users))[index]
        weight = torch.zeros(len(index), len(chunk) + 1)
        weight.scatter_(
            1, torch.where(found >= 0, found, len(chunk)), vote
        )  # the last column takes neighbours of other chunks
        table += weight[:, :-1] @ logged_feedback(log, chunk, scope.items)[0]
    return table / vote.sum(1, keepdim=True).clamp(min=1e-12)  # dividing last keeps equal counts exactly equal


def _unit(vectors: Tensor) -> Tensor:
    """The rows, scaled to length 1; zero rows stay zero."""
    return torch.nn.functional.normalize(vectors, dim=1, eps=1e-12)
