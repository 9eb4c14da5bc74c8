"""Model-free agents as policies: networks over the shared state, and how each method turns them into scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from darlr.policies.sessions import StateEncoder
from darlr.simulation.session import Session

HIDDEN = (64, 64)
STEPS, BATCH, LEARNING_RATE, GAMMA = 2000, 256, 1e-3, 0.9
FLEXIBILITY = 0.3  # BCQ's threshold tau (Fujimoto et al. 2019, "Benchmarking batch deep RL")
Head = Literal["value", "actor", "constrained"]
Layers = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class NetworkPolicy:
    """Scores from one or two multilayer perceptrons (ReLU) over the session's state.

    head "value": Q-values (CQL). "actor": logits (SQN, CRR). "constrained": Q-values of the actions that the
    imitator finds at least FLEXIBILITY times as likely as its favourite, then all others by likelihood (BCQ).
    value, actor: (weight [out, in], bias [out]) of each layer; empty where the head does not use them.
    """

    encoder: StateEncoder
    head: Head
    value: Layers = ()
    actor: Layers = ()

    @torch.no_grad()
    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], finite; the mask is applied to them afterwards, whatever their sign."""
        state = self.encoder(session)
        if self.head == "value":
            return forward(self.value, state)
        if self.head == "actor":
            return forward(self.actor, state)
        return constrained(forward(self.value, state), forward(self.actor, state))


def constrained(value: Tensor, logits: Tensor, flexibility: float = FLEXIBILITY) -> Tensor:
    """BCQ's choice as finite scores [B, I], so that a mask may exclude every admissible action.

    Admissible actions come first, by value squeezed into (1, 2); the others follow, by log-probability, below 0.
    """
    relative = logits.log_softmax(-1)
    relative = relative - relative.max(-1, keepdim=True).values
    least, most = value.min(-1, keepdim=True).values, value.max(-1, keepdim=True).values
    ranked = 1 + (value - least) / (most - least).clamp(min=1e-12)
    return torch.where(relative >= math.log(flexibility), ranked, relative)


def forward(layers: Layers, state: Tensor) -> Tensor:
    """A multilayer perceptron with ReLU between its layers."""
    for weight, bias in layers[:-1]:
        state = torch.nn.functional.linear(state, weight, bias).relu()
    weight, bias = layers[-1]
    return torch.nn.functional.linear(state, weight, bias)


def perceptron(inputs: int, outputs: int, generator: torch.Generator, hidden: Sequence[int] = HIDDEN) -> nn.Sequential:
    """A network with PyTorch's own initial law, drawn from `generator`."""
    widths = (inputs, *hidden, outputs)
    parts: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layer = nn.utils.skip_init(nn.Linear, n_in, n_out)  # type: ignore[no-untyped-call]
        for value in layer.parameters():
            nn.init.uniform_(value, -(n_in**-0.5), n_in**-0.5, generator=generator)
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def layers_of(network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Copies of the weights and biases of a network's linear layers, in order."""
    linear = [part for part in network.modules() if isinstance(part, nn.Linear)]
    return [(part.weight.detach().clone(), part.bias.detach().clone()) for part in linear]
