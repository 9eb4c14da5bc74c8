"""What every recommender offers, learned or not: scores for the next item, given the session so far."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import pad

from darlr.data.unit import Unit
from darlr.errors import DarlrError
from darlr.simulation.session import Session


@runtime_checkable
class Policy(Protocol):
    """Scores are logits: a greedy player takes the largest, a sampling player draws from their softmax."""

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], a function of the session alone; higher is better. Masks are not its business."""
        ...


@dataclass(frozen=True)
class Translated:
    """A policy that learned in another unit than the one in which sessions are fed back."""

    policy: Policy
    unit: Unit

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], the policy's for the same session with its rewards as they are learned."""
        rewards = self.unit.learn(session.rewards).masked_fill(session.items < 0, 0.0)
        return self.policy.scores(replace(session, rewards=rewards))


def translated(policy: Policy, unit: Unit) -> Policy:
    """The policy for sessions in the log's unit; the policy itself where that is the unit it learned in."""
    return policy if unit.identity else Translated(policy, unit)


def masked(scores: Tensor, allowed: Tensor) -> Tensor:
    """Scores with disallowed items at -inf; an allowed item stays above them whatever its score.

    Raises DarlrError on NaN, which would otherwise pick an arbitrary item.
    """
    # the largest of any numbers with a NaN is NaN; isnan().any() takes 20 times longer
    if scores.numel() and bool(scores.amax().isnan()):
        raise DarlrError("the policy produced NaN scores; its training diverged")
    limit = torch.finfo(scores.dtype).max
    return torch.where(allowed, scores.clamp(-limit, limit), -torch.inf)


def greedy(scores: Tensor, allowed: Tensor) -> Tensor:
    """The best allowed item of each row, int64 [B]; ties go to the lowest id."""
    return masked(scores, allowed).max(-1).indices  # argmax takes longer


def sample(scores: Tensor, allowed: Tensor, uniform: Tensor) -> Tensor:
    """One draw a row from the softmax over allowed items, int64 [B], by inverse CDF.

    uniform: float32 [B] in [0, 1). Rows without an allowed item give the last one; callers end those sessions first.
    """
    probabilities = masked(scores, allowed).softmax(-1).nan_to_num(0.0)
    return draw(probabilities, uniform)


# From so many actions on a draw looks for a chunk of them first; the size of a chunk. Running sums are the one thing
# that a processor does number by number.
WIDE, CHUNK = 1024, 64
BELOW = 1 - 2**-24  # a float32 product with it is below what it was


def draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Inverse-CDF draw from rows of probabilities [B, A] that sum to about 1; never an entry of probability 0.

    A row of zeros gives its last entry. Of the two twins below, the faster one is taken.
    """
    wide = probabilities.shape[1] >= WIDE and probabilities.device.type == "cpu"
    return draw_by_chunks(probabilities, uniform) if wide else draw_at_once(probabilities, uniform)


def draw_at_once(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The draw by running sums over all actions."""
    cumulative = probabilities.cumsum(-1)
    # below 1 by 2^-24 at least, uniform keeps the product below the total, and so on a positive entry
    target = cumulative[:, -1:] * uniform[:, None]
    place = torch.searchsorted(cumulative, target, right=True).squeeze(1)
    return place.clamp(max=probabilities.shape[1] - 1)


def draw_by_chunks(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The same draw to rounding: of a chunk by its sum, then of an entry in it; the last chunk is a shorter one."""
    actions = probabilities.shape[1]
    whole = actions // CHUNK
    cut = whole * CHUNK
    sums = torch.unflatten(probabilities[:, :cut], 1, (whole, CHUNK)).sum(-1)
    cumulative = torch.cat([sums, probabilities[:, cut:].sum(1, keepdim=True)], dim=1).cumsum(1)
    target = cumulative[:, -1:] * uniform[:, None]
    chunk = torch.searchsorted(cumulative, target, right=True).clamp(max=whole)
    before = pad(cumulative, (1, 0)).gather(1, chunk)
    place = chunk * CHUNK + torch.arange(CHUNK, device=chunk.device)
    inside = probabilities.gather(1, place.clamp(max=actions - 1)).masked_fill(place >= actions, 0.0).cumsum(1)
    target = torch.minimum(target - before, inside[:, -1:] * BELOW)
    found = chunk * CHUNK + torch.searchsorted(inside, target, right=True)
    return found.squeeze(1).clamp(max=actions - 1)
