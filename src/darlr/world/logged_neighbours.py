"""Users alike by what they logged, and what those logged: a table of scores from the log alone."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import IntArray, InteractionLog
from darlr.data.scope import Scope

CHUNK = 1024  # candidates whose feedback is held densely at once


def logged_feedback(log: InteractionLog, users: IntArray, items: IntArray) -> tuple[Tensor, Tensor]:
    """Mean logged reward [u, i] of the cells users x items (log codes), 0 = none; whether logged, float32 [u, i]."""
    row, column = (np.full(size, -1, dtype=np.int64) for size in (log.n_users, log.n_items))
    row[users], column[items] = np.arange(len(users)), np.arange(len(items))
    inside = (row[log.user] >= 0) & (column[log.item] >= 0)
    cell = row[log.user[inside]] * len(items) + column[log.item[inside]]
    size = len(users) * len(items)
    count = np.bincount(cell, minlength=size)
    mean = np.bincount(cell, log.reward[inside], minlength=size) / np.maximum(count, 1)
    shape = (len(users), len(items))
    logged = (count > 0).astype(np.float32)
    return torch.from_numpy(mean.astype(np.float32).reshape(shape)), torch.from_numpy(logged.reshape(shape))


def logged_neighbours(
    log: InteractionLog, scope: Scope, k: int = 300, *, itself: bool = False
) -> tuple[Tensor, Tensor]:
    """The k most alike candidates of each scope user: log codes int64 [Us, k] and cosines float32 [Us, k].

    Cosine of the logged feedback over items outside the block. Candidates: the users outside the block, who have
    logged the scope's items; in a log without a block all users, oneself only with `itself`. k is cut to the
    candidates there are.
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
    """Mean over a user's k logged neighbours of their logged reward (0 where none), float32 [Us, Is].

    In a log of positives: the share of the neighbours for whom the item is one.
    """
    index, cosine = logged_neighbours(log, scope, k, itself=itself)
    vote = torch.ones_like(cosine) if weights == "uniform" else cosine
    table = torch.zeros(len(scope.users), len(scope.items))
    place = torch.full((log.n_users,), -1)
    candidates = scope.candidates(log)
    for chunk in np.array_split(candidates, max(1, -(-len(candidates) // CHUNK))):
        place.fill_(-1)
        place[torch.from_numpy(chunk)] = torch.arange(len(chunk))
        found = place[index]
        weight = torch.zeros(len(index), len(chunk) + 1)
        weight.scatter_(1, torch.where(found >= 0, found, len(chunk)), vote)  # the last column takes the others
        table += weight[:, :-1] @ logged_feedback(log, chunk, scope.items)[0]
    return table / vote.sum(1, keepdim=True).clamp(min=1e-12)  # last, so that equal counts stay exactly tied


def _unit(vectors: Tensor) -> Tensor:
    """Rows of length 1; zero rows stay zero."""
    return torch.nn.functional.normalize(vectors, dim=1, eps=1e-12)
