"""The gate of an update: it is not promoted where it is surely worse than its parent on new events.

Both are measured on the same events, which neither learned from, of users and items that the parent knows. Differences
are paired by user, and their 95% intervals are bootstrapped over users (`darlr.evaluation.statistics`).

- nDCG@10: how well the first list of the policy ranks the new items of a user (`darlr.evaluation.next_items`). The
  parent cannot recommend items that it does not know, as when it is served.
- squared error: of the predicted rewards, in a log of ratings. The world model is what an update changes most.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import within_scope
from darlr.data.split import select
from darlr.evaluation.next_items import NDCG, UnseenItems, rank, unseen_items
from darlr.evaluation.statistics import Array, bootstrap_ratio, interval
from darlr.experiments.finished import FinishedRun
from darlr.simulation.policy import Policy
from darlr.simulation.session import Session

USERS = 5_000  # users whose events measure, drawn at random where there are more
LEAST = 20  # users below which a bootstrap interval is too narrow
ERROR = "squared error"


@dataclass(frozen=True)
class Measure:
    """One measure. difference: child less parent, with its interval; better: whether a larger value is better."""

    name: str
    better: bool
    parent: float
    child: float
    difference: float
    low: float
    high: float
    users: int

    @property
    def surely_worse(self) -> bool:
        """Whether the whole interval says that the child is worse. The interval of a few users says nothing."""
        return self.users >= LEAST and (self.high < 0 if self.better else self.low > 0)

    def __str__(self) -> str:
        found = f"{self.name} {self.parent:.4g} -> {self.child:.4g}"
        return f"{found}, difference {self.difference:+.4g} [{self.low:+.4g}, {self.high:+.4g}], {self.users:,} users"


@dataclass(frozen=True)
class Gate:
    """What the gate found. events: those that it measured on; there may be none, and then it cannot refuse."""

    measures: tuple[Measure, ...]
    events: int

    @property
    def promoted(self) -> bool:
        """Whether no measure says that the child is surely worse."""
        return not any(one.surely_worse for one in self.measures)

    def __str__(self) -> str:
        if not self.measures:
            return "the gate has no event of a user and an item that the parent knows, so that it proves nothing"
        told = "not surely worse than its parent" if self.promoted else "SURELY WORSE than its parent"
        return "\n".join([f"on {self.events:,} newer events the update is {told}", *(f"  {m}" for m in self.measures)])

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"promoted": self.promoted, "events": self.events, "measures": [asdict(one) for one in self.measures]}


@dataclass(frozen=True)
class Longer:
    """A policy in a catalogue that has more items than it knows. It never recommends these."""

    policy: Policy
    known: int

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I]; the session must not hold an item that the policy does not know."""
        scores = self.policy.scores(replace(session, n_items=self.known))
        more = session.n_items - self.known
        return torch.nn.functional.pad(scores, (0, more), value=torch.finfo(scores.dtype).min)


def compare(parent: FinishedRun, child: FinishedRun, gate: InteractionLog) -> Gate:
    """Measure both on the events `gate`, in the log's unit and with the ids of the child's log."""
    users, items = parent.world.n_users, parent.world.n_items
    events = within_scope(gate, child.logs.scope)
    known = (events.user < users) & (events.item < items)
    drawn = np.unique(events.user[known])
    if len(drawn) > USERS:
        drawn = np.random.default_rng(0).choice(drawn, USERS, replace=False)
    events = select(events, np.isin(events.user, drawn) & (events.user < users))
    measures = []
    found = unseen_items(events, within_scope(child.logs.recorded, child.logs.scope)) if len(events) else None
    if found is not None and (found.gain > 0).any():
        measures.append(_ranking(parent, child, found, items))
    some = select(events, events.item < items)
    if len(some) and not child.logs.whole.implicit:
        measures.append(_error(parent, child, some))
    return Gate(tuple(measures), len(events) if measures else 0)


def _ranking(parent: FinishedRun, child: FinishedRun, found: UnseenItems, items: int) -> Measure:
    policies = Longer(parent.policy, items), child.policy
    (before, count), (after, _) = (rank([one], found).sums[NDCG] for one in policies)
    return _measure(NDCG, True, before, after, count)


def _error(parent: FinishedRun, child: FinishedRun, events: InteractionLog) -> Measure:
    drawn, row = np.unique(events.user, return_inverse=True)

    def sums(run: FinishedRun) -> Array:
        error = np.square(run.predicted(events) - events.reward)
        return np.bincount(row, error, len(drawn)).astype(np.float64)

    count = np.bincount(row, np.ones(len(row))).astype(np.float64)
    return _measure(ERROR, False, sums(parent), sums(child), count)


def _measure(name: str, better: bool, before: Array, after: Array, count: Array) -> Measure:
    """The ratios of sums over users, and the interval of their difference."""
    draws = bootstrap_ratio(after - before, count, generator=np.random.default_rng(0))
    parent, child = (float(part.sum() / count.sum()) for part in (before, after))
    return Measure(name, better, parent, child, child - parent, *interval(draws), int((count > 0).sum()))
