"""Leave-last-out on a log of positives: the default world model beside ALS, item-kNN, EASE and popularity.

    OMP_NUM_THREADS=1 python -m benchmarks.next_item --data FOLDER [--deepfm] [--methods darlr+ mbpo]

The last event of each user with two or more items is the test (a random one in a log without times); it is in no fit
and no choice. Each row ranks all items that the user has not logged. FOLDER: as `darlr data prepare table` writes it.
With --methods, policies are trained on the default world model, and played as their training starts and ends.
"""

import argparse
import time

import numpy as np
import torch

from darlr.agents.sink import Memory
from darlr.data.log import InteractionLog
from darlr.data.scope import scope_of
from darlr.data.sources import open_source
from darlr.data.split import select
from darlr.data.unit import as_learned, unit_of
from darlr.evaluation.lists import popularity_by_users
from darlr.evaluation.next_items import LISTED, Measured, measure, rank, unseen_items
from darlr.experiments.finished import FinishedRun
from darlr.experiments.plan import IN_MEMORY
from darlr.experiments.progress import speaking
from darlr.experiments.training import prepare, train_agents
from darlr.methods import usual
from darlr.options import WorldModelConfig
from darlr.options.names import override
from darlr.policies.fixed import FixedList, UserGreedy
from darlr.policies.registry import BASELINES, fit_baseline
from darlr.simulation.policy import Policy
from darlr.simulation.session import reset
from darlr.world.context import Context
from darlr.world.fit import fit_world
from darlr.world.fitted import FittedWorldModel
from darlr.world.implicit import distinct


def last(log: InteractionLog, seed: int) -> np.ndarray:
    """The last event of each user with two or more, bool [L]; ties and logs without times are drawn."""
    when = np.zeros(len(log)) if log.timestamp is None else log.timestamp
    order = np.lexsort((np.random.default_rng(seed).random(len(log)), when, log.user))
    user = log.user[order]
    ends = np.append(user[1:] != user[:-1], True) & (np.bincount(user, minlength=log.n_users)[user] > 1)
    marked = np.zeros(len(log), dtype=bool)
    marked[order[ends]] = True
    return marked


def same_first(policy: Policy, log: InteractionLog, users: np.ndarray) -> float:
    """The largest share of users who get the same first item that they have not logged."""
    counts = np.zeros(log.n_items)
    for some in np.array_split(users, max(1, len(users) // 1000)):
        scores = policy.scores(reset(torch.from_numpy(some), log.n_items, 1)).clone()
        inside = np.isin(log.user, some)
        scores[np.searchsorted(some, log.user[inside]), log.item[inside]] = -torch.inf
        counts += np.bincount(scores.argmax(1).numpy(), minlength=log.n_items)
    return float(counts.max() / len(users))


def main() -> None:
    """Fit all rows, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seed", type=int, default=0, help="of the test events, and of the world model")
    parser.add_argument("--deepfm", action="store_true", help="fit the DeepFM too, the default of earlier versions")
    parser.add_argument("--methods", nargs="*", default=[], help="methods to train, in sessions of the world model")
    parser.add_argument("--epochs", type=int, default=2, help="of training")
    parser.add_argument("--steps", type=int, default=10_000, help="of an epoch")
    asked = parser.parse_args()
    whole = distinct(open_source(asked.data))
    tested = last(whole, asked.seed)
    log = as_learned(select(whole, ~tested), unit_of(whole))
    found = unseen_items(select(whole, tested), select(whole, ~tested))
    none = select(log, np.zeros(len(log), dtype=bool))
    context = Context(log, none, scope_of(log), log, None)
    kinds = ["auto"] + ["deepfm"] * asked.deepfm
    rows = {"popularity": lambda: FixedList(popularity_by_users(log))}
    rows |= {BASELINES[n].title: lambda n=n: fit_baseline(n, context, asked.seed) for n in ("als", "item-knn", "ease")}
    fits: dict[str, FittedWorldModel] = {}

    def greedy(kind: str) -> Policy:
        fits[kind] = fit_world(log, none, WorldModelConfig(kind=kind, seed=asked.seed))
        print(fits[kind].config.kind, fits[kind].metrics.get("chosen"))
        return UserGreedy(fits[kind].reward)

    rows |= {"default world model" if kind == "auto" else kind: lambda kind=kind: greedy(kind) for kind in kinds}
    ranked, more = {}, {}
    for name, fit in rows.items():
        start = time.process_time()
        policy = fit()
        more[name] = time.process_time() - start, same_first(policy, log, found.users)
        ranked[name] = "log", rank([policy], found)
    for method in asked.methods:
        start = time.process_time()
        run = trained(method, select(whole, ~tested), fits["auto"], asked)
        for name, policy in {f"{method}, start": run.start, f"{method}, epoch {run.epochs}": run.policy}.items():
            ranked[name] = "learned", rank([policy], found)
            more[name] = time.process_time() - start, same_first(policy, log, found.users)
    print(f"{whole!r}; {len(found.users):,} test events, seed {asked.seed}")
    print("| row | " + " | ".join(LISTED) + " | behind the first | same first item | coverage | CPU s |")
    for row in measure(ranked):
        print(line(row, *more[row.name]))


def trained(method: str, log: InteractionLog, fitted: FittedWorldModel, asked: argparse.Namespace) -> FinishedRun:
    """The run of a method on this world model, after its last epoch, whatever it would hand over."""
    given = {"epochs": asked.epochs, "steps": asked.steps, "seed": asked.seed, "keep": "last"}
    config = override(usual(method), {**given, "data": IN_MEMORY, "split.evaluation": 0.0})
    with speaking(False):
        return train_agents(prepare(config, log), fitted, Memory())


def line(row: Measured, seconds: float, same: float) -> str:
    """The row of the table."""
    values = [f"{row.measures[n].value:.4f} [{row.measures[n].low:.4f}, {row.measures[n].high:.4f}]" for n in LISTED]
    behind = f"{row.behind.value:.4f} [{row.behind.low:.4f}, {row.behind.high:.4f}]"
    return f"| {row.name} | {' | '.join(values)} | {behind} | {same:.1%} | {row.coverage:.3f} | {seconds:.0f} |"


if __name__ == "__main__":
    main()
