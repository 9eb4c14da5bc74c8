"""What an update costs and what it is worth, beside training anew: CPU-seconds, and quality on later events.

    python -m benchmarks.update --users 300 --items 200 --seeds 3

The log is that of the built-in world with times in one period: most users are there from the start, one in ten comes
later. The first 90% of the events train the parent, the next 5% are new, and the last 5% are later: nothing learns from
them. The update goes on from the parent; the other run trains anew on parent and new events together. One line of JSON
for each seed. Ratios are to the run that was trained anew.

- nDCG@10: of the first list, on the later events (darlr.evaluation.next_items).
- return: the mean true reward of greedy sessions of 30 turns without repeats, over all users of the log.
- RMSE: of predicted rewards on the later events.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import darlr
from darlr.data.extend import extend
from darlr.data.log import InteractionLog
from darlr.data.scope import within_scope
from darlr.data.sets.synthetic import generate, rewards
from darlr.data.split import select
from darlr.evaluation.next_items import NDCG, rank, unseen_items
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import Truth
from darlr.experiments.gate import Longer
from darlr.options import SyntheticConfig
from darlr.simulation.exits import build_exit

SHARES = 0.9, 0.95  # of the events: the parent's, and those that are not later
LATECOMERS = 0.1  # share of the users who come after the start


def in_one_period(log: InteractionLog, seed: int) -> InteractionLog:
    """The log in order of new times: a user's events keep their order and are spread from its start to the end."""
    generator = np.random.default_rng(seed)
    begin = np.where(generator.random(log.n_users) < LATECOMERS, generator.random(log.n_users), 0.0)
    count = np.bincount(log.user, minlength=log.n_users)
    order = np.lexsort((log.timestamp, log.user))
    place = np.empty(len(log))
    place[order] = np.arange(len(log)) - (np.cumsum(count) - count)[log.user[order]]
    share = (place + generator.random(len(log))) / count[log.user]
    when = begin[log.user] + (1 - begin[log.user]) * share
    log = replace(log, timestamp=(when * 1e9).astype(np.int64))
    return select(log, np.argsort(log.timestamp, kind="stable"))


def taken(log: InteractionLog, start: int, stop: int) -> InteractionLog:
    """Events by their places, with the ids that they have, as a file of them would be read."""
    part = select(log, np.arange(start, stop))
    changed: dict[str, Any] = {}
    for side in ("user", "item"):
        known, codes = np.unique(getattr(part, side), return_inverse=True)
        ids = getattr(log, f"{side}_ids")
        features = tuple(replace(c, values=c.values[known]) for c in getattr(log, f"{side}_features"))
        changed |= {side: codes, f"{side}_ids": tuple(ids[k] for k in known), f"{side}_features": features}
    return replace(part, **changed)


def measured(
    model: darlr.Recommender, whole: InteractionLog, later: InteractionLog, truth: torch.Tensor
) -> dict[str, float]:
    """The three measures. whole: parent and new events. later: with the codes of `whole`. truth: by these codes."""
    run = model.run
    users, items = run.world.n_users, run.world.n_items
    policy = Longer(run.policy, items)
    events = select(later, (later.user < users) & (later.item < items))
    hits, count = rank([policy], unseen_items(events, whole)).sums[NDCG]
    session = run.config.train.session
    rule = build_exit(session, within_scope(run.logs.whole, run.logs.scope))
    known = Truth(np.arange(users), np.arange(items), truth[:users, :items])
    played = play(run.policy, known, items, rule, mode="NX_0", turns=session.turns)
    pairs = run.world.reward.pairs(torch.from_numpy(events.user), torch.from_numpy(events.item))
    missed = run.logs.unit.show(pairs.double()).numpy() - events.reward
    return {
        "nDCG@10": float(hits.sum() / count.sum()),
        "return": float(played.returns.mean()),
        "RMSE": float(np.sqrt(np.square(missed).mean())),
        "later events": len(events),
    }


def run(config: SyntheticConfig, method: str, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """One seed of the world and of all learners."""
    made = generate(replace(config, seed=seed))
    log = in_one_period(made.log, seed)
    first, second = (int(share * len(log)) for share in SHARES)
    old, new, later = taken(log, 0, first), taken(log, first, second), taken(log, second, len(log))
    both = replace(extend(old, new), parts=())
    found: dict[str, Any] = {"seed": seed, "events": {"parent": len(old), "new": len(new)}}
    models, seconds = {}, {}

    def timed(name: str, make: Any) -> None:
        start = time.process_time()
        models[name] = make()
        seconds[name] = time.process_time() - start
        print(f"{name}: {seconds[name]:.1f} CPU-seconds", file=sys.stderr, flush=True)

    timed("parent", lambda: darlr.Recommender(method, seed=seed, **options).fit(old, progress=False))
    timed("update", lambda: darlr.update(models["parent"], new, progress=False))
    timed("anew", lambda: darlr.Recommender(method, seed=seed, **options).fit(both, progress=False))
    last = select(extend(both, later), np.arange(len(both), len(both) + len(later)))
    ids = [np.array(getattr(last, f"{side}_ids")) for side in ("user", "item")]
    truth = torch.from_numpy(rewards(made.user_factors[ids[0]], made.item_factors[ids[1]]))
    whole = select(extend(both, later), np.arange(len(both)))
    for name, model in models.items():
        found[name] = {"cpu seconds": round(seconds[name], 2)} | measured(model, whole, last, truth)
    names = ("cpu seconds", "nDCG@10", "return", "RMSE")
    found["ratio"] = {name: round(found["update"][name] / found["anew"][name], 4) for name in names}
    assert models["update"].gate is not None
    return found | {"gate": str(models["update"].gate)}


def main() -> None:
    """Print one line for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--events-per-user", type=int, default=30)
    parser.add_argument("--method", default="darlr+")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    given = parser.parse_args()
    world = SyntheticConfig(users=given.users, items=given.items, events_per_user=given.events_per_user)
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        options = {"epochs": given.epochs, "steps": given.steps}
        print(json.dumps(run(world, given.method, seed, options), allow_nan=False), flush=True)


if __name__ == "__main__":
    main()
