"""One actor-critic for both agents: a shared trunk, logits over actions, and a value."""

from collections.abc import Iterable
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from darlr.agents.fast import chosen
from darlr.options import Precision


class Trunk(nn.ModuleList):
    """Linear layers, each followed by a ReLU."""

    def forward(self, state: Float[Tensor, "B s"]) -> Float[Tensor, "B h"]:
        """The output of the last layer; without layers, the state itself."""
        layers: Iterable[nn.Linear] = self  # type: ignore[assignment]
        for layer in layers:  # at 100 rows the call of a module costs as much as its computation
            state = linear(state, layer.weight, layer.bias).relu_()
        return state


class ActorCritic(nn.Module):
    """Policy and critic on a shared ReLU trunk (method.md section 3)."""

    def __init__(
        self, state_dim: int, hidden: tuple[int, ...], n_actions: int, precision: Precision = "float32"
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size, following in pairwise((state_dim, *hidden)):
            layer = nn.Linear(size, following)
            nn.init.orthogonal_(layer.weight, 2**0.5)
            nn.init.zeros_(layer.bias)
            layers.append(layer)
        self.trunk = Trunk(layers)
        width = hidden[-1] if hidden else state_dim
        self.actor = Actor(width, n_actions, precision)
        self.critic = nn.Linear(width, 1)
        for head, gain in ((self.actor, 0.01), (self.critic, 1.0)):  # a near-uniform first policy
            nn.init.orthogonal_(head.weight, gain)
            nn.init.zeros_(head.bias)

    def forward(self, state: Float[Tensor, "B s"]) -> tuple[Float[Tensor, "B A"], Float[Tensor, " B"]]:
        """Logits over all actions, unmasked, and the value of the state."""
        hidden = self.trunk(state)
        return self.actor(hidden), self.value(hidden)

    def value(self, hidden: Float[Tensor, "*B h"]) -> Float[Tensor, "*B"]:
        """The value of states, from the trunk's output."""
        return linear(hidden, self.critic.weight, self.critic.bias).squeeze(-1)


FORBIDDEN = -1e30  # finite, so that 0 * log(0) is 0 and not NaN


def forbid(logits: Float[Tensor, "B A"], excluded: Int[Tensor, "B m"]) -> Float[Tensor, "B A"]:
    """Move the logits of excluded actions (lists padded with -1) to where their probability is 0, in place.

    No gradient is needed for that: it is 0 at an action of probability 0.
    """
    with torch.no_grad():
        amount = (excluded >= 0).to(logits.dtype).mul_(FORBIDDEN)  # where() takes several times longer on a CPU
        return logits.scatter_add_(1, excluded.clamp(min=0), amount)


class AllActions:
    """The last layer of an actor over all actions."""

    def __init__(self, weight: Float[Tensor, "A h"], bias: Float[Tensor, " A"]) -> None:
        """weight: float32 or bfloat16, which is the precision of products. Sums are always float32."""
        self.weight, self.bias = weight, bias

    def logits(self, hidden: Float[Tensor, "n h"]) -> Float[Tensor, "n A"]:
        """Unmasked logits of every action."""
        if self.weight.dtype == hidden.dtype:
            return chosen.product(hidden, self.weight, self.bias)
        return self.bias + hidden.to(self.weight.dtype) @ self.weight.T

    def back(
        self,
        by_logits: Float[Tensor, "n A"],
        hidden: Float[Tensor, "n h"],
        by_weight: Float[Tensor, "A h"],
        by_bias: Float[Tensor, " A"],
    ) -> Float[Tensor, "n h"]:
        """The gradient by hidden; those by weight and bias are added to what is there."""
        by_bias += by_logits.sum(0)
        if self.weight.dtype == hidden.dtype:
            by_weight += chosen.product(hidden.T, by_logits.T).T  # this way round it is faster
            return chosen.product(by_logits, self.weight.T)
        slopes = by_logits.to(self.weight.dtype)
        by_weight += slopes.T @ hidden.to(slopes.dtype)
        return (slopes @ self.weight).to(hidden.dtype)


class Candidates:
    """The same layer over a pool of C actions for each of E groups of equally many rows: logits are [n, C]."""

    def __init__(self, weight: Float[Tensor, "A h"], bias: Float[Tensor, " A"], pool: Int[Tensor, "E C"]) -> None:
        """pool: the actions that each column stands for."""
        self.pool = pool.flatten()
        # index_select: several times faster than weight[pool]
        self.weight = weight.index_select(0, self.pool).view(*pool.shape, -1)
        self.bias = bias.index_select(0, self.pool).view_as(pool)
        self._turned: Float[Tensor, "E h C"] | None = None

    def logits(self, hidden: Float[Tensor, "n h"]) -> Float[Tensor, "n C"]:
        """Unmasked logits of the candidates; rows of a group follow each other."""
        turned = self.weight.mT
        if hidden.shape[0] == self.weight.shape[0]:
            if self._turned is None:  # as products of one row a group read it fastest
                self._turned = turned.contiguous()
            turned = self._turned
        return torch.baddbmm(self.bias[:, None], self._grouped(hidden), turned).flatten(0, 1)

    def back(
        self,
        by_logits: Float[Tensor, "n C"],
        hidden: Float[Tensor, "n h"],
        by_weight: Float[Tensor, "A h"],
        by_bias: Float[Tensor, " A"],
    ) -> Float[Tensor, "n h"]:
        """The gradient by hidden; those by the whole layer's weight and bias are added to what is there."""
        slopes = self._grouped(by_logits)
        by_weight.index_add_(0, self.pool, torch.bmm(slopes.mT, self._grouped(hidden)).flatten(0, 1))
        by_bias.index_add_(0, self.pool, slopes.sum(1).flatten())
        return torch.bmm(slopes, self.weight).flatten(0, 1)

    def _grouped(self, rows: Float[Tensor, "n x"]) -> Float[Tensor, "E k x"]:
        groups = self.weight.shape[0]
        return rows.view(groups, rows.shape[0] // groups, rows.shape[1])


class Actor(nn.Linear):
    """From the trunk's output to logits; its products are by far the largest of a learner's."""

    def __init__(self, width: int, n_actions: int, precision: Precision) -> None:
        super().__init__(width, n_actions)
        self.precision = getattr(torch, precision)

    def layer(self, pool: Int[Tensor, "E C"] | None = None) -> AllActions | Candidates:
        """Over all actions, or over a pool of candidates for each group of rows, which are few: always in float32."""
        if pool is None:
            return AllActions(self.weight.to(self.precision), self.bias)
        return Candidates(self.weight, self.bias, pool)

    def forward(self, hidden: Float[Tensor, "n h"]) -> Float[Tensor, "n A"]:
        """Unmasked logits of every action."""
        return self.layer().logits(hidden)
