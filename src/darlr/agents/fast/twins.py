"""Fast twins of plain functions. Each computes what its plain twin computes, up to rounding.

- `policy_gain` of `agents.a2c.policy_gain`: always, because all logits at once would fill the memory.
- `fold` of `agents.tracker.Layer.attend`: with one head; with several, each head would need its own matrix.
- `product` of `plain_product`: large products on processors where oneDNN is faster.
- `fast.kernels.compiled` of `fast.kernels.PLAIN`: by the option `compile`.
- `simulation.policy.draw_by_chunks` of `simulation.policy.draw_at_once`: many actions on a CPU. It is in that room
  because evaluation draws too and cannot import agents.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

if TYPE_CHECKING:
    from darlr.agents.a2c import Decisions


def policy_gain(decisions: "Decisions", weight: Tensor, bonus: float, entropies: bool) -> tuple[Tensor, Tensor]:
    """`darlr.agents.a2c.policy_gain`; the entropies are 0 where neither the bonus nor the caller needs them."""
    actor, order, counted = decisions.actor, decisions.order, None
    if order is not None:
        empty = weight.new_zeros(len(decisions.hidden))
        weight, counted = empty.index_copy(0, order, weight), empty.index_fill(0, order, 1.0)
    gain, entropy = Objective.apply(  # type: ignore[no-untyped-call]
        decisions.hidden, actor.weight, actor.bias, decisions, weight, bonus, entropies, counted
    )
    return gain, entropy if order is None else entropy[order]


class Objective(torch.autograd.Function):
    """sum over n of weight_n log pi(action_n) + bonus * entropy_n; also the entropies, float32 [N], without gradient.

    The gradient by the logits is weight_n (onehot(action_n) - pi) - bonus * pi (log pi + entropy_n). It does not depend
    on later layers, so each chunk of rows is visited once, while it is in the cache.
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
        counted: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """hidden [N, h], actor [A, h] and bias [A]: those of the decisions. weight: float32 [N].

        counted: 1 for decisions and 0 for padding, float32 [N]; None without padding.
        """
        by_hidden, by_actor, by_bias = torch.empty_like(hidden), torch.zeros_like(actor), torch.zeros_like(bias)
        taken, entropy = torch.empty_like(weight), torch.zeros_like(weight)
        for rows, layer in decisions.chunks():
            action, weight_n = decisions.action[rows, None], weight[rows, None]
            logits = decisions.masked(layer.logits(hidden[rows]), rows)
            slope = -weight_n
            pi = logits.softmax(-1)
            if wanted or bonus:
                # The log of the sum of exponentials, from the likeliest action; it saves a pass of exponentials.
                total = logits.amax(-1) - pi.amax(-1).log()
                entropy[rows] = total - torch.linalg.vecdot(pi, logits)
            if bonus:
                share = bonus if counted is None else bonus * counted[rows, None]
                slope = slope - share * (logits + (entropy[rows] - total)[:, None])
            taken[rows] = pi.gather(1, action).squeeze(1)
            by_logits = pi.mul_(slope).scatter_add_(1, action, weight_n)
            by_hidden[rows] = layer.back(by_logits, hidden[rows], by_actor, by_bias)
        ctx.save_for_backward(by_hidden, by_actor, by_bias)
        ctx.mark_non_differentiable(entropy)
        log_taken = taken.clamp(min=torch.finfo(taken.dtype).tiny).log()
        return (weight * log_taken).sum() + bonus * (entropy if counted is None else entropy * counted).sum(), entropy

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients by hidden, actor and bias."""
        return *(upstream * gradient for gradient in ctx.saved_tensors), None, None, None, None, None


class Folded(NamedTuple):
    """Attention of one head, its four linear layers folded into two: before the scores, and after the weighted mean.

    (Q a + b) . (K x + k) is (K' (Q a + b)) . x plus a term that is the same for every x, which the softmax cancels.
    The weighted mean of V x + v is V (weighted mean of x) + v. Shapes: [d, d], [d], [d, d], [d].
    """

    ask: Tensor
    ask_bias: Tensor
    out: Tensor
    out_bias: Tensor

    def attend(self, asking: Tensor, normed: Tensor, bias: Tensor | None) -> Tensor:
        """`Layer.attend` for one head: asking [*q, B, d], normed [w, B, d], bias [w, B, 1] -> [*q, B, d]."""
        asked = linear(asking, self.ask, self.ask_bias)
        score = (asked.unsqueeze(-3) * normed).sum(-1, keepdim=True).mul_(normed.shape[-1] ** -0.5)  # [*q, w, B, 1]
        weight = (score if bias is None else score + bias).softmax(-3)
        return linear((weight * normed).sum(-3), self.out, self.out_bias)


def fold(attention: nn.Linear, out: nn.Linear, heads: int) -> Folded | None:
    """The folded layers at the current weights; None with several heads, where the plain function is used.

    attention: query, key and value, [3 d, d]. out: the output layer, [d, d].
    """
    if heads > 1:
        return None
    of_query, of_key, of_value = attention.weight.chunk(3)
    query_bias, _, value_bias = attention.bias.chunk(3)
    return Folded(
        of_key.T @ of_query,
        query_bias @ of_key,
        out.weight @ of_value,
        torch.addmv(out.bias, out.weight, value_bias),
    )


LARGE = 1 << 22  # the number of multiplications from which oneDNN's faster products make up for its slower calls


def onednn_is_faster() -> bool:
    """Whether PyTorch has oneDNN and the processor has AVX-512 that MKL leaves unused, because it is not Intel's.

    Older versions of PyTorch cannot detect the processor.
    """
    processor: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    known = bool(processor.get("avx512_f")) and "Intel" not in str(processor.get("cpu_name", "Intel"))
    return known and hasattr(torch.ops.mkldnn, "_linear_pointwise")


ONEDNN = onednn_is_faster()


def product(rows: Tensor, columns: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows [n, k] @ columns [m, k].T + bias [m], float32 [n, m], by oneDNN or MKL, whichever is faster here."""
    if not (
        ONEDNN
        and rows.shape[0] * columns.numel() >= LARGE
        and rows.device.type == "cpu"
        and rows.dtype == columns.dtype == torch.float32
        and not (torch.is_grad_enabled() and (rows.requires_grad or columns.requires_grad))  # it has no gradient
    ):
        return plain_product(rows, columns, bias)
    return _opaque(rows, columns, bias) if torch.compiler.is_compiling() else _onednn(rows, columns, bias)


def plain_product(rows: Tensor, columns: Tensor, bias: Tensor | None = None) -> Tensor:
    """`product` by PyTorch's usual operators."""
    return rows @ columns.T if bias is None else torch.addmm(bias, rows, columns.T)


def _onednn(rows: Tensor, columns: Tensor, bias: Tensor | None) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, columns, bias, "none", [], "")
    return result


# PyTorch's compiler accepts that operator for constant weights only, so it must not look inside.
_opaque = torch.library.custom_op("darlr::product", _onednn, mutates_args=())


@_opaque.register_fake
def _(rows: Tensor, columns: Tensor, bias: Tensor | None) -> Tensor:
    return rows.new_empty(rows.shape[0], columns.shape[0])
