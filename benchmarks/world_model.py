"""World models on Coat: trained on train.ascii, chosen on its held-out part, scored on what test.ascii has besides.

    DARLR_DATA=<folder that holds coat/> OMP_NUM_THREADS=1 python benchmarks/world_model.py --seeds 5

Needs the extra `compare` (scikit-surprise, implicit). Prints two Markdown tables: models, and the default model
with one ingredient changed at a time. A seed draws the split, the initial weights and the minibatches.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import implicit
import numpy as np
import surprise
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from darlr.data.log import InteractionLog
from darlr.data.sources import open_source, raw_folder
from darlr.data.split import split
from darlr.experiments.process import configure
from darlr.options import SplitConfig, WorldModelConfig
from darlr.world import fit
from darlr.world import kinds as kind
from darlr.world.models import deepfm
from darlr.world.models.bias import STRENGTHS, choose_bias, fit_bias
from darlr.world.models.features import encode

Table = NDArray[np.floating[Any]]  # [U, I]
Model = Callable[[InteractionLog, InteractionLog, int], Table]
COLUMNS = ("held-out RMSE", "held-out pairs", "test RMSE", "less mean error", "NDCG@5", "NDCG@10", "pairs", "overlap")
DEFAULT = WorldModelConfig()
# The predecessors' settings in our terms: their L2 of 0.1 on a loss summed over 1,024 rows is a prior of about 1.4.
PREDECESSORS = WorldModelConfig(
    loss="pointneg",
    hidden=(128, 128),
    epochs=5,
    batch=1024,
    learning_rate=1e-3,
    bias_decay=1.4,
    embedding_decay=1.4,
    initial_scale=1e-4,
    dropout=0.0,
)


def squared_error(table: Table, log: InteractionLog) -> float:
    """Mean squared error on the cells of a log."""
    return float(np.square(table[log.user, log.item] - log.reward).mean())


def concordance(table: Table, log: InteractionLog) -> float:
    """Share of a user's pairs of differently rated items that the table orders as the user does; ties count 1/2."""
    score = table[log.user, log.item]
    first, second = np.nonzero((log.user[:, None] == log.user) & (log.reward[:, None] > log.reward))
    return float(np.mean((score[first] > score[second]) + 0.5 * (score[first] == score[second])))


def ndcg(table: Table, log: InteractionLog, k: int) -> float:
    """Mean over users of NDCG@k of their rated items, gain 2^r - 1, ties broken by a fixed random order."""
    tie = np.random.default_rng(0).random(len(log))
    discount = 1 / np.log2(np.arange(2, k + 2))
    place = np.arange(len(log))

    def gains(order: NDArray[np.int64]) -> Table:
        user = log.user[order]
        start = np.searchsorted(user, user)
        rank = place - start
        gain = np.where(rank < k, (2.0 ** log.reward[order] - 1) * discount[np.minimum(rank, k - 1)], 0.0)
        return np.bincount(user, gain, minlength=log.n_users)

    best = gains(np.lexsort((-log.reward, log.user)))
    found = gains(np.lexsort((tie, -table[log.user, log.item], log.user)))
    rated = best > 0
    return float((found[rated] / best[rated]).mean())


def overlap(table: Table, k: int = 30) -> float:
    """Mean Jaccard overlap of two users' top-k lists, over all pairs of users."""
    tie = np.random.default_rng(0).random(table.shape)
    top = np.lexsort((tie, -table), axis=1)[:, :k]
    lists = np.zeros(table.shape)
    np.put_along_axis(lists, top, 1.0, axis=1)
    common = lists @ lists.T
    users = len(table)
    return float(((common / (2 * k - common)).sum() - users) / (users * (users - 1)))


def global_mean(train: InteractionLog, held_out: InteractionLog, seed: int) -> Table:
    """The mean of the log everywhere."""
    return np.full((train.n_users, train.n_items), train.reward.mean(dtype=np.float64))


def item_mean(train: InteractionLog, held_out: InteractionLog, seed: int) -> Table:
    """Shrunk item means."""
    models = [fit_bias(train, 1e12, strength).table() for strength in STRENGTHS]
    return min(models, key=lambda table: squared_error(table, held_out))


def biases(train: InteractionLog, held_out: InteractionLog, seed: int) -> Table:
    """Shrunk user and item biases."""
    return choose_bias(train, held_out).table()


def ridge(train: InteractionLog, held_out: InteractionLog, seed: int) -> Table:
    """Ridge regression on ids, features and every id x feature product of the other side."""
    sides = []
    for n, columns in ((train.n_users, train.user_features), (train.n_items, train.item_features)):
        side = encode(n, columns)
        hot = np.zeros((n, side.n_codes))
        np.put_along_axis(hot, side.codes.numpy(), side.weights.numpy(), axis=1)
        sides.append(hot)
    (user, item), (n, m) = sides, (train.n_users, train.n_items)
    user_features, item_features = user[:, n:], item[:, m:]
    mean = train.reward.mean(dtype=np.float64)

    def kernel(u: NDArray[np.int64], i: NDArray[np.int64], strength: tuple[float, float]) -> Table:
        """Of the rows (u, i) with the training rows: the dual of the ridge, so that products need no columns."""
        same_user, same_item = u[:, None] == train.user, i[:, None] == train.item
        like_user = user_features[u] @ user_features[train.user].T
        like_item = item_features[i] @ item_features[train.item].T
        plain = same_user + same_item + like_user + like_item
        return plain / strength[0] + (same_user * like_item + same_item * like_user) / strength[1]

    best, best_error = None, np.inf
    for strength in ((5.0, 1e12), (5.0, 10.0), (10.0, 20.0)):
        gram = kernel(train.user, train.item, strength) + np.eye(len(train))
        weight = np.linalg.solve(gram, train.reward - mean)
        predicted = mean + kernel(held_out.user, held_out.item, strength) @ weight
        error = float(np.square(predicted - held_out.reward).mean())
        if error < best_error:
            best, best_error = (strength, weight), error
    assert best is not None
    users, items = np.divmod(np.arange(n * m), m)
    parts = [
        mean + kernel(users[cells], items[cells], best[0]) @ best[1]
        for cells in np.array_split(np.arange(n * m), 1 + n * m // 4000)
    ]
    return np.concatenate(parts).reshape(n, m)


def svd(train: InteractionLog, held_out: InteractionLog, seed: int) -> Table:
    """Biased matrix factorisation of scikit-surprise; factors, regularisation and epochs from held-out log."""
    reader = surprise.Reader(rating_scale=train.reward_range)
    rows = list(zip(train.user.tolist(), train.item.tolist(), train.reward.tolist(), [None] * len(train), strict=True))
    data = surprise.Dataset(reader)
    full = data.construct_trainset(rows)
    tables = []
    for factors in (5, 20, 50):
        for regularisation in (0.02, 0.1, 0.3):
            for epochs in (10, 20, 40):
                model = surprise.SVD(factors, n_epochs=epochs, reg_all=regularisation, lr_all=0.01, random_state=seed)
                model.fit(full)
                table = full.global_mean + np.zeros((train.n_users, train.n_items))
                users = [full.to_raw_uid(u) for u in full.all_users()]
                items = [full.to_raw_iid(i) for i in full.all_items()]
                table[users] += model.bu[:, None]
                table[:, items] += model.bi
                table[np.ix_(users, items)] += model.pu @ model.qi.T
                tables.append(np.clip(table, *train.reward_range))
    return min(tables, key=lambda table: squared_error(table, held_out))


def als(train: InteractionLog, held_out: InteractionLog, seed: int) -> Table:
    """Implicit ALS on ratings as confidence: ranks only. Factors and regularisation from held-out concordance."""
    matrix = csr_matrix((train.reward - 2.0 + 1e-3, (train.user, train.item)), (train.n_users, train.n_items))
    tables = []
    for factors in (4, 8, 16):
        for regularisation in (0.1, 1.0, 10.0):
            model = implicit.als.AlternatingLeastSquares(
                factors, regularization=regularisation, iterations=15, random_state=seed, num_threads=1
            )
            model.fit(matrix, show_progress=False)
            tables.append(model.user_factors @ model.item_factors.T)
    return max(tables, key=lambda table: concordance(table, held_out))


def world(config: WorldModelConfig, *, stop: bool = True, **patch: Any) -> Model:
    """Our DeepFM with these options; stop=False runs all epochs, `patch` replaces names of the model's modules."""

    def fitted(train: InteractionLog, held_out: InteractionLog, seed: int) -> Table:
        none = np.zeros(0, dtype=np.int64)
        early = held_out if stop else replace(held_out, user=none, item=none, reward=none.astype(np.float32))
        with patched(patch):
            return fit.fit_world(train, early, replace(config, seed=seed)).reward.whole().numpy()

    return fitted


@contextmanager
def patched(names: dict[str, Any]) -> Iterator[None]:
    """Replace names in darlr.world.models.deepfm and darlr.world.kinds for a while."""
    for name in names:
        if not any(hasattr(module, name) for module in (deepfm, kind)):
            raise KeyError(f"nothing is called {name}; this ablation would change nothing")
    places = [(module, name) for name in names for module in (deepfm, kind) if hasattr(module, name)]
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, names[name])
    try:
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)


def without_features(model: Model) -> Model:
    """The same model on ids alone."""

    def fitted(train: InteractionLog, held_out: InteractionLog, seed: int) -> Table:
        return model(replace(train, user_features=(), item_features=()), held_out, seed)

    return fitted


class LinearIds(deepfm.SideTable):
    """First order on ids alone."""

    def forward(self, rows: torch.Tensor) -> deepfm.Contribution:
        """As the parent, with a shorter first order."""
        member = torch.arange(rows.shape[0])[:, None]
        return replace(super().forward(rows), linear=self.linear[member, rows])


class NoFM(deepfm.SideTable):
    """No second-order part."""

    def forward(self, rows: torch.Tensor) -> deepfm.Contribution:
        """As the parent, with zeros for the second order."""
        part = super().forward(rows)
        return replace(part, vector=torch.zeros_like(part.vector), pairs=torch.zeros_like(part.pairs))


class NoDeep(deepfm.DeepFM):
    """No deep part."""

    def _deep(self, hidden: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        return hidden.new_zeros(*hidden.shape[:-1], 2) + self.biases[-1]


class ZeroLast(deepfm.DeepFM):
    """The last layer starts at 0: a new model's deep part is silent."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        torch.nn.init.zeros_(self.weights[-1])


def warm_started(train: InteractionLog, held_out: InteractionLog, seed: int) -> Table:
    """First-order weights of ids start from the shrunk biases instead of 0."""
    bias, spread = choose_bias(train, held_out), float(train.reward.std())

    original = deepfm.DeepFM

    def build(*arguments: Any) -> deepfm.DeepFM:
        model = original(*arguments)
        with torch.no_grad():
            for side, values in ((model.user, bias.user), (model.item, bias.item)):
                side.linear[:, : side.n_ids, 0] = torch.from_numpy(values / spread).float()
        return model

    return world(DEFAULT, DeepFM=build)(train, held_out, seed)


MODELS: dict[str, Model] = {
    "global mean": global_mean,
    "item mean, shrunk": item_mean,
    "user + item bias, shrunk": biases,
    "matrix factorisation (surprise SVD)": svd,
    "implicit ALS (ranks only)": als,
    "ridge: ids, features, id x feature": ridge,
    "DeepFM, predecessors' settings": world(PREDECESSORS, stop=False),
    "the same, loss point": world(replace(PREDECESSORS, loss="point"), stop=False),
    "**DeepFM ensemble, default**": world(DEFAULT),
    "default, loss pointneg": world(replace(DEFAULT, loss="pointneg")),
    "Bayesian factorisation machine": world(replace(DEFAULT, kind="bayesian")),
    "**mixed** (the two averaged)": world(replace(DEFAULT, kind="mixed")),
}
ABLATIONS: dict[str, Model] = {
    "default": world(DEFAULT),
    "no features": without_features(world(DEFAULT)),
    "features not in the first order": world(DEFAULT, SideTable=LinearIds),
    "no FM part": world(DEFAULT, SideTable=NoFM),
    "no deep part": world(DEFAULT, DeepFM=NoDeep),
    "no prior on embeddings": world(replace(DEFAULT, embedding_decay=0.0)),
    "prior on embeddings 5 instead of 50": world(replace(DEFAULT, embedding_decay=5.0)),
    "no prior on first-order weights": world(replace(DEFAULT, bias_decay=0.0)),
    "embeddings start at 0.5 instead of 0.1": world(replace(DEFAULT, initial_scale=0.5)),
    "embeddings start at 0.0001": world(replace(DEFAULT, initial_scale=1e-4)),
    "last layer starts at 0": world(DEFAULT, DeepFM=ZeroLast),
    "biases warm-started": warm_started,
    "no weight decay on the deep part": world(replace(DEFAULT, weight_decay=0.0)),
    "no dropout": world(replace(DEFAULT, dropout=0.0)),
    "dropout 0.5": world(replace(DEFAULT, dropout=0.5)),
    "no log-variance head (fixed at the log's variance)": world(DEFAULT, LOG_VARIANCE_RANGE=(0.0, 0.0)),
    "one member": world(replace(DEFAULT, members=1)),
    "no early stopping (25 epochs)": world(replace(DEFAULT, epochs=25), stop=False),
    "step size 0.001": world(replace(DEFAULT, learning_rate=1e-3)),
    "batch 1024": world(replace(DEFAULT, batch=1024)),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--part", choices=["models", "ablations", "both"], default="both")
    options = parser.parse_args()
    configure(1)
    log = open_source("coat")
    ratings = np.loadtxt(raw_folder() / "coat" / "test.ascii")
    ratings[log.user, log.item] = 0  # a twelfth of the random ratings are in the log too
    user, item = np.nonzero(ratings)
    test = replace(log, user=user, item=item, reward=ratings[user, item].astype(np.float32))
    splits = [split(log, SplitConfig(seed=seed)) for seed in range(options.seeds)]
    for part, rows in (("models", MODELS), ("ablations", ABLATIONS)):
        if options.part in (part, "both"):
            report(rows, splits, test)


def report(rows: dict[str, Model], splits: list[tuple[InteractionLog, InteractionLog]], test: InteractionLog) -> None:
    """One Markdown table, each row as soon as it is known; mean over seeds, and standard deviation of the RMSEs."""
    print(f"| model | {' | '.join(COLUMNS)} | CPU s |\n" + "|---" * (len(COLUMNS) + 2) + "|")
    for name, model in rows.items():
        found = []
        for seed, (train, held_out) in enumerate(splits):
            start = time.process_time()
            table = model(train, held_out, seed)
            seconds = time.process_time() - start
            off = np.mean(table[test.user, test.item] - test.reward)
            found.append(
                [
                    squared_error(table, held_out) ** 0.5,
                    concordance(table, held_out),
                    squared_error(table, test) ** 0.5,
                    squared_error(table - off, test) ** 0.5,
                    ndcg(table, test, 5),
                    ndcg(table, test, 10),
                    concordance(table, test),
                    overlap(table),
                    seconds,
                ]
            )
        mean, deviation = np.mean(found, 0), np.std(found, 0)
        cells = [f"{m:.3f}" for m in mean[:8]] + [f"{mean[8]:.1f}"]
        for column in (0, 2):
            cells[column] += f" ± {deviation[column]:.3f}"
        if "ranks only" in name:
            cells[0] = cells[2] = cells[3] = "–"
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
