"""Model-free learners on logged sessions: SQN, CRR, and BCQ and CQL of d3rlpy. Their networks become our policies."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, huber_loss

from darlr.data.log import InteractionLog
from darlr.policies.networks import FLEXIBILITY, HIDDEN, NetworkPolicy, StateEncoder, layers_of, perceptron
from darlr.policies.supervised import optional
from darlr.simulation.session import Session, reset
from darlr.world.context import Context

STEPS, BATCH, LEARNING_RATE, GAMMA = 2000, 256, 1e-3, 0.9
PERIOD = 100  # the number of updates between copies to target networks
TEMPERATURE, LARGEST = 1.0, 20.0  # beta of CRR and the bound of its weights (section 3)


@dataclass(frozen=True)
class Transitions:
    """The steps of all logged sessions, one session after the other.

    state, after: float32 [L, s], before and after the step. action: int64 [L]. reward: float32 [L], scaled. last: bool
    [L], whether the session ends with the step.
    """

    state: Tensor
    action: Tensor
    reward: Tensor
    after: Tensor
    last: Tensor


def session_data(context: Context) -> tuple[StateEncoder, Transitions]:
    """The state encoder on the world model's item vectors, and the transitions of the logged sessions."""
    world = context.tables()
    encoder = StateEncoder(world.item_vectors, *world.reward_range)
    return encoder, transitions(context.catalogue, encoder, context.turns)


def transitions(log: InteractionLog, encoder: StateEncoder, turns: int) -> Transitions:
    """Each user's events in time order (log order without timestamps), cut into sessions of at most `turns`.

    A session ends where it is cut, because logs do not record exits. States come from `encoder` on the same Session
    that an agent would observe.
    """
    place = np.arange(len(log))
    order = np.lexsort((place, place if log.timestamp is None else log.timestamp, log.user))
    user, item, reward = (torch.from_numpy(column[order]) for column in (log.user, log.item, log.reward))
    _, start, count = np.unique(log.user[order], return_index=True, return_counts=True)
    turn = torch.from_numpy((place - np.repeat(start, count)) % turns)
    before, after = (encoder(_recent(item, reward, user, turn + shift, shift, encoder.window)) for shift in (0, 1))
    last = torch.ones(len(item), dtype=torch.bool)
    last[:-1] = turn[1:] == 0
    return Transitions(before, item, encoder.scale(reward), after, last)


def _recent(item: Tensor, reward: Tensor, user: Tensor, turn: Tensor, shift: int, window: int) -> Session:
    """L sessions of `window` turns, each with the last min(turn, window) events up to event l - 1 + shift."""
    count = turn.clamp(max=window)
    back = torch.arange(window, 0, -1)  # newest last
    there = back <= count[:, None]
    index = torch.where(there, torch.arange(len(item))[:, None] + shift - back, 0)
    items, rewards = item[index].masked_fill(~there, -1), reward[index].masked_fill(~there, 0.0)
    return replace(reset(user, 0, window), items=items, rewards=rewards, turn=count)  # a state needs no catalogue


def fit_sqn(context: Context, seed: int = 0, steps: int = STEPS) -> NetworkPolicy:
    """SQN, self-supervised Q-learning (Xin et al. 2020, arXiv 2006.05779).

    Recommendations come from the next-item head, as in the paper; the Q head shapes the shared layers.
    """
    encoder, data = session_data(context)
    generator = torch.Generator().manual_seed(seed)
    trunks = [nn.Sequential(perceptron(encoder.size, HIDDEN[-1], generator, HIDDEN[:-1]), nn.ReLU()) for _ in range(2)]
    heads = [[perceptron(HIDDEN[-1], context.tables().n_items, generator, ()) for _ in range(2)] for _ in range(2)]
    both = [nn.ModuleList([trunks[k], *heads[k]]) for k in range(2)]
    optimisers = [torch.optim.Adam(part.parameters(), LEARNING_RATE) for part in both]
    for _ in range(steps):
        # Double Q-learning (algorithm 1): one of two copies learns, and the other evaluates its action.
        learns = int(torch.randint(2, (1,), generator=generator))
        rows = torch.randint(len(data.action), (BATCH,), generator=generator)
        loss = sqn_loss(trunks[learns], heads[learns], trunks[1 - learns], heads[1 - learns], data, rows)
        optimisers[learns].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimisers[learns].step()
    return NetworkPolicy(encoder, "actor", actor=layers_of(nn.Sequential(trunks[0], heads[0][0])))


def sqn_loss(
    trunk: nn.Module,
    heads: list[nn.Sequential],
    other: nn.Module,
    others: list[nn.Sequential],
    data: Transitions,
    rows: Tensor,
) -> Tensor:
    """Cross-entropy of the logged next item plus the one-step double Q error; heads: [next item, Q]."""
    hidden = trunk(data.state[rows])
    supervised = cross_entropy(heads[0](hidden), data.action[rows])
    value = heads[1](hidden).gather(1, data.action[rows, None]).squeeze(1)
    with torch.no_grad():
        best = heads[1](trunk(data.after[rows])).argmax(1, keepdim=True)
        ahead = others[1](other(data.after[rows])).gather(1, best).squeeze(1)
        target = data.reward[rows] + GAMMA * ahead * ~data.last[rows]
    return supervised + huber_loss(value, target)


def fit_crr(context: Context, seed: int = 0, steps: int = STEPS) -> NetworkPolicy:
    """CRR, critic-regularised regression, with discrete actions (Wang et al. 2020, arXiv 2006.15134).

    It is behaviour cloning weighted by exp(advantage / beta). Recommendations come from the actor's logits.
    """
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
    """The critic's expected one-step error under the old actor, less the weighted log-likelihood of logged items.

    The weight is exp((Q(s, a) - E_pi Q(s, .)) / beta), at most LARGEST.
    """
    action = data.action[rows, None]
    with torch.no_grad():
        after = data.after[rows]
        ahead: Tensor = (old_actor(after).softmax(-1) * old_critic(after)).sum(-1)
        target = data.reward[rows] + GAMMA * ahead * ~data.last[rows]
    value: Tensor = critic(data.state[rows])
    taken = value.gather(1, action).squeeze(1)
    likelihood: Tensor = actor(data.state[rows]).log_softmax(-1)
    advantage = (taken - (likelihood.exp() * value).sum(-1)).detach()
    weight = (advantage / TEMPERATURE).exp().clamp(max=LARGEST)
    return (taken - target).square().mean() - (weight * likelihood.gather(1, action).squeeze(1)).mean()


def fit_cql(context: Context, seed: int = 0, steps: int = STEPS) -> NetworkPolicy:
    """Discrete conservative Q-learning (Kumar et al. 2020) with penalty weight 1, the default of d3rlpy."""
    encoder, agent = trained_agent(context, seed, steps, "DiscreteCQLConfig", {"alpha": 1.0})
    return NetworkPolicy(encoder, "value", value=layers_of(agent.impl.modules.q_funcs[0]))


def fit_bcq(context: Context, seed: int = 0, steps: int = STEPS) -> NetworkPolicy:
    """Discrete batch-constrained Q-learning (Fujimoto et al. 2019); Q and imitator do not share layers."""
    options = {"action_flexibility": FLEXIBILITY, "share_encoder": False}
    encoder, agent = trained_agent(context, seed, steps, "DiscreteBCQConfig", options)
    modules = agent.impl.modules
    return NetworkPolicy(encoder, "constrained", value=layers_of(modules.q_funcs[0]), actor=layers_of(modules.imitator))


def trained_agent(
    context: Context, seed: int, steps: int, name: str, options: Mapping[str, Any]
) -> tuple[StateEncoder, Any]:
    """The state encoder and the d3rlpy agent `name` after `steps` updates on minibatches of our own generator."""
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
    with torch.random.fork_rng(devices=[]):  # d3rlpy draws initial weights from the global generator
        torch.default_generator.manual_seed(seed)
        agent.create_impl((encoder.size,), context.tables().n_items)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(data.action), (BATCH,), generator=generator)
        action, reward, last = (column[rows, None].float().numpy() for column in (data.action, data.reward, data.last))
        batch = d3rlpy.dataset.TransitionMiniBatch(
            observations=data.state[rows].numpy(),
            actions=action,
            rewards=reward,
            next_observations=data.after[rows].numpy(),
            next_actions=action,  # only agents like SARSA read it
            terminals=last,
            intervals=torch.ones(len(rows), 1).numpy(),
            transitions=[],
        )
        agent.update(batch)
    return encoder, agent
