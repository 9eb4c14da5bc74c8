"""Users in no log: how well a world model ranks for them once ten of their ratings are folded in.

    DARLR_DATA=<folder that holds coat/> OMP_NUM_THREADS=1 python -m benchmarks.fold_in --seeds 3     # 3 CPU-minutes

A fifth of the users are hidden: a world model learns from the log of the others. Ten ratings of each hidden user are
then folded in, and rank the items of the user's other ratings. Beside it stand a world model that was trained with
these ten ratings, and with the features of these users where there are any, and the mean user. The ratings that rank
are seen by none of them. Values are NDCG@10 with gain 2^r - 1, means over hidden users.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope, scope_of, within_scope
from darlr.data.sources import open_source
from darlr.data.split import select, split
from darlr.options import SplitConfig, WorldModelConfig
from darlr.world.fit import Fit, train_world
from darlr.world.fitted import FittedWorldModel
from darlr.world.fold_in import fold_in_of

HIDDEN, GIVEN, BEST = 0.2, 10, 10  # share of the users, ratings that are folded in, k of NDCG@k


class Division(NamedTuple):
    """train, held_out: of the users who are not hidden, without the others' ids. users: hidden users, log codes.

    given: their ten ratings; other: their other ratings. with_given, beside: the log and its held-out part for the
    world model that knows the ten ratings.
    """

    train: InteractionLog
    held_out: InteractionLog
    users: NDArray[np.int64]
    given: InteractionLog
    other: InteractionLog
    with_given: InteractionLog
    beside: InteractionLog


def divide(log: InteractionLog, seed: int) -> Division:
    """Hide users who have rated at least two items more than are folded in."""
    generator = np.random.default_rng(seed)
    hidden = generator.permutation(log.n_users)[: int(HIDDEN * log.n_users)]
    is_hidden = np.isin(log.user, hidden)
    order = np.lexsort((generator.random(len(log)), log.user))
    events = np.bincount(log.user, minlength=log.n_users)
    place = np.empty(len(log), dtype=np.int64)
    place[order] = np.arange(len(log)) - (np.cumsum(events) - events)[log.user[order]]
    seen = Scope(np.setdiff1d(np.arange(log.n_users), hidden), np.arange(log.n_items), log.n_users, log.n_items)
    given = select(log, is_hidden & (place < GIVEN))
    beside = split(select(log, ~is_hidden), SplitConfig(seed=seed))
    joined = {
        name: np.concatenate([getattr(part, name) for part in (beside[0], given)])
        for name in ("user", "item", "reward")
    }
    return Division(
        *split(within_scope(select(log, ~is_hidden), seen), SplitConfig(seed=seed)),
        np.sort(hidden[events[hidden] >= GIVEN + 2]),
        given,
        select(log, is_hidden & (place >= GIVEN)),
        replace(beside[0], **joined, timestamp=None, propensity=None),
        beside[1],
    )


def padded(log: InteractionLog, users: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Items and rewards of some users who have GIVEN events each, [B, GIVEN]."""
    rows = np.stack([np.flatnonzero(log.user == user) for user in users])
    return torch.from_numpy(log.item[rows]), torch.from_numpy(log.reward[rows])


def ndcg(rows: Tensor, other: InteractionLog, users: NDArray[np.int64]) -> float:
    """Mean NDCG@BEST over users; rows: their estimates of all items, [B, I]."""
    discount = 1 / np.log2(np.arange(2, BEST + 2))
    found = []
    for row, user in zip(rows.numpy(), users, strict=True):
        mine = other.user == user
        gain, order = 2.0 ** other.reward[mine] - 1, np.argsort(-row[other.item[mine]], kind="stable")
        best, ranked = np.sort(gain)[::-1][:BEST], gain[order][:BEST]
        found.append((ranked * discount[: len(ranked)]).sum() / (best * discount[: len(best)]).sum())
    return float(np.mean(found))


def parts(fit: Fit, log: InteractionLog) -> Iterator[tuple[str, FittedWorldModel]]:
    """A fit of kind mixed, and its two halves, which are what kinds deepfm and bayesian fit with the same seed."""
    for kind, model in (("deepfm", fit.model.deep), ("bayesian", fit.model.bayesian), ("mixed", fit.model)):
        yield kind, replace(fit, model=model, scope=scope_of(log)).finish()


def measure(source: str, seed: int, config: WorldModelConfig) -> Iterator[tuple[str, float, float, float]]:
    """Of each kind: its name, and NDCG of the mean user, folded in, and trained with the ten ratings."""
    found = divide(open_source(source), seed)
    alone = train_world(found.train, found.held_out, replace(config, seed=seed))
    knowing = train_world(found.with_given, found.beside, replace(config, seed=seed))
    history = padded(found.given, found.users)
    for (kind, model), (_, reference) in zip(parts(alone, found.train), parts(knowing, found.with_given), strict=True):
        fold = fold_in_of(model.reward.whole(), float(model.risk.whole().mean()), model.reward_range)
        tables = fold.mean.expand(len(found.users), -1), fold.fold_in(*history), reference.reward.rows(found.users)
        yield kind, *(ndcg(table, found.other, found.users) for table in tables)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["coat", "synthetic"])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| data | world model | mean user | folded in | trained with them | folded in, share | of each seed |")
    print("|---|---|---|---|---|---|---|")
    for source in options.data:
        rows: dict[str, list[tuple[float, ...]]] = {}
        for seed in range(options.seeds):
            for kind, *values in measure(source, seed, WorldModelConfig(kind="mixed")):
                rows.setdefault(kind, []).append(tuple(values))
        for kind, found in rows.items():
            values = np.array(found)
            mean = values.mean(0)
            shares = ", ".join(f"{share:.1%}" for share in values[:, 1] / values[:, 2])
            cells = " | ".join(f"{value:.3f}" for value in mean)
            print(f"| {source} | {kind} | {cells} | **{mean[1] / mean[2]:.1%}** | {shares} |", flush=True)


if __name__ == "__main__":
    main()
