"""BCQ and CQL of d3rlpy on logged sessions; what is kept is their networks, as our own policy."""

from collections.abc import Mapping
from typing import Any

import torch

from darlr.policies.extras import optional
from darlr.policies.networks import (
    BATCH,
    FLEXIBILITY,
    GAMMA,
    HIDDEN,
    LEARNING_RATE,
    STEPS,
    NetworkPolicy,
    layers_of,
)
from darlr.policies.sessions import StateEncoder, Transitions, session_data
from darlr.world.context import Context

PERIOD = 100  # updates between copies to the target network


def fit_cql(context: Context, seed: int = 0, steps: int = STEPS) -> NetworkPolicy:
    """Conservative Q-learning (Kumar et al. 2020), discrete, penalty weight 1 (d3rlpy's default)."""
    encoder, agent = trained_agent(context, seed, steps, "DiscreteCQLConfig", {"alpha": 1.0})
    return NetworkPolicy(encoder, "value", value=layers_of(agent.impl.modules.q_funcs[0]))


def fit_bcq(context: Context, seed: int = 0, steps: int = STEPS) -> NetworkPolicy:
    """Batch-constrained Q-learning (Fujimoto et al. 2019), discrete; Q and imitator do not share layers."""
    options = {"action_flexibility": FLEXIBILITY, "share_encoder": False}
    encoder, agent = trained_agent(context, seed, steps, "DiscreteBCQConfig", options)
    modules = agent.impl.modules
    return NetworkPolicy(encoder, "constrained", value=layers_of(modules.q_funcs[0]), actor=layers_of(modules.imitator))


def trained_agent(
    context: Context, seed: int, steps: int, name: str, options: Mapping[str, Any]
) -> tuple[StateEncoder, Any]:
    """The state and a d3rlpy agent after `steps` updates; minibatches are drawn from our own generator."""
    d3rlpy = optional("d3rlpy")
    encoder, data = session_data(context)
    config = getattr(d3rlpy.algos, name)(
        batch_size=BATCH,
        gamma=GAMMA,
        learning_rate=LEARNING_RATE,
        target_update_interval=PERIOD,
        encoder_factory=d3rlpy.models.encoders.VectorEncoderFactory(list(HIDDEN)),
        **options,
    )
    agent = config.create(device="cpu")
    with torch.random.fork_rng(devices=[]):  # d3rlpy draws its first weights from the global generator
        torch.default_generator.manual_seed(seed)
        agent.create_impl((encoder.size,), context.tables().n_items)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        agent.update(_minibatch(d3rlpy, data, torch.randint(len(data.action), (BATCH,), generator=generator)))
    return encoder, agent


def _minibatch(d3rlpy: Any, data: Transitions, rows: torch.Tensor) -> Any:
    column = {"action": data.action, "reward": data.reward, "last": data.last}
    drawn = {name: value[rows, None].float().numpy() for name, value in column.items()}
    return d3rlpy.dataset.TransitionMiniBatch(
        observations=data.state[rows].numpy(),
        actions=drawn["action"],
        rewards=drawn["reward"],
        next_observations=data.after[rows].numpy(),
        next_actions=drawn["action"],  # only SARSA-like agents read it
        terminals=drawn["last"],
        intervals=torch.ones(len(rows), 1).numpy(),
        transitions=[],
    )
