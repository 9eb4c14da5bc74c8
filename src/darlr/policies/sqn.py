"""SQN: self-supervised Q-learning, a next-item head with a Q head beside it (Xin et al. 2020, arXiv 2006.05779)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, huber_loss

from darlr.policies.networks import (
    BATCH,
    GAMMA,
    HIDDEN,
    LEARNING_RATE,
    STEPS,
    NetworkPolicy,
    layers_of,
    perceptron,
)
from darlr.policies.sessions import Transitions, session_data
from darlr.world.context import Context


def fit_sqn(context: Context, seed: int = 0, steps: int = STEPS) -> NetworkPolicy:
    """Recommends by the self-supervised head, as the paper does; the Q head shapes the shared layers."""
    encoder, data = session_data(context)
    generator = torch.Generator().manual_seed(seed)
    trunks = [nn.Sequential(perceptron(encoder.size, HIDDEN[-1], generator, HIDDEN[:-1]), nn.ReLU()) for _ in range(2)]
    heads = [[perceptron(HIDDEN[-1], context.tables().n_items, generator, ()) for _ in range(2)] for _ in range(2)]
    both = [nn.ModuleList([trunks[k], *heads[k]]) for k in range(2)]
    optimisers = [torch.optim.Adam(part.parameters(), LEARNING_RATE) for part in both]
    for _ in range(steps):
        # one of two copies learns, the other evaluates its action: double Q-learning (algorithm 1 of the paper)
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
    """Cross-entropy of the logged next item plus the one-step double Q error, with equal weights; heads: [next, Q]."""
    hidden = trunk(data.state[rows])
    supervised = cross_entropy(heads[0](hidden), data.action[rows])
    value = heads[1](hidden).gather(1, data.action[rows, None]).squeeze(1)
    with torch.no_grad():
        best = heads[1](trunk(data.after[rows])).argmax(1, keepdim=True)
        ahead = others[1](other(data.after[rows])).gather(1, best).squeeze(1)
        target = data.reward[rows] + GAMMA * ahead * ~data.last[rows]
    return supervised + huber_loss(value, target)
