"""Advantage actor-critic, used by both agents: they differ in observation, mask and reward only."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from darlr.agents.actor_critic import Actor, AllActions, Candidates, forbid
from darlr.options import A2CConfig

# Numbers that are worked on at once: 2 MB, about what a core's caches hold, or a share of a GPU's memory.
BLOCK = {"cpu": 1 << 19, "cuda": 1 << 26}


def generalised_advantages(
    reward: Float[Tensor, "L B"],
    value: Float[Tensor, "L B"],
    done: Bool[Tensor, "L B"],
    last_value: Float[Tensor, " B"],
    gamma: float,
    gae_lambda: float,
) -> Float[Tensor, "L B"]:
    """GAE (Schulman et al. 2016, Eq. 16) over L steps of B streams; lambda 1 gives Monte-Carlo returns minus values.

    done: the step ended its episode. last_value: the critic on the state after the last step, for streams cut there.
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


@dataclass(frozen=True)
class Judged:
    """What the current networks say of N past decisions, under the mask that acting saw.

    actor: the layer from hidden, float32 [N, h], to logits; all [N, A] of them never exist at once. action: the one
    taken, int64 [N]; value: float32 [N]; excluded: forbidden actions, int64 [N, m], padded with -1. offset: what else
    the logits of a slice of rows hold, float32 [n, A], without gradient. pool: where each of E groups of rows had C
    candidates only, int64 [E, C]; action and excluded are then columns of it.
    """

    actor: Actor
    hidden: Float[Tensor, "N h"]
    value: Float[Tensor, " N"]
    action: Int[Tensor, " N"]
    excluded: Int[Tensor, "N m"]
    offset: Callable[[slice], Tensor] | None = None
    pool: Int[Tensor, "E C"] | None = None

    def blocks(self) -> Iterator[tuple[slice, AllActions | Candidates]]:
        """Slices of rows that fit the cache, and the layer that gives their logits."""
        (actions, width), rows = self.actor.weight.shape, self.hidden.shape[0]
        block = BLOCK.get(self.hidden.device.type, BLOCK["cpu"])
        if self.pool is None:
            layer = self.actor.layer()
            yield from ((part, layer) for part in _parts(rows, actions, block))
            return
        groups, candidates = self.pool.shape
        row = rows // groups
        for part in _parts(groups, candidates * width, block):
            yield slice(part.start * row, part.stop * row), self.actor.layer(self.pool[part])

    def masked(self, logits: Float[Tensor, "n A"], rows: slice) -> Float[Tensor, "n A"]:
        """Logits of a slice of rows with all that acting added and forbade."""
        if self.offset is not None:
            logits = logits + self.offset(rows)
        return forbid(logits, self.excluded[rows])


def _parts(rows: int, numbers: int, block: int) -> Iterator[slice]:
    """Slices of `rows`, equal to one row, of about `block` numbers each; numbers: of a row."""
    count = max(1, min(rows, -(-rows * numbers // block)))
    edges = [rows * n // count for n in range(count + 1)]
    return map(slice, edges[:-1], edges[1:])


class Objective(torch.autograd.Function):
    """sum over n of weight_n log pi(action_n) + bonus * entropy_n; also the entropies, float32 [N], without gradient.

    Its gradient by the logits, weight_n (onehot(action_n) - pi) - bonus * pi (log pi + entropy_n), needs nothing from
    behind, so a block of rows is visited once, while it is in the cache. Without a bonus it needs no log pi either,
    and entropies are 0 where they are not `wanted`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        actor: Tensor,
        bias: Tensor,
        judged: Judged,
        weight: Tensor,
        bonus: float,
        wanted: bool,
    ) -> tuple[Tensor, Tensor]:
        """hidden [N, h] is the judged one; actor [A, h] and bias [A] are its actor's; weight: float32 [N]."""
        by_hidden, by_actor, by_bias = torch.empty_like(hidden), torch.zeros_like(actor), torch.zeros_like(bias)
        taken, entropy = torch.empty_like(weight), torch.zeros_like(weight)
        for rows, layer in judged.blocks():
            action, weight_n = judged.action[rows, None], weight[rows, None]
            logits = judged.masked(layer.logits(hidden[rows]), rows)
            slope = -weight_n
            pi = logits.softmax(-1)
            if wanted or bonus:
                # log of the sum of exponentials, read off the likeliest action: no pass over exponentials or logarithms
                total = logits.amax(-1) - pi.amax(-1).log()
                entropy[rows] = total - torch.linalg.vecdot(pi, logits)
            if bonus:
                slope = slope - bonus * (logits + (entropy[rows] - total)[:, None])
            taken[rows] = pi.gather(1, action).squeeze(1)
            by_logits = pi.mul_(slope).scatter_add_(1, action, weight_n)
            by_hidden[rows] = layer.back(by_logits, hidden[rows], by_actor, by_bias)
        ctx.save_for_backward(by_hidden, by_actor, by_bias)
        ctx.mark_non_differentiable(entropy)
        log_taken = taken.clamp(min=torch.finfo(taken.dtype).tiny).log()
        return (weight * log_taken).sum() + bonus * entropy.sum(), entropy

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients by hidden, actor and bias."""
        return *(upstream * gradient for gradient in ctx.saved_tensors), None, None, None, None


def a2c_loss(
    judged: Judged,
    advantage: Float[Tensor, " N"],
    target: Float[Tensor, " N"],
    config: A2CConfig,
    entropies: bool = True,
) -> tuple[Tensor, Tensor]:
    """Policy gradient + value_coefficient * squared value error - entropy_coefficient * entropy, means over N.

    Returns the loss, 0-d, and the entropy of each pi in nats, float32 [N], without gradient: where `entropies` are not
    asked for they are told only if the loss needs them, else 0.
    """
    size = advantage.shape[0]
    if config.normalise_advantages and size > 1:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    actor = judged.actor
    gain, entropy = Objective.apply(  # type: ignore[no-untyped-call]
        judged.hidden, actor.weight, actor.bias, judged, advantage / size, config.entropy_coefficient / size, entropies
    )
    return config.value_coefficient * (judged.value - target).square().mean() - gain, entropy


def minibatches(
    size: int, batch: int, generator: torch.Generator, device: torch.device, group: int = 1
) -> Iterator[Tensor]:
    """Shuffled index chunks of about `batch` rows; chunks differ by one group at most, so none is tiny.

    group: so many neighbouring rows, of which `size` is a multiple, stay together in their order.
    """
    order = torch.randperm(size // group, generator=generator, device=generator.device).to(device)
    for chunk in order.tensor_split(max(1, round(size / batch))):
        yield (chunk[:, None] * group + torch.arange(group, device=device)).flatten()


def update(
    networks: nn.Module,
    optimiser: torch.optim.Optimizer,
    judge_rows: Callable[[Tensor], Judged],
    advantage: Float[Tensor, " N"],
    target: Float[Tensor, " N"],
    config: A2CConfig,
    generator: torch.Generator,
    group: int = 1,
) -> dict[str, Tensor]:
    """One pass over N decisions in shuffled minibatches; `judge_rows(rows)` re-evaluates the rows int64 [n].

    group: so many neighbouring decisions come into the same minibatch.

    Returns the policy entropy (nats) and value error on the last minibatch, the mean gradient norm before clipping, and
    the share of the targets' variance that the critic explained before the update (0-d tensors, no host transfer).
    """
    networks.train()
    norms = []
    batches = list(minibatches(advantage.shape[0], config.minibatch, generator, advantage.device, group))
    for number, rows in enumerate(batches, start=1):
        judged = judge_rows(rows)
        loss, entropy = a2c_loss(judged, advantage[rows], target[rows], config, entropies=number == len(batches))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norms.append(nn.utils.clip_grad_norm_(networks.parameters(), config.max_grad_norm))
        optimiser.step()
    networks.eval()
    with torch.no_grad():
        error = (judged.value - target[rows]).square().mean()
        spread = target.var(correction=0).clamp(min=1e-8)
        return {
            "entropy": entropy.mean(),
            "value_error": error,
            "grad_norm": torch.stack(norms).mean(),
            "explained_variance": 1.0 - advantage.var(correction=0) / spread,
        }
