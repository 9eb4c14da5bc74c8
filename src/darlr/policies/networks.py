"""The policy of model-free learners: the state of a session, networks over it, and the scores that they give."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from darlr.simulation.session import Session, last_items, last_rewards

WINDOW = 3
HIDDEN = (64, 64)
FLEXIBILITY = 0.3  # tau, the threshold of BCQ (Fujimoto et al. 2019, "Benchmarking batch deep RL")
Head = Literal["value", "actor", "constrained"]
Layers = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class StateEncoder:
    """The state of a session: the mean over its last w items of [item vector, reward scaled to 0..1, 1].

    An empty session gives zeros; the last entry distinguishes it from others. vectors: float32 [I, d].
    """

    vectors: Tensor
    low: float
    high: float
    window: int = WINDOW

    @property
    def size(self) -> int:
        """The number of entries of a state."""
        return self.vectors.shape[1] + 2

    def __call__(self, session: Session) -> Tensor:
        """float32 [B, d + 2]."""
        items, rewards = last_items(session, self.window), last_rewards(session, self.window)
        there = (items >= 0).float()[..., None]
        scaled = self.scale(rewards)[..., None]
        tokens = torch.cat([self.vectors[items.clamp(min=0)], scaled, torch.ones_like(scaled)], dim=-1) * there
        return tokens.sum(1) / there.sum(1).clamp(min=1)

    def scale(self, reward: Tensor) -> Tensor:
        """Rewards scaled to 0..1 over the logged range, and clipped to it."""
        return ((reward - self.low) / max(self.high - self.low, 1e-12)).clamp(0, 1)


@dataclass(frozen=True)
class NetworkPolicy:
    """Scores from one or two multilayer perceptrons (ReLU) over the session's state.

    head: "value" gives Q-values (CQL), "actor" gives logits (SQN, CRR), and "constrained" ranks the likely actions of
    the imitator `actor` by Q-value (BCQ). value, actor: (weight [out, in], bias [out]) of each layer; empty where the
    head does not use them.
    """

    encoder: StateEncoder
    head: Head
    value: Layers = ()
    actor: Layers = ()

    @torch.no_grad()
    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], finite."""
        state = self.encoder(session)
        if self.head == "constrained":
            return constrained(forward(self.value, state), forward(self.actor, state))
        return forward(self.value if self.head == "value" else self.actor, state)


def constrained(value: Tensor, logits: Tensor, flexibility: float = FLEXIBILITY) -> Tensor:
    """BCQ's choice as finite scores [B, I], so that a mask may exclude every admissible action.

    Admissible actions are at least `flexibility` times as likely as the likeliest. They come first, by value, from 1 to
    2. The others follow by log-probability, below 0.
    """
    relative = logits.log_softmax(-1)
    relative = relative - relative.max(-1, keepdim=True).values
    least, most = value.min(-1, keepdim=True).values, value.max(-1, keepdim=True).values
    ranked = 1 + (value - least) / (most - least).clamp(min=1e-12)
    return torch.where(relative >= math.log(flexibility), ranked, relative)


def forward(layers: Layers, state: Tensor) -> Tensor:
    """The output of a multilayer perceptron with ReLU between its layers."""
    for weight, bias in layers[:-1]:
        state = torch.nn.functional.linear(state, weight, bias).relu()
    weight, bias = layers[-1]
    return torch.nn.functional.linear(state, weight, bias)


def perceptron(inputs: int, outputs: int, generator: torch.Generator, hidden: Sequence[int] = HIDDEN) -> nn.Sequential:
    """A network with PyTorch's default initial distribution, drawn from `generator`."""
    parts: list[nn.Module] = []
    for n_in, n_out in pairwise((inputs, *hidden, outputs)):
        layer = nn.utils.skip_init(nn.Linear, n_in, n_out)  # type: ignore[no-untyped-call]
        for value in layer.parameters():
            nn.init.uniform_(value, -(n_in**-0.5), n_in**-0.5, generator=generator)
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def layers_of(network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Copies of the weights and biases of a network's linear layers, in order."""
    linear = [part for part in network.modules() if isinstance(part, nn.Linear)]
    return [(part.weight.detach().clone(), part.bias.detach().clone()) for part in linear]
