"""Exit rules: when a user leaves (method.md section 2). They are built from logs and features alone.

A rule says who leaves after an item, and which items would make a user leave. Each is one class with a function that
builds it from a log, and one line in `EXITS` or a call of `register` from outside the package.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from darlr.data.item_features import feature_vectors, log_category_bits
from darlr.data.log import InteractionLog
from darlr.errors import ConfigError
from darlr.io.tensors import moved
from darlr.options import SessionConfig
from darlr.options.checks import find_named
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.felt import Chances, FeltExit, FeltRule, LearnedExit, TiredExit
from darlr.simulation.leaving import learned_of
from darlr.simulation.logged import members
from darlr.simulation.session import Session, last_items
from darlr.world.tables import World


@runtime_checkable
class Exit(Protocol):
    """An exit rule, a frozen dataclass. recent: the last `window` items, int64 [B, N], newest last, -1 for none."""

    @property
    def window(self) -> int:
        """N, the number of recent items that the rule depends on."""
        ...

    def leaves(self, recent: Tensor, action: Tensor) -> Tensor:
        """Whether the item `action`, int64 [B], makes the user leave; bool [B]."""
        ...

    def ending(self, recent: Tensor) -> Tensor:
        """Which of all items would make the user leave; bool [B, I]."""
        ...


@dataclass(frozen=True)
class Never:
    """Nobody leaves before the last turn. `never` is the only instance that is needed."""

    window: int = 1

    def leaves(self, recent: Tensor, action: Tensor) -> Tensor:
        """False for every session, bool [B]."""
        return torch.zeros_like(action, dtype=torch.bool)

    def ending(self, recent: Tensor) -> Tensor:
        """False for every item, bool [B, 1], which broadcasts over items."""
        return torch.zeros_like(recent[:, :1], dtype=torch.bool)


never = Never()


@dataclass(frozen=True)
class CategoryExit:
    """Users leave when any category of the item occurred more than `threshold` times among the recent items.

    This is the rule of Coat, KuaiRec and their predecessors' environments. bits: int64 [I, words] from `category_bits`;
    an item without categories never makes a user leave. window: N, the number of recent items. threshold: M.
    """

    bits: Tensor
    window: int = 1
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if self.threshold < 0:
            raise ConfigError(f"option session.threshold: a category exit needs 0 or more, not {self.threshold}")

    def leaves(self, recent: Tensor, action: Tensor) -> Tensor:
        """See `Exit`."""
        shared = (self.bits[action] & self._crowded(recent)) != 0
        return shared.squeeze(-1) if shared.shape[-1] == 1 else shared.any(-1)

    def ending(self, recent: Tensor) -> Tensor:
        """See `Exit`."""
        words = zip(self.bits.T, self._crowded(recent).T, strict=True)
        shared: list[Tensor] = [(word & crowded[:, None]) != 0 for word, crowded in words]
        return reduce(Tensor.logical_or, shared)

    def ending_among(self, recent: Tensor, items: Tensor) -> Tensor:
        """Which of each session's items int64 [B, S] would make the user leave; bool [B, S]."""
        return ((self.bits[items] & self._crowded(recent)[:, None]) != 0).any(-1)

    def _crowded(self, recent: Tensor) -> Tensor:
        """Bits int64 [B, words] of the categories that occurred more than `threshold` times among the recent items."""
        shown = self.bits[recent.clamp(min=0)].masked_fill((recent < 0)[..., None], 0)  # [B, N, words]
        at_least = [torch.zeros_like(shown[:, 0]) for _ in range(int(self.threshold) + 1)]
        for newest in shown.unbind(1):  # a saturating count in bit slices over the N recent items
            for level in range(int(self.threshold), 0, -1):
                at_least[level] = at_least[level] | (at_least[level - 1] & newest)
            at_least[0] = at_least[0] | newest
        return at_least[-1]


@dataclass(frozen=True)
class DistanceExit:
    """Users leave when the Euclidean distance of the item to any recent item is below `threshold`.

    vectors: float32 [I, d], from item features. window: N, the number of recent items.
    """

    vectors: Tensor
    window: int = 1
    threshold: float = 0.0

    def leaves(self, recent: Tensor, action: Tensor) -> Tensor:
        """See `Exit`."""
        return self._close(recent, self.vectors[action[:, None]]).squeeze(1)

    def ending(self, recent: Tensor) -> Tensor:
        """See `Exit`."""
        return self._close(recent, self.vectors[None])

    def _close(self, recent: Tensor, vectors: Tensor) -> Tensor:
        """Which of vectors [B or 1, A, d] are too close to a recent item, bool [B, A]."""
        there = self.vectors[recent.clamp(min=0)]  # [B, N, d]
        # [B, A, N]; computed by a matrix product, equal vectors would be a little apart.
        distance = torch.cdist(vectors, there, compute_mode="donot_use_mm_for_euclid_dist")
        return ((distance < self.threshold) & (recent >= 0)[:, None, :]).any(-1)


def _category(config: SessionConfig, log: InteractionLog) -> Exit:
    bits = log_category_bits(log)
    if bits is None:
        raise ConfigError("option session.exit: a category exit needs an item category, and this data set has none")
    return CategoryExit(bits, config.window, config.threshold)


def _category_of_world(config: SessionConfig, world: World) -> CategoryExit | None:
    return None if world.categories is None else CategoryExit(world.categories, config.window, config.threshold)


def _distance(config: SessionConfig, log: InteractionLog) -> Exit:
    vectors = feature_vectors(log)
    return DistanceExit(vectors, config.window, config.threshold) if config.threshold > 0 else never


def _felt(config: SessionConfig, log: InteractionLog) -> Exit:
    low, high = log.reward_range if log.unit.identity else log.unit.bounds
    if not low < config.threshold <= high:
        raise ConfigError(
            f"option session.threshold: a felt exit needs a reward above {low:g} and at most {high:g}, below which an "
            f"item disappoints, not {config.threshold:g}"
        )
    learned = float(log.unit.learn(torch.tensor(config.threshold)))
    rewards = np.unique(log.reward.astype(np.float64))
    sides = rewards[rewards < learned][-1:], rewards[rewards >= learned][:1]
    cut = float(np.concatenate(sides).mean()) if all(map(len, sides)) else None
    return FeltExit(config.threshold, learned, config.patience, config.chance, cut)


def _learned(config: SessionConfig, log: InteractionLog) -> Exit:
    return LearnedExit(learned_of(log, config.gap, config.turns).hazard, log.unit)


def _tired(config: SessionConfig, log: InteractionLog) -> Exit:
    member = members(log)
    if not member.shape[1]:
        raise ConfigError("option session.exit: a tired exit needs an item category, and this data set has none")
    return TiredExit(Fatigue(torch.from_numpy(member), config.recovery, config.threshold))


def in_unit(rule: Exit, *, learned: bool) -> Exit:
    """The rule for rewards in the unit of learning, or for rewards as they were logged, which `build_exit` gives."""
    return rule.as_learned if learned and isinstance(rule, FeltRule) else rule


def for_new_users(rule: Exit) -> Exit:
    """The rule for users who are in no log."""
    return rule.of_new_users if isinstance(rule, FeltRule) else rule


def chances(rule: Exit, session: Session, mean: Tensor, deviation: Tensor) -> Chances:
    """What each item may bring. mean, deviation: of the normal distribution of its reward, [B, I]."""
    if isinstance(rule, FeltRule):
        return rule.chances(session, mean, deviation)
    return Chances(rule.ending(last_items(session, rule.window)).to(mean.dtype))


class ExitKind(NamedTuple):
    """One value of the option `session.exit`.

    build: the rule for a log's items; it raises ConfigError where they lack what it needs. of_world: the rule for a
    World's items, which a policy respects (`recommender.caution`); None where the World lacks what it needs.
    """

    build: Callable[[SessionConfig, InteractionLog], Exit]
    of_world: Callable[[SessionConfig, World], CategoryExit | None] = lambda config, world: None


EXITS: dict[str, ExitKind] = {
    "none": ExitKind(lambda config, log: never),
    "category": ExitKind(_category, _category_of_world),
    "distance": ExitKind(_distance),
    "felt": ExitKind(_felt),
    "learned": ExitKind(_learned),
    "tired": ExitKind(_tired),
}


def register(name: str, kind: ExitKind) -> None:
    """Make `kind` a value of the option `session.exit`; raises ConfigError for a name that is taken."""
    if name == "auto" or name in EXITS:
        raise ConfigError(f"an exit rule is called {name!r} already; choose another name")
    EXITS[name] = kind


def find(name: str) -> ExitKind:
    """The kind of that name; ConfigError with a hint for an unknown name."""
    return find_named(name, EXITS, "session.exit", "exit rule")


def resolve(config: SessionConfig, log: InteractionLog) -> SessionConfig:
    """Replace `exit = auto` by the rule that the data set names."""
    return replace(config, exit=log.exit) if config.exit == "auto" else config


def build_exit(config: SessionConfig, log: InteractionLog, device: str | torch.device = "cpu") -> Exit:
    """The rule that `config` names (resolved or not), with its tensors on `device`, for rewards as they were logged.

    Raises ConfigError when the log lacks what the rule needs.
    """
    config = resolve(config, log)
    rule = find(config.exit).build(config, log)
    return rule if rule is never else moved(rule, device)
