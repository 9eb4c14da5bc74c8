"""The error of a table of estimated rewards, by intervals of the true reward (the motivation of the paper)."""

from itertools import pairwise

import torch
from torch import Tensor

from darlr.evaluation.truth import Truth

CELLS = 2**18  # cells that are processed at once, as many as a core's cache holds; it changes no number
FEW = 10  # a truth with at most this many distinct rewards gets an interval for each


def reward_error(estimate: Tensor, truth: Truth) -> dict[str, float]:
    """Compute the mean absolute error of an estimate, float [U, I], over "all" cells and by interval of true reward.

    There is one interval for each distinct reward if there are few, else five equal ones; empty ones are left out.
    """
    device = estimate.device
    users, items = (torch.as_tensor(codes, device=device) for codes in (truth.users, truth.items))
    bounds, labels = _intervals(truth.reward)
    bounds, count = bounds.to(device), len(labels) + 1  # the first is for cells outside all intervals
    cells = torch.zeros(count, dtype=torch.int64, device=device)
    total = torch.zeros(count, dtype=torch.float64, device=device)
    size = max(1, CELLS // len(items))
    for rows, known in zip(torch.split(users, size), torch.split(truth.reward, size), strict=True):
        actual = known.to(device)
        error = (estimate[rows[:, None], items] - actual).abs().double()
        index = (_place(actual.contiguous(), bounds, len(labels)) + 1).flatten()
        cells += index.bincount(minlength=count)
        total += index.bincount(error.flatten(), minlength=count)
    found = zip(labels, cells[1:].tolist(), total[1:].tolist(), strict=True)
    return {"all": float(total.sum()) / truth.reward.numel()} | {name: sum_ / n for name, n, sum_ in found if n}


def _intervals(actual: Tensor) -> tuple[Tensor, list[str]]:
    """Return rising bounds and the names of the intervals; an interval that is one reward has one bound."""
    found = actual.new_zeros(0)
    for part in torch.split(actual, max(1, CELLS // actual.shape[1])):
        found = torch.unique(torch.cat([found, torch.unique(part)]))
        if len(found) > FEW:
            break
    else:
        return found.cpu(), [f"{value:g}" for value in found.tolist()]
    edges = torch.linspace(float(actual.min()), float(actual.max()), 6).tolist()
    return torch.tensor(edges, dtype=actual.dtype), [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]


def _place(actual: Tensor, bounds: Tensor, intervals: int) -> Tensor:
    """Find the interval of each cell, int64 like `actual`; -1 = outside all."""
    if len(bounds) == intervals:
        return torch.searchsorted(bounds, actual)
    index = torch.searchsorted(bounds, actual, right=True) - 1
    index = torch.where(actual == bounds[-1], intervals - 1, index)
    return torch.where((actual < bounds[0]) | (actual > bounds[-1]), -1, index)
