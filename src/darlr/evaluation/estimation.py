"""The error of a table of estimated rewards, by intervals of the true reward (the motivation of the paper)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from darlr.errors import ConfigError

if TYPE_CHECKING:
    from darlr.evaluation.truth import Truth

CELLS = 2**18  # cells looked at at once: what a core's cache holds; never changes a number
FEW = 10  # a truth with at most this many distinct rewards gets an interval for each


def reward_error(estimate: Tensor, truth: "Truth", edges: Sequence[float] | None = None) -> dict[str, float]:
    """Mean absolute error of `estimate`, float [U, I], against the truth: over all cells, and by true reward.

    Keys: "all", then one an interval that holds any cell, in rising order. edges: rising interval bounds, each interval
    without its upper bound but the last; None = one interval a distinct reward if there are few, else five equal ones.
    """
    users = torch.as_tensor(truth.users, device=estimate.device)
    items = torch.as_tensor(truth.items, device=estimate.device)
    bounds, labels = _intervals(truth.reward, edges)
    bounds = bounds.to(estimate.device)
    count = len(labels) + 1  # the first for cells outside all intervals
    cells = torch.zeros(count, dtype=torch.int64, device=estimate.device)
    total = torch.zeros(count, dtype=torch.float64, device=estimate.device)
    size = max(1, CELLS // len(items))
    for rows, known in zip(torch.split(users, size), torch.split(truth.reward, size), strict=True):
        actual = known.to(estimate.device)
        error = (estimate[rows[:, None], items] - actual).abs().double()
        index = (_place(actual, bounds, len(labels)) + 1).flatten()
        cells += index.bincount(minlength=count)
        total += index.bincount(error.flatten(), minlength=count)
    errors = {"all": float(total.sum()) / truth.reward.numel()}
    for label, number, value in zip(labels, cells[1:].tolist(), total[1:].tolist(), strict=True):
        if number:
            errors[label] = value / number
    return errors


def _intervals(actual: Tensor, edges: Sequence[float] | None) -> tuple[Tensor, list[str]]:
    """Bounds of the intervals, rising, one for each where each is one reward, else one more; and their names."""
    if edges is None:
        distinct = _distinct(actual)
        if distinct is not None:
            return distinct, [f"{value:g}" for value in distinct.tolist()]
        edges = torch.linspace(float(actual.min()), float(actual.max()), 6).tolist()
    if len(edges) < 2 or any(low >= high for low, high in pairwise(edges)):
        raise ConfigError(f"reward intervals need at least two rising bounds, not {list(edges)}")
    return torch.tensor(edges, dtype=actual.dtype), [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]


def _distinct(actual: Tensor) -> Tensor | None:
    """The distinct rewards, rising; None where there are more than FEW."""
    found = actual.new_zeros(0)
    for part in torch.split(actual, max(1, CELLS // actual.shape[1])):
        found = torch.unique(torch.cat([found, torch.unique(part)]))
        if len(found) > FEW:
            return None
    return found.cpu()


def _place(actual: Tensor, bounds: Tensor, intervals: int) -> Tensor:
    """Interval of each cell, int64 like `actual`, -1 = outside all."""
    if len(bounds) == intervals:
        return torch.searchsorted(bounds, actual.contiguous())
    index = torch.searchsorted(bounds, actual.contiguous(), right=True) - 1
    index = torch.where(actual == bounds[-1], intervals - 1, index)
    return torch.where((actual < bounds[0]) | (actual > bounds[-1]), -1, index)
