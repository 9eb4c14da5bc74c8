"""The error of a table of estimated rewards, by intervals of the true reward (the motivation of the paper)."""

from itertools import pairwise

import torch
from torch import Tensor

from darlr.evaluation.truth import Truth
from darlr.world.estimates import Estimate, estimate_of

CELLS = 2**18  # cells that are processed at once, as many as a core's cache holds; it changes no number
FEW = 10  # a truth with at most this many distinct rewards gets an interval for each


def reward_error(estimate: Estimate | Tensor, truth: Truth) -> dict[str, float]:
    """Compute the mean absolute error of an estimate over "all" cells of a truth and by interval of true reward.

    There is one interval for each distinct reward if there are few, else five equal ones; empty ones are left out.
    """
    estimate, rewards = estimate_of(estimate), estimate_of(truth.reward)
    device = estimate.device
    users, items = (torch.as_tensor(codes, device=device) for codes in (truth.users, truth.items))
    bounds, labels = _intervals(rewards)
    bounds, count = bounds.to(device), len(labels) + 1  # the first is for cells outside all intervals
    cells = torch.zeros(count, dtype=torch.int64, device=device)
    total = torch.zeros(count, dtype=torch.float64, device=device)
    size = max(1, CELLS // len(items))
    for rows in torch.split(torch.arange(len(users)), size):
        actual = rewards.rows(rows.to(rewards.device)).to(device)
        error = (estimate.rows(users[rows])[:, items] - actual).abs().double()
        index = (_place(actual.contiguous(), bounds, len(labels)) + 1).flatten()
        cells += index.bincount(minlength=count)
        total += index.bincount(error.flatten(), minlength=count)
    found = zip(labels, cells[1:].tolist(), total[1:].tolist(), strict=True)
    return {"all": float(total.sum()) / (len(users) * len(items))} | {name: sum_ / n for name, n, sum_ in found if n}


def _intervals(rewards: Estimate) -> tuple[Tensor, list[str]]:
    """Return rising bounds and the names of the intervals; an interval that is one reward has one bound."""
    found = rewards.rows(torch.zeros(0, dtype=torch.int64, device=rewards.device)).flatten()
    for part in torch.split(torch.arange(rewards.shape[0], device=rewards.device), max(1, CELLS // rewards.shape[1])):
        found = torch.unique(torch.cat([found, torch.unique(rewards.rows(part))]))
        if len(found) > FEW:
            break
    else:
        return found.cpu(), [f"{value:g}" for value in found.tolist()]
    edges = torch.linspace(*rewards.bounds(), 6).tolist()
    return torch.tensor(edges, dtype=found.dtype), [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]


def _place(actual: Tensor, bounds: Tensor, intervals: int) -> Tensor:
    """Find the interval of each cell, int64 like `actual`; -1 = outside all."""
    if len(bounds) == intervals:
        return torch.searchsorted(bounds, actual)
    index = torch.searchsorted(bounds, actual, right=True) - 1
    index = torch.where(actual == bounds[-1], intervals - 1, index)
    return torch.where((actual < bounds[0]) | (actual > bounds[-1]), -1, index)
