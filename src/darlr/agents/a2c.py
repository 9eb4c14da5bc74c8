"""Advantage actor-critic, used by both agents: they differ in observation, mask and reward only."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from darlr.config import A2CConfig


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
    advantage_t = torch.zeros_like(last_value)
    value_tp1 = last_value
    advantages = []
    for reward_t, value_t, done_t in zip(reward.flip(0), value.flip(0), done.flip(0), strict=True):
        live = 1.0 - done_t.to(reward.dtype)
        delta_t = reward_t + gamma * live * value_tp1 - value_t
        advantage_t = delta_t + gamma * gae_lambda * live * advantage_t
        value_tp1 = value_t
        advantages.append(advantage_t)
    return torch.stack(advantages[::-1])


@dataclass(frozen=True)
class Judged:
    """What the current networks say of N past decisions, under the mask that acting saw.

    logits: masked with -inf, float32 [N, A]; action: the one taken, int64 [N]; value: float32 [N].
    """

    logits: Float[Tensor, "N A"]
    action: Int[Tensor, " N"]
    value: Float[Tensor, " N"]

    def log_probability(self) -> Float[Tensor, " N"]:
        """log pi(action), of the actions taken only."""
        return -nn.functional.cross_entropy(self.logits, self.action, reduction="none")

    def entropy(self) -> Float[Tensor, " N"]:
        """Entropy of pi in nats."""
        log_probability = self.logits.log_softmax(-1)
        # 0 * -inf at masked actions would make the gradient NaN
        return -(log_probability.exp() * log_probability.masked_fill(self.logits == -torch.inf, 0.0)).sum(-1)


def a2c_loss(judged: Judged, advantage: Float[Tensor, " N"], target: Float[Tensor, " N"], config: A2CConfig) -> Tensor:
    """Policy gradient + value_coefficient * squared value error - entropy_coefficient * entropy, means over N."""
    if config.normalise_advantages and advantage.shape[0] > 1:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    loss = -(judged.log_probability() * advantage).mean()
    loss = loss + config.value_coefficient * (judged.value - target).square().mean()
    if config.entropy_coefficient:
        loss = loss - config.entropy_coefficient * judged.entropy().mean()
    return loss


def minibatches(size: int, batch: int, generator: torch.Generator, device: torch.device) -> Iterator[Tensor]:
    """Shuffled index chunks of about `batch` rows; chunks differ by one row at most, so none is tiny."""
    order = torch.randperm(size, generator=generator, device=generator.device).to(device)
    yield from order.tensor_split(max(1, round(size / batch)))


def update(
    networks: nn.Module,
    optimiser: torch.optim.Optimizer,
    judge_rows: Callable[[Tensor], Judged],
    advantage: Float[Tensor, " N"],
    target: Float[Tensor, " N"],
    config: A2CConfig,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """One pass over N decisions in shuffled minibatches; `judge_rows(rows)` re-evaluates the rows int64 [n].

    Returns the policy entropy (nats) and value error on the last minibatch, the mean gradient norm before clipping, and
    the share of the targets' variance that the critic explained before the update (0-d tensors, no host transfer).
    """
    networks.train()
    norms = []
    for rows in minibatches(advantage.shape[0], config.minibatch, generator, advantage.device):
        judged = judge_rows(rows)
        loss = a2c_loss(judged, advantage[rows], target[rows], config)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norms.append(nn.utils.clip_grad_norm_(networks.parameters(), config.max_grad_norm))
        optimiser.step()
    networks.eval()
    with torch.no_grad():
        error = (judged.value - target[rows]).square().mean()
        spread = target.var(correction=0).clamp(min=1e-8)
        return {
            "entropy": judged.entropy().mean(),
            "value_error": error,
            "grad_norm": torch.stack(norms).mean(),
            "explained_variance": 1.0 - advantage.var(correction=0) / spread,
        }
