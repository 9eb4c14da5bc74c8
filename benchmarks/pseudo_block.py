"""Scores of an implicit log on a pseudo-block: users outside the block, their events on its videos held out.

    DARLR_DATA=<folder that holds kuairec_binary/> OMP_NUM_THREADS=1 python benchmarks/pseudo_block.py

A fifth of the users outside the block lose all their events on the block's videos; models see these cells as part of
the block. Prints NDCG@30, recall@30 and hits@30 of their positives among the block's videos. No truth is read.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from darlr.config import WorldModelConfig
from darlr.data.log import Block, InteractionLog
from darlr.data.service import Service
from darlr.data.sources import open_source
from darlr.data.split import select
from darlr.world.factors import factorise
from darlr.world.fit import fit_world
from darlr.world.fitted import finish
from darlr.world.implicit import distinct
from darlr.world.logged_neighbours import logged_neighbour_table

Table = NDArray[np.float32]
K = 30


def quality(scores: Table, liked: NDArray[np.bool_]) -> tuple[float, float, float]:
    """NDCG@K, recall@K and hits@K, means over the users with a positive."""
    top = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    hit, count = np.take_along_axis(liked, top, 1), liked.sum(1)
    hit, count = hit[count > 0], count[count > 0]
    discount = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(discount)[np.minimum(count, K) - 1]
    hits = hit.sum(1)
    return float((hit @ discount / ideal).mean()), float((hits / count).mean()), float(hits.mean())


def fitted_table(log: InteractionLog, users: NDArray[np.int64], block: Block, config: WorldModelConfig) -> Table:
    """A world model of ours."""
    fitted = fit_world(log, select(log, np.zeros(len(log), dtype=bool)), config)
    service = Service(users, block.items, log.n_users, log.n_items)
    return finish(fitted.model, fitted.config, fitted.scale, {}, service).reward.numpy()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--deepfm", action="store_true", help="also the DeepFM ensemble (minutes)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    log = open_source("kuairec_binary")
    assert log.block is not None
    outside, items = np.setdiff1d(np.arange(log.n_users), log.block.users), log.block.items
    share = len(log.block.users) / log.n_users
    users = np.sort(np.random.default_rng(options.seed).choice(outside, round(share * len(outside)), replace=False))
    held = np.isin(log.user, users) & np.isin(log.item, items)
    block = Block(np.union1d(users, log.block.users), items)
    train, hidden = replace(select(log, ~held), block=block), select(log, held)
    liked = np.zeros((log.n_users, log.n_items), dtype=bool)
    liked[hidden.user, hidden.item] = True
    liked = liked[np.ix_(users, items)]
    cells = distinct(train)
    x = np.zeros((log.n_users, log.n_items), dtype=np.float32)
    x[cells.user, cells.item] = 1

    def factors(size: int, penalty: float, *, aware: bool) -> Table:
        user, item = factorise(train, block if aware else None, 0, size=size, penalty=penalty)
        return (user[users] @ item[items].T).astype(np.float32)

    service = Service(users, items, log.n_users, log.n_items)
    rows = {
        "popularity": lambda: np.broadcast_to(x[:, items].sum(0), liked.shape),
        "100 neighbours": lambda: logged_neighbour_table(train, service, 100).numpy(),
        "300 neighbours": lambda: logged_neighbour_table(train, service, 300).numpy(),
        "implicit ALS, block as zeros": lambda: factors(32, 10.0, aware=False),
        "implicit ALS, block unobserved, 16": lambda: factors(16, 10.0, aware=True),
        "implicit ALS, block unobserved, 32": lambda: factors(32, 30.0, aware=True),
    }
    rows["histories"] = lambda: fitted_table(train, users, block, WorldModelConfig())
    if options.deepfm:
        rows["DeepFM ensemble"] = lambda: fitted_table(train, users, block, WorldModelConfig(kind="deepfm"))
    print("| model | NDCG@30 | recall@30 | hits@30 | CPU s |\n|---|---|---|---|---|")
    for name, scores in rows.items():
        start = time.process_time()
        found = quality(scores(), liked)
        print(
            f"| {name} | " + " | ".join(f"{v:.3f}" for v in found) + f" | {time.process_time() - start:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
