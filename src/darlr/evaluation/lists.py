"""The simple rows of every table of results: policies that need no training of agents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope
from darlr.evaluation.truth import Truth
from darlr.io.tensors import moved
from darlr.options import TablesConfig
from darlr.policies.fixed import FixedList, Random, UserGreedy
from darlr.simulation.policy import Policy
from darlr.world.estimates import MOST, Dense, Estimate, estimate_of
from darlr.world.logged_neighbours import logged_neighbour_table
from darlr.world.models.bias import bias_estimate
from darlr.world.tables import World

CELLS = 2**22  # rewards that are averaged at once
Kind = Literal["learned", "log", "truth"]


@dataclass(frozen=True)
class Entry:
    """The policies of one row of a table, one for each training seed.

    kind: "learned" (an agent), "log" (a simple row from logs alone), or "truth" (a reference that reads the truth).
    exit_aware: whether items that would end the session are skipped.
    """

    name: str
    policies: Sequence[Policy]
    kind: Kind
    greedy: bool = True
    exit_aware: bool = False


@dataclass(frozen=True)
class Source:
    """The data that the simple rows of one training seed read.

    catalogue: of the scope (darlr.data.scope). train, held_out: the parts of the log. fitted: the events that models
    are fitted to. world: the world model of the seed, if any. tables: its options.
    """

    catalogue: InteractionLog
    train: InteractionLog
    held_out: InteractionLog
    fitted: InteractionLog
    scope: Scope
    world: World | None = None
    tables: TablesConfig = field(default_factory=TablesConfig)


def popularity(log: InteractionLog) -> Tensor:
    """Count the logged events of each item, float32 [I]."""
    return torch.from_numpy(np.bincount(log.item, minlength=log.n_items).astype(np.float32))


def popularity_by_users(log: InteractionLog) -> Tensor:
    """Count the distinct users of each item, float32 [I]."""
    cells = np.unique(log.user * log.n_items + log.item)
    return torch.from_numpy(np.bincount(cells % log.n_items, minlength=log.n_items).astype(np.float32))


def item_means(log: InteractionLog) -> Tensor:
    """Compute the mean logged reward of each item, float32 [I]; without events it is the mean of the log."""
    count = np.bincount(log.item, minlength=log.n_items).astype(np.float64)
    total = np.bincount(log.item, weights=log.reward.astype(np.float64), minlength=log.n_items)
    mean = np.full(log.n_items, float(log.reward.mean(dtype=np.float64)) if len(log) else 0.0)
    mean[count > 0] = total[count > 0] / count[count > 0]
    return torch.from_numpy(mean.astype(np.float32))


def best_fixed_list(truth: Truth, n_items: int) -> FixedList:
    """Return the list by falling mean true reward over the users of the truth; items outside the truth come last."""
    mean = _column_means(rewards := estimate_of(truth.reward))
    dtype = rewards.rows(torch.zeros(0, dtype=torch.int64, device=rewards.device)).dtype
    value = torch.full((n_items,), -torch.inf, dtype=dtype, device=rewards.device)
    value[torch.as_tensor(truth.items, device=value.device)] = mean.to(value)
    return FixedList(value)


def _column_means(rewards: Estimate) -> Tensor:
    """Compute the mean reward of each item, float64 [Ie]."""
    if isinstance(rewards, Dense):
        return rewards.table.double().mean(0)
    total, (users, items) = torch.zeros(rewards.shape[1], dtype=torch.float64, device=rewards.device), rewards.shape
    for part in torch.split(torch.arange(users, device=rewards.device), max(1, CELLS // items)):
        total += rewards.rows(part).sum(0, dtype=torch.float64)
    return total / users


def oracle(truth: Truth, n_users: int, n_items: int) -> UserGreedy:
    """Return the policy that shows each user the best remaining item by the truth."""
    device, table = truth.reward.device, truth.reward
    if isinstance(table, Tensor):
        wide = table.new_full((len(truth.users), n_items), -torch.inf)
        wide[:, torch.as_tensor(truth.items, device=device)] = table
        table = wide
    row = torch.zeros(max(n_users, int(truth.users.max()) + 1), dtype=torch.int64, device=device)
    row[torch.as_tensor(truth.users, device=device)] = torch.arange(len(truth.users), device=device)
    return UserGreedy(table, row)


def left_out(source: Source) -> str | None:
    """Say which row a large world lacks, and why; None where it has all."""
    users, items = len(source.scope.users), len(source.scope.items)
    if not source.catalogue.implicit or users * items <= MOST:
        return None
    return f"logged-neighbour greedy, which compares {users:,} users with each other by their {items:,} items"


Scores = Callable[[Source], Tensor | Estimate | None]
# Each simple row: name -> its scores, [Is] for all users or [Us, Is]; None where the row does not apply. A log of
# positives alone has no rows by mean reward, as all items would tie.
ONCE: dict[str, Scores] = {
    "popularity list": lambda one: popularity(one.catalogue),
    "item-mean list": lambda one: None if one.catalogue.implicit else item_means(one.catalogue),
    "popularity list, by users": lambda one: popularity_by_users(one.catalogue) if one.catalogue.implicit else None,
    "logged-neighbour greedy": lambda one: (
        Dense(logged_neighbour_table(one.fitted, one.scope)) if one.catalogue.implicit and not left_out(one) else None
    ),
}
# Rows that differ by training seed, as their split or their world model does.
BY_SEED: dict[str, Scores] = {
    "bias-model list": lambda one: (
        None if one.catalogue.implicit else bias_estimate(one.train, one.held_out, one.fitted, one.scope)
    ),
    "world-model greedy": lambda one: None if one.world is None else one.world.reward,
    "neighbour-table greedy": lambda one: None if one.world is None else one.world.neighbour_reward(one.tables),
}


def trivial_rows(
    sources: Sequence[Source], truth: Truth, *, exits: bool, repeats: int = 5, reference: str = "truth"
) -> list[Entry]:
    """List the rows that every table has: `random`, `log_rows`, and two references that read the truth.

    exits: whether rows have exit-aware twins. repeats: the runs of the random row. reference: what the truth is called.
    """
    n_items = sources[0].catalogue.n_items
    plain = [
        Entry("random", [Random(seed) for seed in range(repeats)], "log", greedy=False),
        *log_rows(sources, truth.reward.device),
        Entry(f"best fixed list ({reference})", [best_fixed_list(truth, n_items)], "truth"),
        Entry(f"oracle ({reference})", [oracle(truth, sources[0].catalogue.n_users, n_items)], "truth"),
    ]
    return plain + (exit_aware(plain) if exits else [])


def exit_aware(entries: Sequence[Entry]) -> list[Entry]:
    """Return the twins of these rows that skip items which would end the session."""
    return [Entry(f"{e.name}, exit-aware", e.policies, e.kind, e.greedy, True) for e in entries]


def log_rows(sources: Sequence[Source], device: torch.device | str = "cpu") -> list[Entry]:
    """List the rows that come from a log alone and are deterministic. sources: one for each seed."""
    entries = []
    for rows, used in ((ONCE, sources[:1]), (BY_SEED, sources)):
        for name, scores in rows.items():
            found = [moved(value, device) for one in used if (value := scores(one)) is not None]
            if found:
                policies = [FixedList(value) if isinstance(value, Tensor) else UserGreedy(value) for value in found]
                entries.append(Entry(name, policies, "log"))
    return entries
