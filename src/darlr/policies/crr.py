"""CRR with discrete actions: critic-regularised regression (Wang et al., NeurIPS 2020, arXiv 2006.15134)."""

import copy

import torch
from torch import Tensor, nn

from darlr.policies.networks import BATCH, GAMMA, LEARNING_RATE, STEPS, NetworkPolicy, layers_of, perceptron
from darlr.policies.sessions import Transitions, session_data
from darlr.world.context import Context

TEMPERATURE, LARGEST = 1.0, 20.0  # beta, and the clip of the weights (section 3)
PERIOD = 100  # updates between copies to the target networks (appendix)


def fit_crr(context: Context, seed: int = 0, steps: int = STEPS) -> NetworkPolicy:
    """Behaviour cloning weighted by exp(advantage / beta); recommends by the actor's logits."""
    encoder, data = session_data(context)
    generator = torch.Generator().manual_seed(seed)
    critic, actor = (perceptron(encoder.size, context.tables().n_items, generator) for _ in range(2))
    old_critic, old_actor = copy.deepcopy(critic), copy.deepcopy(actor)
    optimiser = torch.optim.Adam([*critic.parameters(), *actor.parameters()], LEARNING_RATE)
    for step in range(steps):
        if step % PERIOD == 0:
            old_critic.load_state_dict(critic.state_dict())
            old_actor.load_state_dict(actor.state_dict())
        rows = torch.randint(len(data.action), (BATCH,), generator=generator)
        loss = crr_loss(critic, actor, old_critic, old_actor, data, rows)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return NetworkPolicy(encoder, "actor", actor=layers_of(actor))


def crr_loss(
    critic: nn.Module, actor: nn.Module, old_critic: nn.Module, old_actor: nn.Module, data: Transitions, rows: Tensor
) -> Tensor:
    """Critic: expected one-step error under the old actor. Actor: log-likelihood weighted by the advantage."""
    action = data.action[rows, None]
    with torch.no_grad():
        after = data.after[rows]
        ahead: Tensor = (old_actor(after).softmax(-1) * old_critic(after)).sum(-1)
        target = data.reward[rows] + GAMMA * ahead * ~data.last[rows]
    value: Tensor = critic(data.state[rows])
    taken = value.gather(1, action).squeeze(1)
    likelihood: Tensor = actor(data.state[rows]).log_softmax(-1)
    weight = advantage_weight(value.detach(), likelihood.detach(), action)
    return (taken - target).square().mean() - (weight * likelihood.gather(1, action).squeeze(1)).mean()


def advantage_weight(value: Tensor, likelihood: Tensor, action: Tensor) -> Tensor:
    """exp((Q(s, a) - E_pi Q(s, .)) / beta), clipped; value, likelihood [B, I], action int64 [B, 1] -> [B]."""
    advantage = value.gather(1, action).squeeze(1) - (likelihood.exp() * value).sum(-1)
    weight: Tensor = (advantage / TEMPERATURE).exp().clamp(max=LARGEST)
    return weight
