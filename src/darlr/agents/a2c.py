"""Advantage actor-critic, used by both agents: they differ in observation, mask and reward only."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from darlr.agents.decisions import Decisions
from darlr.agents.fast import chosen
from darlr.options import A2CConfig


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


def policy_gain(
    decisions: Decisions, weight: Float[Tensor, " N"], bonus: float
) -> tuple[Float[Tensor, ""], Float[Tensor, " N"]]:
    """sum over n of weight_n log pi(action_n) + bonus * entropy_n; also the entropies, without gradient.

    This is the equation. Training takes its twin (`darlr.agents.fast.chosen.policy_gain`), which computes the same and
    its gradient without holding all logits at once.
    """
    log_pi = decisions.logits().log_softmax(-1)
    entropy = -(log_pi.exp() * log_pi).sum(-1)
    taken = log_pi.gather(1, decisions.action[:, None]).squeeze(1)
    return (weight * taken).sum() + bonus * entropy.sum(), entropy.detach()


def a2c_loss(
    decisions: Decisions,
    advantage: Float[Tensor, " N"],
    target: Float[Tensor, " N"],
    config: A2CConfig,
    entropies: bool = True,
) -> tuple[Tensor, Tensor]:
    """Policy gradient + value_coefficient * squared value error - entropy_coefficient * entropy, means over N.

    Returns the loss, 0-d, and the entropy of each pi in nats, float32 [N], without gradient: where `entropies` are not
    asked for they are given only if the loss needs them, else 0.
    """
    size = advantage.shape[0]
    if config.normalise_advantages and size > 1:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    gain, entropy = chosen.policy_gain(decisions, advantage / size, config.entropy_coefficient / size, entropies)
    return config.value_coefficient * (decisions.value - target).square().mean() - gain, entropy


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
    decisions_of: Callable[[Tensor], Decisions],
    advantage: Float[Tensor, " N"],
    target: Float[Tensor, " N"],
    config: A2CConfig,
    generator: torch.Generator,
    group: int = 1,
) -> dict[str, Tensor]:
    """One pass over N decisions in shuffled minibatches; `decisions_of(rows)` evaluates the rows int64 [n] again.

    group: so many neighbouring decisions come into the same minibatch.

    Returns the policy entropy (nats) and value error on the last minibatch, the mean gradient norm before clipping, and
    the share of the targets' variance that the critic explained before the update (0-d tensors, no host transfer).
    """
    networks.train()
    norms = []
    batches = list(minibatches(advantage.shape[0], config.minibatch, generator, advantage.device, group))
    for number, rows in enumerate(batches, start=1):
        decisions = decisions_of(rows)
        loss, entropy = a2c_loss(decisions, advantage[rows], target[rows], config, entropies=number == len(batches))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norms.append(nn.utils.clip_grad_norm_(networks.parameters(), config.max_grad_norm))
        optimiser.step()
    networks.eval()
    with torch.no_grad():
        error = (decisions.value - target[rows]).square().mean()
        spread = target.var(correction=0).clamp(min=1e-8)
        return {
            "entropy": entropy.mean(),
            "value_error": error,
            "grad_norm": torch.stack(norms).mean(),
            "explained_variance": 1.0 - advantage.var(correction=0) / spread,
        }
