"""A trained policy that recommends to one user at a time, as a program does that shows items in a session.

from darlr.serving.recommender import load_policy

policy = load_policy(Path("runs/demo-coat"))  # a run folder, or a copy of its folder `policy`
for found in policy.recommend(42, count=5, history=[(7, 4.0), (12, 2.0)]):  # item and reward, oldest first
    print(found.item, found.score)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

from darlr.serving.given import Pairs
from darlr.serving.ids import Id
from darlr.serving.read import open_policy
from darlr.serving.served import ServedPolicy, User


@dataclass(frozen=True)
class Recommendation:
    """A recommended item: its id as in the log, its score, and its propensity, see `ServedPolicy.recommend`."""

    item: Id
    score: float
    propensity: float


@dataclass(frozen=True)
class SessionPolicy:
    """A trained policy for one user at a time."""

    policy: ServedPolicy

    def recommend(
        self, user: User, count: SupportsIndex = 10, history: Pairs = (), **more: Any
    ) -> list[Recommendation]:
        """The next items of a user, in order. more: options of `ServedPolicy.recommend`, whose errors are raised."""
        answer = self.policy.recommend(user, count, history=history, **more)
        return [Recommendation(*row) for row in answer.select("item", "score", "propensity").rows()]


def load_policy(folder: Path) -> SessionPolicy:
    """A policy from its folder, or from the run folder that holds it; RunError where there is none that can be read."""
    return SessionPolicy(open_policy(folder))
