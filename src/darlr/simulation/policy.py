"""The interface of every recommender: scores for the next item, given the session so far; and draws from them."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import pad

from darlr.data.unit import Unit
from darlr.errors import DarlrError
from darlr.simulation.exits import Exit, in_unit
from darlr.simulation.session import Session


@runtime_checkable
class Policy(Protocol):
    """Scores are logits: a greedy player takes the largest, a sampling player draws from their softmax."""

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], a function of the session alone; higher is better. Masks are applied afterwards."""
        ...


class Shortlist(NamedTuple):
    """items: int64 [B, S], for each session in order of their codes, padded with I at the end. scores: [B, S]."""

    items: Tensor
    scores: Tensor


@runtime_checkable
class Short(Policy, Protocol):
    """A policy that finds the item that it shows without scores of the whole catalogue."""

    def shortlist(self, session: Session, *, greedy: bool) -> Shortlist | None:
        """Items and their scores; None where the policy needs the whole catalogue.

        greedy: the best allowed item of the list is the best of the catalogue. Otherwise an item that is drawn from the
        softmax over the list is distributed as one from the whole catalogue. Both hold where any item of the list is
        allowed.
        """
        ...


@runtime_checkable
class Informed(Policy, Protocol):
    """A policy that plays otherwise where it knows the exit rule."""

    def knowing(self, rule: Exit, turns: int) -> Policy:
        """The policy for sessions of `turns` turns with this rule, for rewards in the policy's own unit."""
        ...


def knowing(policy: Policy, rule: Exit, turns: int) -> Policy:
    """The policy that knows the exit rule, for rewards as they were logged; the same where it has no use for it."""
    if isinstance(policy, Translated):
        return replace(policy, policy=knowing(policy.policy, in_unit(rule, learned=True), turns))
    return policy.knowing(rule, turns) if isinstance(policy, Informed) else policy


@dataclass(frozen=True)
class Translated:
    """A policy whose unit of rewards differs from that of the sessions."""

    policy: Policy
    unit: Unit

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I], the policy's scores for the session with its rewards in the unit of learning."""
        return self.policy.scores(self._learned(session))

    def shortlist(self, session: Session, *, greedy: bool) -> Shortlist | None:
        """The policy's short lists, if it has any."""
        if not isinstance(self.policy, Short):
            return None
        return self.policy.shortlist(self._learned(session), greedy=greedy)

    def _learned(self, session: Session) -> Session:
        rewards = self.unit.learn(session.rewards).masked_fill(session.items < 0, 0.0)
        return replace(session, rewards=rewards)


def translated(policy: Policy, unit: Unit) -> Policy:
    """The policy for sessions in the log's unit; the policy itself where that is its unit of learning."""
    return policy if unit.identity else Translated(policy, unit)


def masked(scores: Tensor, allowed: Tensor) -> Tensor:
    """Scores with disallowed items at -inf and allowed items finite.

    Raises DarlrError on NaN, which would otherwise select an arbitrary item.
    """
    # The maximum of numbers with a NaN is NaN; isnan().any() takes 20 times longer.
    if scores.numel() and bool(scores.amax().isnan()):
        raise DarlrError("the policy produced NaN scores; its training diverged")
    limit = torch.finfo(scores.dtype).max
    # The lesser of the score and an infinity; torch.where takes four times longer, and bool.to seven times.
    ceiling = allowed.view(torch.uint8).to(scores.dtype).sub_(0.5).mul_(torch.inf)
    return scores.clamp(-limit, limit).minimum(ceiling)


def greedy(scores: Tensor, allowed: Tensor) -> Tensor:
    """The best allowed item of each row, int64 [B]; ties go to the lowest id."""
    found = masked(scores, allowed)
    if found.device.type == "cpu" and found.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(found.detach().numpy().argmax(-1))  # PyTorch takes six times longer
    return found.max(-1).indices  # argmax takes longer


def sample(scores: Tensor, allowed: Tensor, uniform: Tensor) -> Tensor:
    """One draw for each row from the softmax over allowed items, int64 [B]. uniform: float32 [B] in [0, 1).

    Rows without an allowed item give the last item; callers end those sessions first.
    """
    probabilities = masked(scores, allowed).softmax(-1).nan_to_num(0.0)
    return draw(probabilities, uniform)


WIDE, CHUNK = 1024, 64  # the number of actions from which draws go by chunks, and the size of a chunk
BELOW = 1 - 2**-24  # multiplying a float32 by it gives a smaller number


def draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Draw by inverse CDF from rows of probabilities [B, A] that sum to about 1; never an entry of probability 0.

    A row of zeros gives its last entry. The faster of the two twins below is used.
    """
    wide = probabilities.shape[1] >= WIDE and probabilities.device.type == "cpu"
    return draw_by_chunks(probabilities, uniform) if wide else draw_at_once(probabilities, uniform)


def draw_at_once(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The draw by a running sum over all actions."""
    cumulative = probabilities.cumsum(-1)
    # uniform <= 1 - 2^-24 keeps the product below the total, and so the draw on a positive entry.
    target = cumulative[:, -1:] * uniform[:, None]
    place = torch.searchsorted(cumulative, target, right=True).squeeze(1)
    return place.clamp(max=probabilities.shape[1] - 1)


def draw_by_chunks(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The same draw up to rounding: first a chunk by its sum, then an entry in it; the last chunk is shorter.

    Running sums are sequential, so shorter ones are faster.
    """
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
