"""The policies that are served, and which user gets which: the arms of an A/B test."""

import bisect
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from darlr.errors import ConfigError, RunError
from darlr.options import StrategyConfig
from darlr.options.serving import Name
from darlr.server.engine import Job, decide
from darlr.serving.ids import NEW
from darlr.serving.read import open_policy
from darlr.serving.served import ServedPolicy

CANARIES: tuple[Name, ...] = ("greedy", "sample", "explore")


@dataclass(frozen=True)
class Arm:
    """A policy under a name, with its share of the users. It never changes: a reload makes another one.

    threads: those that compute, see `open_policy`.
    """

    name: str
    share: float
    folder: Path
    policy: ServedPolicy
    threads: int | None = None

    @cached_property
    def run(self) -> str:
        """The name of the run, that of its folder."""
        return self.folder.resolve().name


@dataclass(frozen=True)
class Arms:
    """All arms. Requests take one reference to it, so that a reload changes none that are under way."""

    arms: tuple[Arm, ...]

    def of(self, who: str) -> Arm:
        """The arm of a user, or of a request without one: a hash decides, so that a user stays in an arm."""
        digest = hashlib.blake2b(who.encode("utf-8", "surrogatepass"), digest_size=8, person=b"darlr arm").digest()
        place = int.from_bytes(digest, "little") / 2**64
        ends = list(accumulate(arm.share for arm in self.arms))[:-1]
        return self.arms[bisect.bisect(ends, place)]

    def reloaded(self, name: str | None) -> "Arms":
        """The arms with one of them, or all, read anew and tried. Raises ConfigError for an unknown name, RunError."""
        known = [arm.name for arm in self.arms]
        if name is not None and name not in known:
            raise ConfigError(f"no arm is called {name!r}; the arms are {', '.join(map(repr, known))}")
        chosen = [arm for arm in self.arms if name in (None, arm.name)]
        fresh = {arm.name: replace(arm, policy=tried(open_policy(arm.folder, arm.threads))) for arm in chosen}
        return Arms(tuple(fresh.get(arm.name, arm) for arm in self.arms))


def open_arms(runs: Sequence[Path], weights: Sequence[float], threads: int | None = None) -> Arms:
    """The arms of run folders. weights: one for each, or none for equal shares. Raises ConfigError and RunError."""
    if weights and (len(weights) != len(runs) or not all(0 < weight < float("inf") for weight in weights)):
        raise ConfigError(f"option weights: give a positive number for each of the {len(runs)} runs, or none")
    given = list(weights) or [1.0] * len(runs)
    arms: list[Arm] = []
    for folder, weight in zip(runs, given, strict=True):
        name, number = folder.resolve().name, 2
        while name in {arm.name for arm in arms}:
            name, number = f"{folder.resolve().name}-{number}", number + 1
        arms.append(Arm(name, weight / sum(given), folder, tried(open_policy(folder, threads)), threads))
    return Arms(tuple(arms))


def tried(policy: ServedPolicy) -> ServedPolicy:
    """The policy, after requests of every kind were answered. Raises RunError where an answer is wrong."""
    low, high = policy.unit.bounds
    items = policy.items.ids
    for user in (policy.users.ids[0], policy.users.ids[-1], NEW):
        for strategy in CANARIES:
            for history in ([], [(items[0], high), (items[-1], low)][: max(1, len(items) - 1)]):
                (found,) = decide([Job(policy, policy.read(user, history), 3, StrategyConfig(strategy))])
                fine = len(set(found.codes)) == len(found.codes) > 0
                if not (fine and all(0 < chance <= 1 for chance in found.propensities)):
                    raise RunError(
                        f"policy {policy.version}: gives no proper answer to user {user!r}; it is not served"
                    )
    return policy
