"""The gradient of the policy's objective by hand: the twin of `darlr.agents.a2c.policy_gain`, chunk by chunk."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from darlr.agents.decisions import Decisions


class Objective(torch.autograd.Function):
    """sum over n of weight_n log pi(action_n) + bonus * entropy_n; also the entropies, float32 [N], without gradient.

    Its gradient by the logits, weight_n (onehot(action_n) - pi) - bonus * pi (log pi + entropy_n), needs nothing from
    behind, so a chunk of rows is visited once, while it is in the cache. Without a bonus it needs no log pi either,
    and entropies are 0 where they are not `wanted`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        actor: Tensor,
        bias: Tensor,
        decisions: "Decisions",
        weight: Tensor,
        bonus: float,
        wanted: bool,
    ) -> tuple[Tensor, Tensor]:
        """hidden [N, h] is that of the decisions; actor [A, h] and bias [A] are their actor's; weight: float32 [N]."""
        by_hidden, by_actor, by_bias = torch.empty_like(hidden), torch.zeros_like(actor), torch.zeros_like(bias)
        taken, entropy = torch.empty_like(weight), torch.zeros_like(weight)
        for rows, layer in decisions.chunks():
            action, weight_n = decisions.action[rows, None], weight[rows, None]
            logits = decisions.masked(layer.logits(hidden[rows]), rows)
            slope = -weight_n
            pi = logits.softmax(-1)
            if wanted or bonus:
                # log of the sum of exponentials, read off the likeliest action: no pass over exponentials or logarithms
                total = logits.amax(-1) - pi.amax(-1).log()
                entropy[rows] = total - torch.linalg.vecdot(pi, logits)
            if bonus:
                slope = slope - bonus * (logits + (entropy[rows] - total)[:, None])
            taken[rows] = pi.gather(1, action).squeeze(1)
            by_logits = pi.mul_(slope).scatter_add_(1, action, weight_n)
            by_hidden[rows] = layer.back(by_logits, hidden[rows], by_actor, by_bias)
        ctx.save_for_backward(by_hidden, by_actor, by_bias)
        ctx.mark_non_differentiable(entropy)
        log_taken = taken.clamp(min=torch.finfo(taken.dtype).tiny).log()
        return (weight * log_taken).sum() + bonus * entropy.sum(), entropy

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients by hidden, actor and bias."""
        return *(upstream * gradient for gradient in ctx.saved_tensors), None, None, None, None
