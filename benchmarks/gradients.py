"""How embeddings of many users and items are best updated: error on held-out events and CPU time, epoch by epoch.

    python -m benchmarks.gradients --users 50000 --items 20000 --events 20

dense: fused Adam over all rows at each step. sparse: torch's SparseAdam over the rows of the minibatch. adagrad:
row-wise Adagrad over them. The deep part learns by Adam: with the step size of dense or sparse, or the default one.
"""

import argparse
import time
from dataclasses import replace

import torch

from darlr.data.sets.synthetic import generate
from darlr.data.split import split
from darlr.data.unit import as_learned, unit_of
from darlr.experiments.process import configure
from darlr.options import SplitConfig, SyntheticConfig, WorldModelConfig
from darlr.world.implicit import resolve
from darlr.world.kind import scale_of
from darlr.world.models.adagrad import RowAdagrad
from darlr.world.models.deepfm import DeepFM
from darlr.world.models.features import encode
from darlr.world.models.trainer import Trainer, score


def main() -> None:
    """Print one row for each way and epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=20, help="logged events of a user")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--ways", default="dense:0.005,sparse:0.005,adagrad:0.02,adagrad:0.1", help="way:step size")
    options = parser.parse_args()
    configure(1)
    world = SyntheticConfig(users=options.users, items=options.items, events_per_user=options.events)
    recorded = generate(world).log
    log = as_learned(recorded, unit_of(recorded))
    train, held_out = split(log, SplitConfig())
    usual = WorldModelConfig(batch=options.batch, members=options.members)
    print(
        "| gradients | step size | epoch | held-out log loss | held-out RMSE | CPU seconds |\n|---|---|---|---|---|---|"
    )
    for way in options.ways.split(","):
        name, step = way.split(":")
        gradients = "dense" if name == "dense" else "sparse"
        rate = usual.learning_rate if name == "adagrad" else float(step)  # of the deep part
        config = resolve(replace(usual, gradients=gradients, learning_rate=rate), train)
        scale, generator = scale_of(train, config), torch.Generator().manual_seed(0)
        sides = encode(train.n_users, train.user_features), encode(train.n_items, train.item_features)
        model = DeepFM(*sides, config, generator)
        trainer = Trainer(model, train, config, scale, generator)
        if name != "dense":
            tables = [part for side in (model.user, model.item) for part in (side.vector_table, side.linear_table)]
            kind = RowAdagrad if name == "adagrad" else torch.optim.SparseAdam
            trainer.optimisers[0] = kind(tables, lr=float(step))
        rows, spent = trainer.held_out_rows(held_out), 0.0
        for epoch in range(1, options.epochs + 1):
            began = time.process_time()
            trainer.epoch()
            spent += time.process_time() - began
            loss, rmse = score(model, rows, scale)
            cells = f"{loss:.4f} | {rmse * log.unit.scale:.4f} | {spent:.1f}"
            print(f"| {name} | {step} | {epoch} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
