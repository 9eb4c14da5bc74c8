"""Advantage actor-critic for both agents, which differ in observation, mask and reward only (method.md section 3)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from darlr.agents.actor_critic import Actor, AllActions, Candidates, forbid
from darlr.agents.fast import twins
from darlr.agents.parallel import ALONE, Team
from darlr.options import A2CConfig

# The size of a chunk of logits, in numbers: 2 MB, which about fills a core's caches, or a part of a GPU's memory.
CHUNK = {"cpu": 1 << 19, "cuda": 1 << 26}


@dataclass(frozen=True)
class Decisions:
    """N past decisions, evaluated by the current networks under the masks of the time of acting.

    actor: the layer from hidden to logits; all [N, A] of them never exist at once. excluded: forbidden actions, padded
    with -1. offset: the part of the logits of some rows that has no gradient, float32 [n, A]. pool: the C
    candidates of each of E groups of rows; action and excluded are then columns of it. order: the place of each of N
    decisions among M >= N rows of hidden, action and excluded, where padding fills the groups; value has no padding.
    """

    actor: Actor
    hidden: Float[Tensor, "N h"]
    value: Float[Tensor, " n"]
    action: Int[Tensor, " N"]
    excluded: Int[Tensor, "N m"]
    offset: Callable[[slice | Tensor], Tensor] | None = None
    pool: Int[Tensor, "E C"] | None = None
    order: Int[Tensor, " n"] | None = None

    def chunks(self) -> Iterator[tuple[slice, AllActions | Candidates]]:
        """Slices of rows that fit the cache, and the layer that gives their logits."""
        (actions, width), rows = self.actor.weight.shape, self.hidden.shape[0]
        chunk = CHUNK.get(self.hidden.device.type, CHUNK["cpu"])
        if self.pool is None:
            layer = self.actor.layer()
            yield from ((part, layer) for part in _parts(rows, actions, chunk))
            return
        groups, candidates = self.pool.shape
        row = rows // groups
        for part in _parts(groups, candidates * width, chunk):
            yield slice(part.start * row, part.stop * row), self.actor.layer(self.pool[part])

    def logits(self) -> Float[Tensor, "N A"]:
        """All masked logits; [N, C] with candidates."""
        return self.masked(self.actor.layer(self.pool).logits(self.hidden), slice(None))

    def masked(self, logits: Float[Tensor, "n A"], rows: slice) -> Float[Tensor, "n A"]:
        """The logits of a slice of rows with their offset and mask."""
        if self.offset is not None:
            logits = logits + self.offset(rows)
        return forbid(logits, self.excluded[rows])


def _parts(rows: int, numbers: int, chunk: int) -> Iterator[slice]:
    """Slices of `rows` of equal size, up to one row, with about `chunk` numbers each; numbers: the size of a row."""
    count = max(1, min(rows, -(-rows * numbers // chunk)))
    edges = [rows * n // count for n in range(count + 1)]
    return map(slice, edges[:-1], edges[1:])


def generalised_advantages(
    reward: Float[Tensor, "L B"],
    value: Float[Tensor, "L B"],
    done: Bool[Tensor, "L B"],
    last_value: Float[Tensor, " B"],
    gamma: float,
    gae_lambda: float,
) -> Float[Tensor, "L B"]:
    """GAE (Schulman et al. 2016, Eq. 16) over L steps of B streams; with lambda 1, Monte-Carlo returns minus values.

    done: whether the step ended its episode. last_value: the value after the last step, for streams that are cut there.
    """
    discount = gamma * (1.0 - done.to(reward.dtype))
    delta = reward + discount * torch.cat([value[1:], last_value[None]]) - value
    carried = gae_lambda * discount
    advantage_t = torch.zeros_like(last_value)
    advantages = []
    for delta_t, carried_t in zip(delta.flip(0), carried.flip(0), strict=True):
        advantage_t = torch.addcmul(delta_t, carried_t, advantage_t)
        advantages.append(advantage_t)
    return torch.stack(advantages[::-1])


def policy_gain(
    decisions: Decisions, weight: Float[Tensor, " N"], bonus: float
) -> tuple[Float[Tensor, ""], Float[Tensor, " N"]]:
    """sum over n of weight_n log pi(action_n) + bonus * entropy_n; also the entropies, without gradient.

    This is the equation. Training uses its twin, `darlr.agents.fast.twins.policy_gain`.
    """
    log_pi = decisions.logits().log_softmax(-1)
    taken = log_pi.gather(1, decisions.action[:, None]).squeeze(1)
    if decisions.order is not None:
        log_pi, taken = log_pi[decisions.order], taken[decisions.order]
    entropy = -(log_pi.exp() * log_pi).sum(-1)
    return (weight * taken).sum() + bonus * entropy.sum(), entropy.detach()


def a2c_loss(
    decisions: Decisions,
    advantage: Float[Tensor, " N"],
    target: Float[Tensor, " N"],
    config: A2CConfig,
    entropies: bool = True,
    own: slice = slice(None),
) -> tuple[Tensor, Tensor]:
    """-mean(A log pi) + c_V mean((V - target)^2) - c_H mean(H), with the coefficients of `config` (Mnih et al. 2016).

    Returns the loss, 0-d, and H in nats, float32 [n], without gradient. Without `entropies`, H is 0 where the loss does
    not need it. own: the n of the N rows that the decisions and the means are of; advantages are normalised over all N.
    """
    if config.normalise_advantages and advantage.shape[0] > 1:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    advantage, target = advantage[own], target[own]
    size = advantage.shape[0]
    gain, entropy = twins.policy_gain(decisions, advantage / size, config.entropy_coefficient / size, entropies)
    return config.value_coefficient * (decisions.value - target).square().mean() - gain, entropy


def minibatches(
    size: int, batch: int, generator: torch.Generator, device: torch.device, group: int = 1
) -> Iterator[Tensor]:
    """Shuffled index chunks of about `batch` rows, equal in size up to one group.

    group: the number of neighbouring rows that stay together in their order; `size` is a multiple of it.
    """
    order = torch.randperm(size // group, generator=generator, device=generator.device).to(device)
    for chunk in order.tensor_split(max(1, round(size / batch))):
        yield (chunk[:, None] * group + torch.arange(group, device=device)).flatten()


def update(
    networks: nn.Module,
    optimiser: torch.optim.Optimizer,
    decisions_of: Callable[[Tensor], Decisions],
    advantage: Float[Tensor, " N"],
    target: Float[Tensor, " N"],
    config: A2CConfig,
    generator: torch.Generator,
    group: int = 1,
    team: Team = ALONE,
) -> dict[str, Tensor]:
    """One pass over N decisions in shuffled minibatches; `decisions_of(rows)` evaluates the rows int64 [n] again.

    group: as in `minibatches`. team: the workers that share every minibatch. Returns 0-d tensors: the policy's entropy
    (nats) and the squared value error of the last minibatch, the mean gradient norm before clipping, and the share of
    the targets' variance that the critic explained before the update.
    """
    networks.train()
    norms = []
    batches = list(minibatches(advantage.shape[0], config.minibatch, generator, advantage.device, group))
    for number, rows in enumerate(batches, start=1):
        own, weight = team.share(len(rows), group)
        decisions, last = decisions_of(rows[own]), number == len(batches)
        loss, entropy = a2c_loss(decisions, advantage[rows], target[rows], config, entropies=last, own=own)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        team.add_gradients(networks, weight)
        norms.append(nn.utils.clip_grad_norm_(networks.parameters(), config.max_grad_norm))
        optimiser.step()
    networks.eval()
    with torch.no_grad():
        spread = target.var(correction=0).clamp(min=1e-8)
        return {
            "entropy": team.mean(entropy.mean(), weight),
            "value_error": team.mean((decisions.value - target[rows[own]]).square().mean(), weight),
            "grad_norm": torch.stack(norms).mean(),
            "explained_variance": 1.0 - advantage.var(correction=0) / spread,
        }
