"""One actor-critic for both agents: a shared trunk, logits over actions, and a value."""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
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
        return self.actor(hidden), self.critic(hidden).squeeze(-1)


def excluded_actions(excluded: Int[Tensor, "B m"], n_actions: int) -> Bool[Tensor, "B A"]:
    """Lists of forbidden actions, padded with -1, as a mask; True = forbidden."""
    mask = torch.zeros((excluded.shape[0], n_actions + 1), dtype=torch.bool, device=excluded.device)
    slot = torch.where(excluded < 0, n_actions, excluded)
    return mask.scatter_(1, slot, True)[:, :n_actions]


def masked_logits(logits: Float[Tensor, "B A"], forbidden: Bool[Tensor, "B A"]) -> Float[Tensor, "B A"]:
    """Logits with forbidden actions at -inf."""
    return logits.masked_fill(forbidden, -torch.inf)
