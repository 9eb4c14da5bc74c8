"""Log-only scores to start from: a bias model, or neighbours where only positives are known."""

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from darlr.baselines.context import Context, events
from darlr.world.bias import choose_bias, fit_bias

NEIGHBOURS = 300


def log_table(context: Context) -> Tensor:
    """Expected reward by the log alone, float32 [Us, Is]: `bias_table`, or `neighbour_rates` of positives alone."""
    return neighbour_rates(context) if context.implicit else bias_table(context)


def bias_table(context: Context) -> Tensor:
    """User and item biases, strengths chosen on the held-out part."""
    chosen = choose_bias(context.train, context.held_out)
    model = fit_bias(context.log, chosen.user_strength, chosen.item_strength)
    users, items = context.service.users, context.service.items
    return torch.from_numpy((model.mean + model.user[users, None] + model.item[items]).astype(np.float32))


def neighbour_rates(context: Context, k: int = NEIGHBOURS) -> Tensor:
    """Cosine-weighted share of a user's k nearest neighbours who logged an item, times the logged reward.

    Cosines are taken over the items, and neighbours among the users, of which nothing is unobserved by construction:
    outside the log's block. Without a block all users are, oneself included with weight 1.
    """
    log, service = context.log, context.service
    user, item, reward = events(log)
    seen = csr_matrix((np.ones(len(user), dtype=np.float32), (user, item)), (log.n_users, log.n_items))
    outside, shared = np.ones(log.n_users, dtype=bool), np.ones(log.n_items, dtype=bool)
    if log.block is not None:
        outside[log.block.users] = False
        shared[log.block.items] = False
    profile = seen[:, np.flatnonzero(shared)]
    norm = np.sqrt(np.asarray(profile.sum(1)).ravel())
    unit = profile.multiply(1 / np.maximum(norm, 1e-12)[:, None]).tocsr()
    known = np.flatnonzero(outside)
    cosine = torch.from_numpy((unit[service.users] @ unit[known].T).toarray())
    best = cosine.topk(min(k, len(known)), dim=1)
    weight = best.values / best.values.sum(1, keepdim=True).clamp(min=1e-12)
    weights = torch.zeros_like(cosine).scatter_(1, best.indices, weight).numpy()
    rates = csr_matrix(weights) @ seen[known][:, service.items]
    return torch.from_numpy(rates.toarray() * np.float32(reward.mean()))
