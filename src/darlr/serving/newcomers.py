"""The policy for cold-start users, and what a policy folder holds for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from darlr.policies.fixed import Cautious, UserGreedy
from darlr.serving.dynamics import read_dynamics
from darlr.serving.policy_checks import CLOSED, check_number, check_range, check_variances
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.exits import CategoryExit
from darlr.simulation.policy import Policy
from darlr.simulation.session import Session
from darlr.world.belief import Belief
from darlr.world.estimates import Dense, Estimate
from darlr.world.feedback import Feedback
from darlr.world.fold_in import Carried, FoldIn, carry, fold_in_of
from darlr.world.kind import part
from darlr.world.low_rank import LowRank, carried_factors
from darlr.world.models.implicit import ImplicitModel
from darlr.world.tables import World

BELIEF = ("mean", "factors", "noise")
Build = Callable[[int, Tensor | None, Estimate | None], Policy]


@dataclass(frozen=True)
class Believed:
    """DARLR+ for cold-start users: the policy that its training starts from, on an exact belief about the user.

    Logits are prior / std(row) * (value - mean(row)) with the posterior mean of the user's row of rewards, less caution
    for items that make the user leave. The value is that of the row, less fatigue and the price of leaving where
    `dynamics` knows them. There is no learned part: it was trained with users of the log.
    """

    belief: Belief
    prior: float
    caution: float
    leaving: CategoryExit | None
    dynamics: Dynamics | None = None

    def policy(self, items: Tensor, rewards: Tensor) -> Policy:
        """The policy for B users, given their histories [B, n]."""
        if self.dynamics is not None:
            rewards = self.dynamics.rested(items, rewards)
        found = self.belief.given(items, rewards)
        rows = found.rows(found.theta())
        spread, centre = torch.std_mean(rows, 1, correction=0, keepdim=True)
        sharp = torch.where(spread > 1e-6 * centre.abs(), self.prior / spread, 0.0)
        if self.dynamics is not None:
            return Priced(rows, found.variance().sqrt(), self.dynamics, centre, sharp)
        greedy = UserGreedy((rows - centre) * sharp)
        return greedy if self.leaving is None else Cautious(greedy, self.leaving, self.caution)


@dataclass(frozen=True)
class Priced:
    """Scores (value - centre) x sharp of B users, whose sessions come in their order.

    rows, deviation: of the normal distribution of the next reward, [B, I]. centre, sharp: [B, 1].
    """

    rows: Tensor
    deviation: Tensor
    dynamics: Dynamics
    centre: Tensor
    sharp: Tensor

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I]."""
        return (self.dynamics.values(session, self.rows, self.deviation) - self.centre) * self.sharp


@dataclass(frozen=True)
class Newcomers:
    """How a policy is built for cold-start users.

    fold_in: gives their estimates. feedback: gives their p_u. carried: gives their rows of the table that the policy
    starts from, or is. build: the policy of B users, given B, their p_u [B, F] or None, and these rows [B, I] or None.
    believed: the policy of a recommender that has a belief, in place of all these. closed_form: gives their estimates
    in place of `fold_in`, where the world model can. starts_from_it: whether the policy starts from these estimates, so
    that nothing is carried, and no belief is asked. whole: whether the policy reads all rows of its start, as one
    without slates does.
    """

    fold_in: FoldIn
    feedback: Feedback | None
    carried: Carried | None
    build: Build
    believed: Believed | None = None
    closed_form: ImplicitModel | None = None
    starts_from_it: bool = False
    whole: bool = True

    @cached_property
    def _start(self) -> FoldIn | None:
        """The distribution of the rows of that table."""
        if self.carried is None:
            return None
        noise, unlimited = self.fold_in.noise, (-torch.inf, torch.inf)
        return FoldIn(self.carried.mean, self.carried.weight.T.contiguous(), noise, unlimited)

    def estimates(self, items: Tensor, rewards: Tensor) -> tuple[Tensor, Tensor]:
        """The coordinates [B, d] and the estimated rewards [B, I] of B users; see `FoldIn.coordinates`."""
        fold = self.fold_in
        if self.closed_form is None:
            theta = fold.coordinates(items, rewards)
            return theta, fold.rows(theta)
        low, high = fold.reward_range
        liked = torch.where(rewards > (low + high) / 2, items, -1)  # this model knows positives alone
        rows = (low + (high - low) * self.closed_form.fold_in(liked)).clamp(low, high)
        return fold.known(rows), rows

    def policy(self, items: Tensor, rewards: Tensor) -> Policy:
        """The policy for B users of the codes 0 to B - 1. items, rewards: [B, n], see `FoldIn.coordinates`."""
        if self.believed is not None and not self.starts_from_it:
            return self.believed.policy(items, rewards)
        if (
            not self.whole
            and self.closed_form is None
            and self.feedback is not None
            and self.feedback.strength is not None
        ):
            theta, rows = self.fold_in.coordinates(items, rewards), rewards[:, :0]  # nothing reads rows
        else:
            theta, rows = self.estimates(items, rewards)
        vectors = None
        if self.feedback is not None and self.feedback.strength is not None:
            vectors = self.feedback.along(theta) * (items >= 0).any(1, keepdim=True)
        elif self.feedback is not None:
            vectors = self.feedback.of(rows, items, rewards)
        start: Estimate | None = None
        if self.starts_from_it:
            start = Dense(rows)
        elif self.carried is not None and self._start is not None:
            start = Dense(self.carried.rows(theta)) if self.whole else LowRank(self._start, theta)
        return self.build(len(items), vectors, start)


def write_newcomers(
    world: World, table: Estimate | None, closed_form: ImplicitModel | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the metadata for a policy folder. table: what the policy starts from, of the world's users.

    closed_form: the world model, where it estimates new users itself.
    """
    reward = world.reward
    if isinstance(reward, LowRank):
        fold = reward.fold
    else:
        fold = fold_in_of(reward.whole(), float(world.risk.whole().mean()), world.reward_range)
    tensors = {"fold.mean": fold.mean, "fold.factors": fold.factors}
    metadata: dict[str, Any] = {"noise": fold.noise, "range": list(fold.reward_range), "feedback": None}
    same = isinstance(table, Dense) and isinstance(reward, Dense) and torch.equal(table.table, reward.table)
    metadata["starts_from_it"] = closed_form is not None and same
    if closed_form is not None:
        tensors |= {f"{CLOSED}{name}": value for name, value in closed_form.for_new_users().items()}
    if table is not None and not metadata["starts_from_it"]:
        if isinstance(reward, LowRank) and isinstance(table, LowRank):
            carried = carried_factors(reward, table)
        else:
            carried = carry(fold, reward.whole(), table.whole())
        tensors |= {"carried.mean": carried.mean, "carried.weight": carried.weight}
    if world.belief is not None:
        tensors |= {f"belief.{name}": getattr(world.belief, name) for name in BELIEF}
        tensors["belief.tempering"] = torch.tensor(world.belief.tempering)
    if world.feedback is not None:
        found = world.feedback
        tensors |= {f"feedback.{name}": getattr(found, name) for name in ("centre", "mean", "columns")}
        tensors |= {} if found.strength is None else {"feedback.strength": found.strength}
        metadata["feedback"] = {"predicted": found.predicted, "by_user": found.by_user, "scale": found.scale}
    return tensors, metadata


def read_feedback(tensors: Mapping[str, Tensor], found: Mapping[str, Any] | None) -> Feedback | None:
    """How p_u is computed, from what `write_newcomers` wrote. Raises ValueError, KeyError or TypeError as below."""
    if found is None:
        return None
    centre, mean, columns = (tensors[f"feedback.{name}"] for name in ("centre", "mean", "columns"))
    scale = check_number(found["scale"], "scale", positive=True)
    more = columns, tensors.get("feedback.strength")
    return Feedback(bool(found["predicted"]), bool(found["by_user"]), centre, mean, scale, *more)


def read_believed(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], leaving: CategoryExit | None
) -> Believed | None:
    """How a recommender with a belief serves cold-start users; None without one, and with slates.

    Raises ValueError, KeyError or TypeError for contradictions.
    """
    if "belief.mean" not in tensors or metadata["slate"] is not None:
        return None
    tempering = float(tensors["belief.tempering"]) if "belief.tempering" in tensors else 1.0
    check_number(tempering, "belief.tempering", positive=True)
    mean, factors, noise = (tensors[f"belief.{name}"] for name in BELIEF)
    asked, belief = metadata["recommender"], Belief(mean, factors, check_variances(noise, "belief.noise"), tempering)
    dynamics = read_dynamics(tensors, metadata["dynamics"])
    dynamics = None if dynamics is None else dynamics.of_new_users
    return Believed(belief, float(asked["prior"]), float(asked["caution"]), leaving, dynamics)


def read_newcomers(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    feedback: Feedback | None,
    build: Build,
    believed: Believed | None = None,
    whole: bool = True,
) -> Newcomers:
    """The inverse of `write_newcomers`. Raises ValueError, KeyError or TypeError for contradictions."""
    noise = check_number(metadata["noise"], "noise", positive=True)
    fold = FoldIn(tensors["fold.mean"], tensors["fold.factors"], noise, check_range(metadata["range"]))
    carried = Carried(tensors["carried.mean"], tensors["carried.weight"]) if "carried.mean" in tensors else None
    parts = part(tensors, CLOSED)
    closed_form = ImplicitModel(**parts) if parts else None
    starts = bool(metadata["starts_from_it"]) and bool(parts)
    return Newcomers(fold, feedback, carried, build, believed, closed_form, starts, whole)
