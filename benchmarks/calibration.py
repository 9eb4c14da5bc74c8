"""Is the posterior about a user calibrated? Coverage and transforms on events that nothing was fitted to.

    OMP_NUM_THREADS=1 python -m benchmarks.calibration --data synthetic --picture docs/images/calibration.png
    DARLR_DATA=<folder that holds coat/> OMP_NUM_THREADS=1 python -m benchmarks.calibration --data coat

Each of five folds hides a fifth of the users, and holds out a fifth of the events of the others. A factorisation
machine is drawn from its posterior, one chain. It predicts the held-out events of known users, and the logged events of
hidden users after 0, 1, 5 and 20 of them as answers, in random order. On Coat the ratings of random items are predicted
after the same answers; they serve evaluation alone. "before" is the belief with the noise and the variances of the
sampler; "after" has the tempering and the variances that held-out events of the log have chosen (darlr.world.answers).
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from darlr.data.log import InteractionLog
from darlr.data.scope import places, scope_of
from darlr.data.sources import open_source
from darlr.data.split import select
from darlr.evaluation.calibration import LEVELS, coverage, transforms
from darlr.evaluation.pictures import canvas
from darlr.evaluation.truth import load_truth
from darlr.experiments.logs import divided, hidden_of
from darlr.experiments.process import configure
from darlr.options import RunConfig, WorldModelConfig
from darlr.options.names import override
from darlr.world.answers import Answers, Cells, cells_of
from darlr.world.belief import Belief
from darlr.world.fit import Fit, train_world
from darlr.world.models.bayesian import BayesianFM
from darlr.world.prior import belief_of

FOLDS, ANSWERS = 5, (0, 1, 5, 20)
Events = tuple[np.ndarray, np.ndarray, np.ndarray]
Found = dict[tuple[str, str], list[np.ndarray]]


def known_users(fit: Fit, held_out: InteractionLog, cells: Cells, draws: np.random.Generator, found: Found) -> None:
    """Add the transforms of held-out events of the log's users."""
    assert isinstance(fit.model, BayesianFM)
    user, item, reward = (torch.from_numpy(getattr(held_out, name)) for name in ("user", "item", "reward"))
    mean, log_variance = (part[0] for part in fit.model(user[None], item[None]))
    mean, variance = mean * fit.scale.spread + fit.scale.centre, fit.scale.variance(log_variance)
    spread = Answers(**fit.metrics["answers"]).known
    for name, factor in (("before", 1.0), ("after", spread)):
        found["known users, held-out events", name].append(transforms(mean, variance * factor, reward, cells, draws))


def new_users(
    belief: Belief, own: Events, asked: Events, answers: int, cells: Cells, draws: np.random.Generator
) -> np.ndarray:
    """The transforms of events that are asked for, or else of a user's other events, after some random ones."""
    order = np.random.default_rng(answers).permutation(len(own[0]))
    user, item, reward = (column[order] for column in own)
    order = np.argsort(user, kind="stable")
    user, item, reward = user[order], item[order], reward[order]
    users, start, count = np.unique(user, return_index=True, return_counts=True)
    some = count > answers
    place = start[some, None] + np.arange(answers)
    posterior = belief.given(torch.from_numpy(item[place]), torch.from_numpy(reward[place]))
    if asked is own:
        rest = np.arange(len(user)) - np.repeat(start, count) >= answers
        asked = user[rest], item[rest], reward[rest]
    row = places(users[some], int(users.max()) + 1)[asked[0]]
    kept = row >= 0
    mean, variance = posterior.of_items(torch.from_numpy(row[kept]), torch.from_numpy(asked[1][kept]))
    return transforms(mean, variance, torch.from_numpy(asked[2][kept]), cells, draws)


def many(count: int) -> str:
    """A number of answers, in words."""
    return f"{count} answer" + "s" * (count != 1)


def play(data: str, fold: int, found: Found) -> None:
    """Add the transforms of one fold."""
    draws, source = np.random.default_rng(fold), open_source(data)
    asked = {"data": data, "split.hidden": 1 / FOLDS, "split.fold": fold, "split.seed": fold, "split.refit": False}
    logs = divided(source, override(RunConfig(), asked))
    fit = train_world(logs.train, logs.held_out, WorldModelConfig("bayesian", members=1, seed=fold))
    cells, hidden = cells_of(logs.train), scope_of(source).users[hidden_of(logs).new]
    known_users(fit, logs.held_out, cells, draws, found)
    events = select(source, np.isin(source.user, hidden))
    own = events.user, events.item, logs.unit.learn(torch.from_numpy(events.reward)).numpy()
    truth, random = load_truth(data), None
    if truth is not None and truth.random is not None:
        user, item = np.divmod(truth.random.cell.numpy(), len(truth.items))
        kept = np.isin(user, hidden)
        random = user[kept], item[kept], truth.random.reward.numpy()[kept]
    for name, answers in (("before", Answers()), ("after", Answers(**fit.metrics["answers"]))):
        belief = belief_of(fit.model, fit.scale, logs.train, answers)
        assert belief is not None
        for count in ANSWERS:
            options = own, count, cells, draws
            found[f"new users, {many(count)}", name].append(new_users(belief, own, *options))
            if random is not None:
                key = f"new users, {many(count)}, random items", name
                found[key].append(new_users(belief, own, random, *options[1:]))
    print(f"fold {fold}: " + ", ".join(f"{name} {value:.2f}" for name, value in fit.metrics["answers"].items()))


def draw(found: dict[tuple[str, str], np.ndarray], title: str, place: Path) -> None:
    """Draw the histograms of the transforms of logged events; 1 is calibrated."""
    names = [name for name, when in found if when == "after" and "random" not in name]
    figure = canvas.blank(4.0)
    canvas.head(figure, title)
    for number, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), number + 1)
        for when, colour in (("before", canvas.BASELINE), ("after", canvas.LEARNED)):
            height = np.histogram(found[name, when], 10, (0, 1))[0] * 10 / len(found[name, when])
            axes.stairs(height, np.linspace(0, 1, 11), color=colour, label=when, linewidth=2)
        axes.axhline(1, color=canvas.INK, linewidth=0.5)
        axes.set(title=name.replace(", ", ",\n"), ylim=(0, 2), xlim=(0, 1), xticks=(0, 1), yticks=(0, 1, 2))
        axes.title.set_fontsize(8)
    axes.legend(frameon=False, fontsize=8)
    canvas.save(canvas.finished(figure, grid=False), place)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    configure(1)
    parts: Found = defaultdict(list)
    for fold in range(FOLDS):
        play(asked.data, fold, parts)
    found = {key: np.concatenate(values) for key, values in parts.items()}
    print("| events | n | before: 50% | 80% | 95% | after: 50% | 80% | 95% |\n|---|---:|---:|---:|---:|---:|---:|---:|")
    for name in dict.fromkeys(name for name, _ in found):
        cells = [f"{100 * coverage(found[name, when], level):.1f}" for when in ("before", "after") for level in LEVELS]
        print(f"| {name} | {len(found[name, 'after'])} | {' | '.join(cells)} |")
    if asked.picture is not None:
        draw(found, f"{asked.data}: transforms of rewards, share of a tenth x 10", asked.picture)


if __name__ == "__main__":
    main()
