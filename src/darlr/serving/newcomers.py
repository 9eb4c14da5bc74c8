"""What a policy folder holds for users in no log, and the policy that answers them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from darlr.serving.policy_checks import check_newcomers
from darlr.simulation.policy import Policy
from darlr.world.feedback import Feedback
from darlr.world.fold_in import Carried, FoldIn, carry, fold_in_of
from darlr.world.tables import World

Build = Callable[[int, Tensor | None, Tensor | None], Policy]


@dataclass(frozen=True)
class Newcomers:
    """How users in no log are answered: from the history that each brings, or as the mean user.

    fold_in: their estimates. feedback: their p_u. carried: their rows of the table that the policy starts from, or is.
    build: the policy for B users, given B, their p_u [B, F] and their rows of that table [B, I]; None where nothing is
    known of either.
    """

    fold_in: FoldIn
    feedback: Feedback | None
    carried: Carried | None
    build: Build

    def policy(self, items: Tensor, rewards: Tensor) -> Policy:
        """The policy for B users, of user codes 0 to B - 1. items, rewards: [B, n], see `FoldIn.coordinates`."""
        theta = self.fold_in.coordinates(items, rewards)
        rows = self.fold_in.rows(theta)
        vectors = self.feedback.of(rows, items, rewards) if self.feedback is not None else None
        return self.build(len(items), vectors, self.carried.rows(theta) if self.carried is not None else None)


def write_newcomers(world: World, table: Tensor | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a policy folder, of O(64 I) numbers. table: a row for each user of the world, or None."""
    fold = fold_in_of(world.reward.whole(), float(world.risk.whole().mean()), world.reward_range)
    tensors = {"fold.mean": fold.mean, "fold.factors": fold.factors}
    metadata: dict[str, Any] = {"noise": fold.noise, "range": list(fold.reward_range), "feedback": None}
    if table is not None:
        carried = carry(fold, world.reward.whole(), table)
        tensors |= {"carried.mean": carried.mean, "carried.weight": carried.weight}
    if world.feedback is not None:
        found = world.feedback
        tensors |= {f"feedback.{name}": getattr(found, name) for name in ("centre", "mean", "columns")}
        metadata["feedback"] = {"predicted": found.predicted, "by_user": found.by_user, "scale": found.scale}
    return tensors, metadata


def read_newcomers(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], build: Build, n_items: int) -> Newcomers:
    """Inverse of `write_newcomers`; raises ValueError, KeyError or TypeError where it contradicts itself."""
    check_newcomers(tensors, metadata, n_items)
    low, high = metadata["range"]
    fold = FoldIn(tensors["fold.mean"], tensors["fold.factors"], float(metadata["noise"]), (float(low), float(high)))
    carried = Carried(tensors["carried.mean"], tensors["carried.weight"]) if "carried.mean" in tensors else None
    feedback, found = None, metadata["feedback"]
    if found is not None:
        columns = {name: tensors[f"feedback.{name}"] for name in ("centre", "mean", "columns")}
        feedback = Feedback(
            predicted=bool(found["predicted"]), by_user=bool(found["by_user"]), scale=float(found["scale"]), **columns
        )
    return Newcomers(fold, feedback, carried, build)
