"""Attention of one head by two linear layers instead of four: the twin of `darlr.agents.tracker.Layer.attend`."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear


class Folded(NamedTuple):
    """Attention of a single head, its four linear layers folded into two; they stay the same while the weights do.

    (Q a + b) (K x + k) is (K' (Q a + b)) x and something that is the same for every x, so moves no weight; and the
    weighted mean of V x + v is V (weighted mean of x) + v. So there is no query, key or value, but one layer before
    the scores and one behind the mean. Shapes [d, d], [d], [d, d], [d].
    """

    ask: Tensor
    ask_bias: Tensor
    out: Tensor
    out_bias: Tensor

    def attend(
        self, asking: Float[Tensor, "q B d"], normed: Float[Tensor, "w B d"], bias: Float[Tensor, "w B 1"] | None
    ) -> Float[Tensor, "q B d"]:
        """What `Layer.attend` computes with one head, to rounding."""
        asked = linear(asking, self.ask, self.ask_bias)
        score = (asked[:, None] * normed).sum(-1, keepdim=True).mul_(normed.shape[-1] ** -0.5)  # [q, w, B, 1]
        weight = (score if bias is None else score + bias).softmax(1)
        return linear((weight * normed).sum(1), self.out, self.out_bias)


def fold(attention: nn.Linear, out: nn.Linear) -> Folded:
    """Two layers in place of four. attention: query, key and value, [3 d, d]; out: the output layer, [d, d]."""
    of_query, of_key, of_value = attention.weight.chunk(3)
    query_bias, _, value_bias = attention.bias.chunk(3)
    return Folded(
        of_key.T @ of_query,
        query_bias @ of_key,
        out.weight @ of_value,
        torch.addmv(out.bias, out.weight, value_bias),
    )
