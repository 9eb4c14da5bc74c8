"""Row-wise Adagrad: the optimiser of embeddings of many users and items, whose gradients hold a few rows each."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

RATE = 20.0  # times the step size of Adam, which docs/scale.md compares it with


class RowAdagrad(torch.optim.Optimizer):
    """Adagrad with one number of state for each row, the sum of its mean squared gradients (arXiv 1906.00091).

    The tables [n, d] must have sparse gradients; rows without one stay as they are.
    """

    def __init__(self, tables: Iterable[Tensor], lr: float) -> None:
        super().__init__(tables, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move the rows of each gradient by -lr g / sqrt(sum)."""
        for group in self.param_groups:
            for table in group["params"]:
                gradient = table.grad.coalesce()
                row, value = gradient.indices()[0], gradient.values()
                total = self.state[table].setdefault("sum", torch.zeros(len(table), device=table.device))
                total[row] += value.square().mean(1)
                table.index_add_(0, row, value / (total[row].sqrt()[:, None] + 1e-10), alpha=-group["lr"])
