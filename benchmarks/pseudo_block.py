"""Scores of an implicit log on a pseudo-block: users outside the block, their events on its videos held out.

    DARLR_DATA=<folder that holds kuairec_binary/> OMP_NUM_THREADS=1 python benchmarks/pseudo_block.py

The block's users leave. A fifth of the others lose all their events on its videos, and become the block. Prints NDCG@30
and hits@30 of these events, and what exit-aware greedy sessions earn that are paid by them. No truth is read. `--save
FOLDER` writes the pseudo-block as a data set, the hidden events as its truth, for `darlr compare --data FOLDER`.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from darlr.data.log import Block, IntArray, InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.scope import Scope, catalogue, scope_of
from darlr.data.sources import open_source
from darlr.data.split import select
from darlr.data.store import save
from darlr.evaluation.lists import popularity_by_users
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import Truth, write_truth
from darlr.experiments.process import configure
from darlr.options import SessionConfig, WorldModelConfig
from darlr.policies.bandits import LinUCB
from darlr.policies.fixed import UserGreedy
from darlr.simulation.exits import build_exit
from darlr.simulation.policy import Policy
from darlr.world.context import Context
from darlr.world.fit import fit_world
from darlr.world.logged_neighbours import logged_neighbour_table
from darlr.world.models.factors import factorise
from darlr.world.preferences import preference_features

K = 30
SHARE = 0.2  # of the users outside the block, as the block's share of all


def pseudo_block(log: InteractionLog, seed: int) -> tuple[InteractionLog, Truth]:
    """The log with a block of other users, and what these users logged there."""
    assert log.block is not None
    items, log = log.block.items, outside(log)
    users = np.sort(np.random.default_rng(seed).choice(log.n_users, round(SHARE * log.n_users), replace=False))
    return blocked(log, users, items)


def outside(log: InteractionLog) -> InteractionLog:
    """The log without its block's users, in new codes by rising old ones."""
    assert log.block is not None
    n_users = log.n_users
    others = np.setdiff1d(np.arange(n_users), log.block.users)
    code = np.full(n_users, -1)
    code[others] = np.arange(len(others))
    log = replace(select(log, code[log.user] >= 0), block=None)
    return replace(
        log,
        name="pseudo-block",
        user=code[log.user],
        user_ids=tuple(log.user_ids[u] for u in others),
        user_features=tuple(replace(column, values=column.values[others]) for column in log.user_features),
    )


def blocked(log: InteractionLog, users: IntArray, items: IntArray) -> tuple[InteractionLog, Truth]:
    """The log with a block of these users and items, and what they logged there; both rise."""
    hidden = np.isin(log.user, users) & np.isin(log.item, items)
    liked = torch.zeros(len(users), len(items))
    events = select(log, hidden)
    liked[np.searchsorted(users, events.user), np.searchsorted(items, events.item)] = 1.0
    truth = Truth(np.arange(len(users)), np.arange(len(items)), liked)
    return replace(select(log, ~hidden), block=Block(users, items)), truth


def quality(scores: Tensor, liked: Tensor) -> tuple[float, float]:
    """NDCG@K and hits@K, means over the users with a positive."""
    count = liked.sum(1)
    hit = liked.gather(1, scores.argsort(dim=1, descending=True, stable=True)[:, :K])
    discount = 1 / torch.arange(2, K + 2).log2()
    ideal = discount.cumsum(0)[count.clamp(1, K).long() - 1]
    known = count > 0
    return float((hit @ discount / ideal)[known].mean()), float(hit.sum(1)[known].mean())


def world_table(log: InteractionLog, config: WorldModelConfig) -> Tensor:
    """r_0 of a world model of ours."""
    return fit_world(log, select(log, np.zeros(len(log), dtype=bool)), config).reward.whole()


def factor_table(log: InteractionLog, scope: Scope, block: Block | None, size: int, penalty: float) -> Tensor:
    """Scores of implicit ALS. block: None = its cells are zeros."""
    user, item = factorise(log, block, 0, size=size, penalty=penalty)
    return torch.from_numpy(user[scope.users] @ item[scope.items].T).float()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--deepfm", action="store_true", help="also the DeepFM ensemble (minutes)")
    parser.add_argument("--save", type=Path, help="write the data set there instead")
    options = parser.parse_args()
    configure(1)
    log, truth = pseudo_block(open_source("kuairec_binary"), options.seed)
    if options.save:
        save(log, options.save, PrepareReport(log.name, len(log), len(log)))
        write_truth(truth, options.save)
        return
    scope = scope_of(log)
    known = catalogue(log, scope)
    rows: dict[str, Callable[[], Tensor]] = {
        "popularity": lambda: popularity_by_users(known).expand(truth.reward.shape),
        "100 neighbours": lambda: logged_neighbour_table(log, scope, 100),
        "300 neighbours": lambda: logged_neighbour_table(log, scope, 300),
        "implicit ALS, block as zeros, 32": lambda: factor_table(log, scope, None, 32, 10.0),
        "implicit ALS, block unobserved, 16": lambda: factor_table(log, scope, log.block, 16, 10.0),
        "implicit ALS, block unobserved, 32": lambda: factor_table(log, scope, log.block, 32, 30.0),
        "histories": lambda: world_table(log, WorldModelConfig()),
    }
    if options.deepfm:
        rows["DeepFM ensemble"] = lambda: world_table(log, WorldModelConfig(kind="deepfm"))

    def earned(policy: Policy, window: int) -> float:
        rule = build_exit(SessionConfig(window=window, threshold=0), known)
        played = play(policy, truth, len(scope.items), rule, mode="NX_0", exit_aware=True)
        return float(played.returns.mean())

    print("| model | NDCG@30 | hits@30 | session, N = 1 | N = 4 | CPU s |\n|---|---|---|---|---|---|")

    def line(name: str, table: Tensor, policy: Policy, seconds: float) -> None:
        found = (*quality(table, truth.reward), earned(policy, 1), earned(policy, 4))
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in found) + f" | {seconds:.0f} |", flush=True)

    for name, scores in rows.items():
        start = time.process_time()
        table = scores()
        line(name, table, UserGreedy(table), time.process_time() - start)
        if name in ("100 neighbours", "histories"):
            start = time.process_time()
            empty = select(log, np.zeros(len(log), dtype=bool))
            features, noise = preference_features(Context(log, empty, scope, known, None))
            policy = LinUCB(table, noise * features, noise, alpha=0.0)
            line(f"{name}, with a belief", table, policy, time.process_time() - start)


if __name__ == "__main__":
    main()
