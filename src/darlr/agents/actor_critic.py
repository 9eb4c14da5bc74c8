"""The actor-critic of both agents: a shared trunk, logits over actions, and a value (method.md section 3)."""

from collections.abc import Iterable
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from darlr.agents.fast import twins
from darlr.agents.forbidden import FORBIDDEN
from darlr.options import Precision

Affine = tuple[Tensor, Tensor]
"""The weight and the bias of a layer. Modules look up each by name, which takes as long as a small computation."""


class Trunk(nn.ModuleList):
    """Linear layers, each followed by a ReLU."""

    def weights(self) -> tuple[Affine, ...]:
        """The weight and the bias of each layer."""
        layers: Iterable[nn.Linear] = self  # type: ignore[assignment]
        return tuple((layer.weight, layer.bias) for layer in layers)

    def forward(self, state: Float[Tensor, "B s"], weights: tuple[Affine, ...] | None = None) -> Float[Tensor, "B h"]:
        """The output of the last layer, or the state itself without layers. weights: `weights()`, if known before."""
        for weight, bias in self.weights() if weights is None else weights:
            state = linear(state, weight, bias).relu_()
        return state


class ActorCritic(nn.Module):
    """A policy and a critic on a shared ReLU trunk."""

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
        """Unmasked logits over all actions, and the value of the state."""
        hidden = self.trunk(state)
        return self.actor(hidden), self.value(hidden)

    def value(self, hidden: Float[Tensor, "*B h"]) -> Float[Tensor, "*B"]:
        """The value of states, from the trunk's output."""
        return linear(hidden, self.critic.weight, self.critic.bias).squeeze(-1)


def forbid(logits: Float[Tensor, "B A"], excluded: Int[Tensor, "B m"], padded: bool = True) -> Float[Tensor, "B A"]:
    """Give excluded actions probability 0, in place. padded: whether -1 fills up shorter lists of them.

    The gradient at such an action is 0, so none is recorded.
    """
    with torch.no_grad():
        if not padded:
            return logits.scatter_(1, excluded, FORBIDDEN)
        amount = (excluded >= 0).to(logits.dtype).mul_(FORBIDDEN)  # several times faster than where() on a CPU
        return logits.scatter_add_(1, excluded.clamp(min=0), amount)


class AllActions:
    """The last layer of an actor over all actions."""

    def __init__(self, weight: Float[Tensor, "A h"], bias: Float[Tensor, " A"]) -> None:
        """weight: float32 or bfloat16, the precision of products. Sums are always float32."""
        self.weight, self.bias = weight, bias

    def logits(self, hidden: Float[Tensor, "n h"]) -> Float[Tensor, "n A"]:
        """Unmasked logits of every action."""
        if self.weight.dtype == hidden.dtype:
            return twins.product(hidden, self.weight, self.bias)
        return self.bias + hidden.to(self.weight.dtype) @ self.weight.T

    def back(self, by_logits: Tensor, hidden: Tensor, by_weight: Tensor, by_bias: Tensor) -> Tensor:
        """The gradient by hidden [n, h], given that by the logits [n, A].

        The gradients by weight and bias are added to `by_weight` [A, h] and `by_bias` [A].
        """
        by_bias += by_logits.sum(0)
        if self.weight.dtype == hidden.dtype:
            by_weight += twins.product(hidden.T, by_logits.T).T  # faster than by_logits.T @ hidden
            return twins.product(by_logits, self.weight.T)
        slopes = by_logits.to(self.weight.dtype)
        by_weight += slopes.T @ hidden.to(slopes.dtype)
        return (slopes @ self.weight).to(hidden.dtype)


TURNED = 128  # the most candidates whose weights are turned around for the products of a selection


class Candidates:
    """The same layer over a pool of C actions for each of E groups of equally many, neighbouring rows."""

    def __init__(self, weight: Float[Tensor, "A h"], bias: Float[Tensor, " A"], pool: Int[Tensor, "E C"]) -> None:
        """pool: the action of each column."""
        self.pool = pool.flatten()
        # index_select is several times faster than weight[pool].
        self.weight = weight.index_select(0, self.pool).view(*pool.shape, -1)
        self.bias = bias.index_select(0, self.pool).view_as(pool)
        self._turned: Float[Tensor, "E h C"] | None = None

    def logits(self, hidden: Float[Tensor, "n h"]) -> Float[Tensor, "n C"]:
        """Unmasked logits of the candidates."""
        turned = self.weight.mT
        if hidden.shape[0] == self.weight.shape[0] and self.weight.shape[1] <= TURNED:
            if self._turned is None:  # products of one row for each group read it fastest in this order
                self._turned = turned.contiguous()
            turned = self._turned
        return torch.baddbmm(self.bias[:, None], self._grouped(hidden), turned).flatten(0, 1)

    def back(self, by_logits: Tensor, hidden: Tensor, by_weight: Tensor, by_bias: Tensor) -> Tensor:
        """As `AllActions.back`, with the logits [n, C] and the gradients by the weight and bias of all actions."""
        slopes = self._grouped(by_logits)
        by_weight.index_add_(0, self.pool, torch.bmm(slopes.mT, self._grouped(hidden)).flatten(0, 1))
        by_bias.index_add_(0, self.pool, slopes.sum(1).flatten())
        return torch.bmm(slopes, self.weight).flatten(0, 1)

    def replace(self, groups: Int[Tensor, " e"], other: "Candidates") -> None:
        """Give some groups the pools of another layer, which has a group for each of them."""
        self.pool.view_as(self.bias)[groups] = other.pool.view_as(other.bias)
        self.weight[groups], self.bias[groups] = other.weight, other.bias
        if self._turned is not None:
            self._turned[groups] = other.weight.mT

    def _grouped(self, rows: Float[Tensor, "n x"]) -> Float[Tensor, "E k x"]:
        groups = self.weight.shape[0]
        return rows.view(groups, rows.shape[0] // groups, rows.shape[1])


class Actor(nn.Linear):
    """The layer from the trunk's output to logits. Its products are the largest in training."""

    def __init__(self, width: int, n_actions: int, precision: Precision) -> None:
        super().__init__(width, n_actions)
        self.precision = getattr(torch, precision)

    def layer(self, pool: Int[Tensor, "E C"] | None = None) -> AllActions | Candidates:
        """The layer over all actions, or over a pool of candidates for each group of rows (always in float32)."""
        if pool is None:
            return AllActions(self.weight.to(self.precision), self.bias)
        return Candidates(self.weight, self.bias, pool)

    def forward(self, hidden: Float[Tensor, "n h"]) -> Float[Tensor, "n A"]:
        """Unmasked logits of every action."""
        return self.layer().logits(hidden)


class Streams:
    """The layer over the pools of B streams while weights do not change; only new users' candidates are read again."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self._held: tuple[Tensor, Candidates] | None = None

    def of(self, user: Int[Tensor, " B"], pool: Int[Tensor, "B C"]) -> Candidates:
        """The layer over each user's pool. Later calls change it."""
        if self._held is None:
            layer = Candidates(self.actor.weight, self.actor.bias, pool)
        else:
            before, layer = self._held
            changed = (before != user).nonzero().squeeze(1)
            if len(changed):
                layer.replace(changed, Candidates(self.actor.weight, self.actor.bias, pool[changed]))
        self._held = user, layer
        return layer
