"""New users: the rows of `darlr evaluate --users new` in one process, for groups of users that are hidden in turn.

    DARLR_DATA=<folder that holds coat/> OMP_NUM_THREADS=1 python -m benchmarks.new_users --data coat

Each fold hides a fifth of the users from training, and has its own seed of the split, the world model and the agents.
The hidden users play NX_0 with an empty history, and every user is hidden once. DARLR+ is measured as it serves new
users, which no training changes, so that it has 0 epochs. --methods names further methods, which are trained for
--epochs of --steps. --leave VALUE: users leave after a reward below VALUE, in place of the rule of the data set.
--out FILE keeps the returns of each fold, so that an interrupted command continues. --picture FILE draws the rows.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from darlr.agents.sink import Memory
from darlr.evaluation.evaluate import can_leave, settings, sound
from darlr.evaluation.lists import trivial_rows
from darlr.evaluation.pictures import canvas
from darlr.evaluation.pictures.bars import Bar, plot_bars
from darlr.evaluation.statistics import (
    compare,
    interval,
    random_difference,
    random_interval,
    random_reward,
    resampled,
    shared_samples,
)
from darlr.evaluation.truth import load_truth
from darlr.experiments.evaluate import learned_rows
from darlr.experiments.logs import new_part
from darlr.experiments.new_users import bayes_rows, rows_for_new
from darlr.experiments.progress import speaking
from darlr.experiments.training import prepare, train_agents
from darlr.experiments.world import fit_model
from darlr.methods import usual
from darlr.options import RunConfig
from darlr.options.names import override
from darlr.world.fitted import FittedWorldModel

FOLDS = 5
Fold = dict[str, list[list[float]]]  # row -> the return of each user, and the tallies of its random feedback


def options(method: str, fold: int, asked: argparse.Namespace) -> RunConfig:
    """The options of one method on one fold."""
    found = {"data": asked.data, "split.hidden": 1 / FOLDS, "split.fold": fold, "split.seed": fold, "model.seed": fold}
    found |= {"seed": fold, "model.members": asked.members, "epochs": asked.epochs * (method != "darlr+")}
    found |= {"steps": asked.steps} | ({"model.kind": asked.model} if asked.model else {})
    if asked.leave is not None:
        found |= {"session.exit": "felt", "session.threshold": asked.leave}
    return override(usual(method), found)


def play(fold: int, asked: argparse.Namespace) -> Fold:
    """The returns of every row on the new users of one fold."""
    fitted: FittedWorldModel | None = None
    runs = []
    for method in asked.methods.split(","):
        prepared = prepare(options(method, fold, asked))
        fitted = fit_model(prepared.logs, prepared.config.world_model) if fitted is None else fitted
        runs.append(train_agents(prepared, fitted, Memory()))
    first = runs[0]
    logs, session = first.logs, first.config.train.session
    truth = load_truth(first.config.data, options=first.config.synthetic)
    assert truth is not None
    new, exits = new_part(truth, logs), can_leave(session, logs.catalogue)
    simple = trivial_rows([logs.source(first.world, first.config.train.tables)], new, exits=exits, repeats=1)
    entries = [*learned_rows(runs, new=True), *rows_for_new(simple, [first.world], logs)]
    entries += bayes_rows(runs[:1], exits=exits, new=True)
    played = [one for one in settings(session, logs.catalogue, (session.window,)) if one.mode == "NX_0"]
    rows = sound([one for one in entries if one.greedy or one.name == "random"], played, new, logs.train_catalogue)
    found = {}
    for row in rows:
        tallies = np.zeros((row.users, 3)) if row.tallies is None else row.tallies[0]
        found[row.name] = [[value, *more] for value, more in zip(row.returns[0], tallies.tolist(), strict=True)]
    return found


def draw(table: dict[str, np.ndarray], asked: argparse.Namespace) -> None:
    """Draw the rows: by random feedback where there is any, and of twins only those that know the exit rule."""
    known = {name: rows for name, rows in table.items() if f"{name}, exit-aware" not in table and ", start" not in name}
    bars = []
    for name, rows in known.items():
        samples, feedback = shared_samples(rows.shape[:2]), bool(rows[..., 2].any())
        low, high = random_interval(rows[..., 1:], samples) if feedback else interval(resampled(rows[..., 0], samples))
        value = random_reward(rows[..., 1:]) if feedback else float(rows[..., 0].mean())
        assert value is not None
        kind = "truth" if "(truth)" in name else "learned" if name.startswith("DARLR") else "log"
        bars.append(Bar(name, value, low, high, kind, f"{value:.1f}"))
    unit = "R_random, users' own ratings" if feedback else "R_tra"
    canvas.save(plot_bars(bars, f"{asked.data}: new users, NX_0", note=unit), asked.picture)


def main() -> None:
    """Print every row, by falling mean, with its paired differences to DARLR+ and Bayes greedy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--methods", default="darlr+")
    parser.add_argument("--model", default="", help="kind of the world model of all methods; default: the log's own")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--leave", type=float)
    parser.add_argument("--out", type=Path, default=Path("new-users.json"))
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    done: list[Fold] = json.loads(asked.out.read_text("utf-8")) if asked.out.exists() else []
    for fold in range(len(done), FOLDS):
        with speaking(False):
            done.append(play(fold, asked))
        asked.out.write_text(json.dumps(done), "utf-8")
    rows: dict[str, list[np.ndarray]] = defaultdict(list)
    for one in done:
        for name, values in one.items():
            rows[name].append(np.array(values))
    table = {name: np.concatenate(parts)[None] for name, parts in rows.items()}
    aware = ", exit-aware" if "Bayes greedy, exit-aware" in table and asked.leave is None else ""
    bayes = table[f"Bayes greedy{aware}"]
    print("| row | R_tra | DARLR+ minus this [95%] | minus Bayes greedy [95%] | R_random | DARLR+ minus this [95%] |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, values in sorted(table.items(), key=lambda pair: -pair[1][..., 0].mean()):
        pairs = [(table["DARLR+"], values), (values, bayes)]
        found = [compare(a[..., 0], b[..., 0]) for a, b in pairs]
        cells = [f"{one.difference:+.2f} [{one.low:+.2f}, {one.high:+.2f}]" for one in found]
        total, drawn, turns = values[..., 1:].mean((0, 1))
        random = ("–", "–")
        if drawn:
            middle, low, high = random_difference(table["DARLR+"][..., 1:], values[..., 1:])
            random = f"{turns * total / drawn:.1f}", f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"
        print(f"| {name} | {values[..., 0].mean():.2f} | {' | '.join((*cells, *random))} |")
    if asked.picture is not None:
        draw(table, asked)


if __name__ == "__main__":
    main()
