"""One actor-critic for both agents: a shared trunk, logits over actions, and a value."""

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class ActorCritic(nn.Module):
    """Policy and critic on a shared ReLU trunk (method.md section 3)."""

    def __init__(self, state_dim: int, hidden: tuple[int, ...], n_actions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size, following in pairwise((state_dim, *hidden)):
            linear = nn.Linear(size, following)
            nn.init.orthogonal_(linear.weight, 2**0.5)
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        width = hidden[-1] if hidden else state_dim
        self.actor = nn.Linear(width, n_actions)
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
        value: Tensor = self.critic(hidden).squeeze(-1)
        return value


FORBIDDEN = -1e30  # finite, so that 0 * log(0) is 0 and not NaN


def forbid(logits: Float[Tensor, "B A"], excluded: Int[Tensor, "B m"]) -> Float[Tensor, "B A"]:
    """Move the logits of excluded actions (lists padded with -1) to where their probability is 0, in place.

    No gradient is needed for that: it is 0 at an action of probability 0.
    """
    with torch.no_grad():
        return logits.scatter_add_(1, excluded.clamp(min=0), torch.where(excluded < 0, 0.0, FORBIDDEN))
