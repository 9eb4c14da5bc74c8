"""The simple rows: policies that need no training of agents. Every table of results has them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope
from darlr.options import TablesConfig
from darlr.policies.fixed import FixedList, Random, UserGreedy
from darlr.simulation.policy import Policy
from darlr.world.logged_neighbours import logged_neighbour_table
from darlr.world.models.bias import bias_table
from darlr.world.tables import World

if TYPE_CHECKING:
    from darlr.evaluation.truth import Truth

Kind = Literal["learned", "log", "truth"]


@dataclass(frozen=True)
class Entry:
    """The policies that one row of a table plays.

    policies: one for each training seed. kind: "learned" (an agent), "log" (a simple row from logs alone), or "truth"
    (a reference that reads the truth and is no method). exit_aware: whether items that would make the user leave are
    skipped.
    """

    name: str
    policies: Sequence[Policy]
    kind: Kind
    greedy: bool = True
    exit_aware: bool = False


@dataclass(frozen=True)
class Source:
    """The data that the simple rows of one training seed read.

    catalogue: the scope's catalogue (darlr.data.scope). train, held_out: the parts of the log. fitted: the events that
    models are fitted to. world: the world model of the seed, where there is one. tables: its options.
    """

    catalogue: InteractionLog
    train: InteractionLog
    held_out: InteractionLog
    fitted: InteractionLog
    scope: Scope
    world: World | None = None
    tables: TablesConfig = field(default_factory=TablesConfig)

    def bias(self) -> Tensor:
        """The predictions of the bias model, float64 [Us, Is]."""
        return bias_table(self.train, self.held_out, self.fitted, self.scope)


def popularity(log: InteractionLog) -> Tensor:
    """Logged events of each item, float32 [I]."""
    return torch.from_numpy(np.bincount(log.item, minlength=log.n_items).astype(np.float32))


def popularity_by_users(log: InteractionLog) -> Tensor:
    """Distinct users who logged each item, float32 [I]."""
    cells = np.unique(log.user * log.n_items + log.item)
    return torch.from_numpy(np.bincount(cells % log.n_items, minlength=log.n_items).astype(np.float32))


def item_means(log: InteractionLog, shrinkage: float = 0.0) -> Tensor:
    """Mean logged reward of each item, float32 [I].

    shrinkage: number of extra events with the global mean that each item gets. An item without events has that mean.
    """
    count = np.bincount(log.item, minlength=log.n_items).astype(np.float64)
    total = np.bincount(log.item, weights=log.reward.astype(np.float64), minlength=log.n_items)
    overall = float(log.reward.mean(dtype=np.float64)) if len(log) else 0.0
    known = count + shrinkage > 0
    mean = np.full(log.n_items, overall)
    mean[known] = (total + shrinkage * overall)[known] / (count + shrinkage)[known]
    return torch.from_numpy(mean.astype(np.float32))


def best_fixed_list(truth: "Truth", n_items: int) -> FixedList:
    """The list with the largest mean true reward over the users of the truth. Items outside the truth come last."""
    value = torch.full((n_items,), -torch.inf, dtype=truth.reward.dtype, device=truth.reward.device)
    value[torch.as_tensor(truth.items, device=value.device)] = truth.reward.double().mean(0).to(value)
    return FixedList(value)


def oracle(truth: "Truth", n_users: int, n_items: int) -> UserGreedy:
    """The best items of each user by the truth, greedily at each turn, also where it avoids exits."""
    device = truth.reward.device
    table = torch.full((len(truth.users), n_items), -torch.inf, dtype=truth.reward.dtype, device=device)
    table[:, torch.as_tensor(truth.items, device=device)] = truth.reward
    row = torch.zeros(n_users, dtype=torch.int64, device=device)
    row[torch.as_tensor(truth.users, device=device)] = torch.arange(len(truth.users), device=device)
    return UserGreedy(table, row)


Scores = Callable[[Source], Tensor | None]
# A simple row is one line here: name -> its scores, [Is] for everybody or [Us, Is]; None where the row does not apply.
# Mean rewards are left out where the log records positives alone, as all of them would tie.
ONCE: dict[str, Scores] = {
    "popularity list": lambda one: popularity(one.catalogue),
    "item-mean list": lambda one: None if one.catalogue.implicit else item_means(one.catalogue),
    "popularity list, by users": lambda one: popularity_by_users(one.catalogue) if one.catalogue.implicit else None,
    "logged-neighbour greedy": lambda one: (
        logged_neighbour_table(one.fitted, one.scope) if one.catalogue.implicit else None
    ),
}
# These rows differ by training seed, as their split or their world model does.
BY_SEED: dict[str, Scores] = {
    "bias-model list": lambda one: None if one.catalogue.implicit else one.bias(),
    "world-model greedy": lambda one: None if one.world is None else one.world.reward,
    "neighbour-table greedy": lambda one: None if one.world is None else one.world.neighbour_reward(one.tables),
}


def trivial_rows(
    sources: Sequence[Source], truth: "Truth", *, exits: bool, repeats: int = 5, reference: str = "truth"
) -> list[Entry]:
    """The rows that belong beside every learned one: `log_rows`, and two references that read the truth.

    exits: whether an exit rule can fire; then every row has an exit-aware twin. repeats: number of sampled runs of the
    random row. reference: the name of the truth, or of what stands in its place.
    """
    n_items = sources[0].catalogue.n_items
    plain = [
        Entry("random", [Random()] * repeats, "log", greedy=False),
        *log_rows(sources, truth.reward.device),
        Entry(f"best fixed list ({reference})", [best_fixed_list(truth, n_items)], "truth"),
        Entry(f"oracle ({reference})", [oracle(truth, sources[0].catalogue.n_users, n_items)], "truth"),
    ]
    return plain + (exit_aware(plain) if exits else [])


def exit_aware(entries: Sequence[Entry]) -> list[Entry]:
    """The twins of these rows that skip items which would make the user leave."""
    return [Entry(f"{e.name}, exit-aware", e.policies, e.kind, e.greedy, True) for e in entries]


def log_rows(sources: Sequence[Source], device: torch.device | str = "cpu") -> list[Entry]:
    """The rows that come from a log alone, and that always show the same items to a user. sources: one a seed."""
    entries = []
    for rows, used in ((ONCE, sources[:1]), (BY_SEED, sources)):
        for name, scores in rows.items():
            found = [value.to(device) for one in used if (value := scores(one)) is not None]
            if found:
                policies = [FixedList(value) if value.ndim == 1 else UserGreedy(value) for value in found]
                entries.append(Entry(name, policies, "log"))
    return entries
