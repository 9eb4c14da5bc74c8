"""The trivial rows: policies that need no learning, every table of results has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.policies.fixed import FixedList, Random, UserGreedy
from darlr.simulation.policy import Policy

if TYPE_CHECKING:
    from darlr.evaluation.truth import Truth

Kind = Literal["learned", "log", "truth"]


@dataclass(frozen=True)
class Entry:
    """What one row of a table plays.

    policies: one a training seed. kind: "learned" (an agent), "log" (a trivial row from logs alone), or "truth" (a
    reference that reads the truth, never a method). exit_aware: skips items that would make the user leave.
    """

    name: str
    policies: Sequence[Policy]
    kind: Kind
    greedy: bool = True
    exit_aware: bool = False


def popularity(log: InteractionLog) -> Tensor:
    """Logged events of each item, float32 [I]."""
    return torch.from_numpy(np.bincount(log.item, minlength=log.n_items).astype(np.float32))


def popularity_by_users(log: InteractionLog) -> Tensor:
    """Distinct users who logged each item, float32 [I]."""
    cells = np.unique(log.user * log.n_items + log.item)
    return torch.from_numpy(np.bincount(cells % log.n_items, minlength=log.n_items).astype(np.float32))


def item_means(log: InteractionLog, shrinkage: float = 0.0) -> Tensor:
    """Mean logged reward of each item, float32 [I], pulled to the global mean as by `shrinkage` extra rows of it.

    0, the default, is the plain mean (78.40 on Coat); an item without rows has the global mean.
    """
    count = np.bincount(log.item, minlength=log.n_items).astype(np.float64)
    total = np.bincount(log.item, weights=log.reward.astype(np.float64), minlength=log.n_items)
    overall = float(log.reward.mean(dtype=np.float64)) if len(log) else 0.0
    known = count + shrinkage > 0
    mean = np.full(log.n_items, overall)
    mean[known] = (total + shrinkage * overall)[known] / (count + shrinkage)[known]
    return torch.from_numpy(mean.astype(np.float32))


def best_fixed_list(truth: "Truth", n_items: int) -> FixedList:
    """The list with the largest mean true reward over the truth's users; items outside the truth come last."""
    value = torch.full((n_items,), -torch.inf, dtype=truth.reward.dtype, device=truth.reward.device)
    value[torch.as_tensor(truth.items, device=value.device)] = truth.reward.double().mean(0).to(value)
    return FixedList(value)


def oracle(truth: "Truth", n_users: int, n_items: int) -> UserGreedy:
    """Each user's best items on the truth, greedy turn by turn. With exit-awareness it avoids exits, still greedily."""
    device = truth.reward.device
    table = torch.full((len(truth.users), n_items), -torch.inf, dtype=truth.reward.dtype, device=device)
    table[:, torch.as_tensor(truth.items, device=device)] = truth.reward
    row = torch.zeros(n_users, dtype=torch.int64, device=device)
    row[torch.as_tensor(truth.users, device=device)] = torch.arange(len(truth.users), device=device)
    return UserGreedy(table, row)


def trivial_rows(
    log: InteractionLog,
    truth: "Truth",
    tables: Mapping[str, Sequence[Tensor]],
    *,
    exits: bool,
    repeats: int = 5,
    reference: str = "truth",
) -> list[Entry]:
    """The rows that belong beside every learned one: `log_rows`, and two references that read the truth.

    exits: whether an exit rule can fire; then every row has an exit-aware twin. repeats: sampled runs of the random
    row. reference: what the truth is called, where something stands in its place.
    """
    plain = [
        Entry("random", [Random()] * repeats, "log", greedy=False),
        *log_rows(log, tables, truth.reward.device),
        Entry(f"best fixed list ({reference})", [best_fixed_list(truth, log.n_items)], "truth"),
        Entry(f"oracle ({reference})", [oracle(truth, log.n_users, log.n_items)], "truth"),
    ]
    return plain + (exit_aware(plain) if exits else [])


def exit_aware(entries: Sequence[Entry]) -> list[Entry]:
    """The twins that skip items which would make the user leave, for worlds in which that can happen."""
    return [Entry(f"{e.name}, exit-aware", e.policies, e.kind, e.greedy, True) for e in entries]


def log_rows(
    log: InteractionLog, tables: Mapping[str, Sequence[Tensor]], device: torch.device | str = "cpu"
) -> list[Entry]:
    """The rows that come from a log alone, and always show the same items to a user.

    log: the scope's catalogue (darlr.data.scope) of the training log. Where it holds positives only, lists of mean
    rewards would be all ties, and popularity also comes by distinct users. tables: name -> one float32 [U, I] a seed,
    e.g. {"bias-model list": ..., "world-model greedy": ..., "neighbour-table greedy": ...}, each played greedily per
    user.
    """
    lists = {"item-mean list": item_means(log)}
    if log.implicit:
        lists = {"popularity list, by users": popularity_by_users(log)}
    return [
        Entry("popularity list", [FixedList(popularity(log).to(device))], "log"),
        *(Entry(name, [FixedList(value.to(device))], "log") for name, value in lists.items()),
        *(Entry(name, [UserGreedy(t.to(device)) for t in seeds], "log") for name, seeds in tables.items()),
    ]
