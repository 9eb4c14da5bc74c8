"""How far an estimated reward table is from the truth, by reward interval (the paper's motivation)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from darlr.errors import ConfigError

if TYPE_CHECKING:
    from darlr.evaluation.truth import Truth

FEW = 10  # a truth with at most this many distinct rewards gets an interval for each


def reward_error(estimate: Tensor, truth: "Truth", edges: Sequence[float] | None = None) -> dict[str, float]:
    """Mean absolute error of `estimate`, float [U, I], against the truth: over all cells, and by true reward.

    Keys: "all", then one an interval that holds any cell, in rising order. edges: rising interval bounds, each interval
    without its upper bound but the last; None = one interval a distinct reward if there are few, else five equal ones.
    """
    users = torch.as_tensor(truth.users, device=estimate.device)
    items = torch.as_tensor(truth.items, device=estimate.device)
    actual = truth.reward.to(estimate.device)
    error = (estimate[users[:, None], items] - actual).abs().double()
    index, labels = _intervals(actual, edges)
    inside = index >= 0
    cells = index[inside].bincount(minlength=len(labels))
    total = torch.zeros(len(labels), dtype=torch.float64, device=error.device)
    total.index_add_(0, index[inside], error[inside])
    errors = {"all": float(error.mean())}
    for label, count, value in zip(labels, cells.tolist(), total.tolist(), strict=True):
        if count:
            errors[label] = value / count
    return errors


def _intervals(actual: Tensor, edges: Sequence[float] | None) -> tuple[Tensor, list[str]]:
    """Interval of each cell, int64 like `actual`, -1 = outside all; and the intervals' names."""
    if edges is None:
        distinct = torch.unique(actual)
        if len(distinct) <= FEW:
            return torch.searchsorted(distinct, actual.contiguous()), [f"{value:g}" for value in distinct.tolist()]
        edges = torch.linspace(float(distinct[0]), float(distinct[-1]), 6).tolist()
    if len(edges) < 2 or any(low >= high for low, high in pairwise(edges)):
        raise ConfigError(f"reward intervals need at least two rising bounds, not {list(edges)}")
    bounds = torch.tensor(edges, dtype=actual.dtype, device=actual.device)
    index = torch.searchsorted(bounds, actual.contiguous(), right=True) - 1
    last = len(edges) - 2
    index = torch.where(actual == bounds[-1], last, index)
    index = torch.where((actual < bounds[0]) | (actual > bounds[-1]), -1, index)
    return index, [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
