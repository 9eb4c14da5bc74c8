"""A trained policy on its own, without a data set and a world model: it recommends to one user or many.

from darlr.serving.folder import read_policy

policy = read_policy(Path("runs/demo-coat"))  # a run folder, or a copy of its folder `policy`
policy.recommend(42, n=5, history=[(7, 4.0), (12, 2.0)])  # item and reward, oldest first
policy.recommend(NEW, n=5, history=[(7, 4.0)], strategy="sample", request_id="r-1")  # a cold-start user
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from darlr.agents.forbidden import FORBIDDEN
from darlr.agents.policy import RecommenderPolicy
from darlr.data.unit import Unit
from darlr.errors import RunError
from darlr.serving.asked import Asked, allowed_items, padded
from darlr.serving.newcomers import Newcomers
from darlr.serving.served import ROWS, ServedPolicy
from darlr.serving.strategy import Listed
from darlr.simulation.policy import Policy
from darlr.simulation.session import Session, reset
from darlr.world.logged import Histories


@dataclass(frozen=True)
class TrainedPolicy(ServedPolicy):
    """A policy in PyTorch. logged: the logged items of its users. newcomers: the policy for users in no log."""

    policy: Policy
    logged: Histories
    newcomers: Newcomers

    def scored(self, some: Sequence[Asked]) -> tuple[Any, Any, Listed | None]:
        """See `ServedPolicy.scored`. Fewer than ROWS users are padded to ROWS: kernels round fewer differently."""
        rows, n_items = [*some, *[some[-1]] * (ROWS - len(some))], len(self.items.ids)
        session = session_of(rows, n_items, self.unit)
        known = some[0].code is not None
        policy = self.policy if known else self.newcomers.policy(session.items, session.rewards)
        slates = policy.shortlist(session, greedy=False) if isinstance(policy, RecommenderPolicy) else None
        logits = (policy.scores(session) if slates is None else slates.scores)[: len(some)]
        # the extremes of numbers with a NaN are NaN; looking at every score takes many times longer
        usable = logits.amin(1).isfinite() & logits.amax(1).isfinite()
        if not bool(usable.all()):
            user = rows[int(usable.int().argmin())].shown
            raise RunError(f"user {user!r}: the policy's scores are no finite numbers; its weights are damaged")
        allowed = torch.from_numpy(allowed_items(some, n_items, lambda user: self.logged.one(user).numpy()))
        if slates is None:
            return logits.numpy(), (allowed & (logits > FORBIDDEN / 2)).numpy(), None
        items, place = torch.unique(slates.items[: len(some)], return_inverse=True)
        scores = logits.new_full((len(some), len(items)), FORBIDDEN).scatter_(1, place, logits)
        items = items[items < n_items]  # the last one may be padding
        scores = scores[:, : len(items)]
        allowed = allowed[:, items] & (scores > FORBIDDEN / 2)
        return scores.numpy(), allowed.numpy(), Listed(items.numpy(), n_items)

    def predicted(self, some: Sequence[Asked]) -> NDArray[np.float32]:
        """See `ServedPolicy.predicted`; the estimates are those of the fold-in."""
        session = session_of(some, len(self.items.ids), self.unit)
        found: NDArray[np.float32] = self.newcomers.fold_in.fold_in(session.items, session.rewards).numpy()
        return found


def session_of(some: Sequence[Asked], n_items: int, unit: Unit) -> Session:
    """The sessions so far; cold-start users have the codes 0, 1, ... in the policy that is built for them."""
    items, rewards = (torch.from_numpy(part) for part in padded(some, unit))
    codes = torch.tensor([place if one.code is None else one.code for place, one in enumerate(some)])
    turns = torch.tensor([len(one.items) for one in some])
    return replace(reset(codes, n_items, items.shape[1]), items=items, rewards=rewards, turn=turns)
