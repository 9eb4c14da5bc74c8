"""Tastes that move: never, always and alarmed updates of the prior, and a belief that forgets.

    OMP_NUM_THREADS=1 python -m benchmarks.moving --out FOLDER

The built-in world (150 users, 100 items, 20 categories) goes on for 8 periods after its log. In each period every user
has a session of 5 items, greedy on the posterior mean, and no item comes twice in it. What moves is the taste of each
user and the quality of each item, at one rate: not at all, slowly (a rotation by 0.2 radians a period), or suddenly
(all at once after half of the periods). Others of the same population give the new values, so that their spread stays.

The prior is that of a factorisation machine of one chain. It is never fitted again, after every period, or after a
period in which ADWIN (`darlr.evaluation.drift`) cuts the log losses; then only on events since that period. A belief
that forgets gives an answer the power 0.8 for each period of its age. The prequential log likelihood is that of each
rating before it is given to the belief, in nats per rating. The return is the sum of true rewards in a session.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.sets.synthetic import generate, rewards
from darlr.data.split import select
from darlr.evaluation.drift import Adwin
from darlr.experiments.process import configure
from darlr.io.files import write_json
from darlr.options import SyntheticConfig
from darlr.world.belief import Belief
from darlr.world.fit import fit_belief

PERIODS, TURNS, ANGLE, POWER = 8, 5, 0.2, 0.8
MOST = 60  # the newest answers of a user that the posterior is given
MOVES, UPDATES, FORGETS = ("not at all", "slowly", "suddenly"), ("never", "always", "alarmed"), (False, True)
CONFIG = SyntheticConfig(users=150, items=100, categories=20, boredom=0.0)


def turned(now: NDArray[np.float32], angle: float, generator: np.random.Generator) -> NDArray[np.float32]:
    """Rows rotated towards rows of others, around the mean row."""
    mean = now.mean(0)
    other = now[generator.permutation(len(now))]
    found: NDArray[np.float32] = mean + np.cos(angle) * (now - mean) + np.sin(angle) * (other - mean)
    return found


def truths(move: str, seed: int) -> tuple[InteractionLog, list[Tensor]]:
    """The log, and the true rewards in each period."""
    world = generate(replace(CONFIG, seed=seed))
    generator, users, items = np.random.default_rng([seed, 77]), world.user_factors, world.item_factors
    found = []
    for period in range(PERIODS):
        angle = {"slowly": ANGLE, "suddenly": np.pi / 2 if period == PERIODS // 2 else 0.0}.get(move, 0.0)
        if angle:
            users, items = turned(users, angle, generator), items.copy()
            items[:, :1] = turned(items[:, :1], angle, generator)
        found.append(torch.from_numpy(rewards(users, items)))
    return world.log, found


@dataclass
class Answers:
    """All ratings so far, of every user in order: items int64, rewards and the periods they came in, [U, n] each."""

    items: Tensor
    rewards: Tensor
    period: Tensor

    def add(self, items: Tensor, rewards: Tensor, period: int) -> None:
        """Add one rating of every user."""
        self.items = torch.cat([self.items, items[:, None]], 1)
        self.rewards = torch.cat([self.rewards, rewards[:, None]], 1)
        self.period = torch.cat([self.period, torch.full((len(items), 1), period)], 1)

    def log(self, like: InteractionLog, since: int) -> InteractionLog:
        """The ratings since a period, as a log."""
        user, place = ((self.items >= 0) & (self.period >= since)).nonzero().unbind(1)
        columns = {"user": user, "item": self.items[user, place]}
        reward = self.rewards[user, place].numpy()
        return replace(like, **{name: c.numpy() for name, c in columns.items()}, reward=reward, timestamp=None)


def answers_of(log: InteractionLog) -> Answers:
    """The ratings of a log, in period -1."""
    order = np.argsort(log.user, kind="stable")
    count = np.bincount(log.user, minlength=log.n_users)
    place = np.arange(len(log)) - np.repeat(np.cumsum(count) - count, count)
    items = torch.full((log.n_users, int(count.max())), -1)
    given = torch.zeros(items.shape)
    row = torch.from_numpy(log.user[order]), torch.from_numpy(place)
    items[row], given[row] = torch.from_numpy(log.item[order]), torch.from_numpy(log.reward[order])
    return Answers(items, given, torch.full(items.shape, -1))


def prior_of(log: InteractionLog, seed: int) -> Belief:
    """The prior of a log's users."""
    return fit_belief(log, log, select(log, np.zeros(len(log), dtype=bool)), seed)


def played(move: str, update: str, forgets: bool, seed: int, first: Belief) -> dict[str, object]:
    """The log likelihood and the return of each period, and how often the prior was fitted again."""
    log, truth = truths(move, seed)
    prior, answers, window = first, answers_of(log), Adwin(width=8.0)
    noise, fits, since = np.random.default_rng([seed, 78]), 0, -1
    likelihood, returns = [], []
    for period, table in enumerate(truth):
        nats, earned, shown = [], torch.zeros(len(table)), torch.zeros(table.shape, dtype=torch.bool)
        for _ in range(TURNS):
            part = slice(max(0, answers.items.shape[1] - MOST), None)
            age = (period - answers.period[:, part]).float()
            weight = POWER**age if forgets else None
            found = prior.given(answers.items[:, part], answers.rewards[:, part], weight)
            mean, variance = found.rows(found.theta()), found.variance()
            item = mean.masked_fill(shown, -torch.inf).argmax(1)
            row = torch.arange(len(item)), item
            shown[row] = True
            told = table[row] + CONFIG.noise * torch.from_numpy(noise.standard_normal(len(item))).float()
            told = told.clamp(1, 5)
            loss = ((told - mean[row]).square() / variance[row] + (2 * np.pi * variance[row]).log()) / 2
            nats.append(loss)
            earned += table[row]
            answers.add(item, told, period)
        losses = torch.stack(nats).flatten().numpy().astype(np.float64)
        likelihood.append(-float(losses.mean()))
        returns.append(float(earned.mean()))
        alarm = bool(window.add(losses.clip(-1, 7)))
        since = period if alarm and update == "alarmed" else since
        if period < PERIODS - 1 and (update == "always" or (update == "alarmed" and alarm)):
            prior, fits = prior_of(answers.log(log, since), seed), fits + 1
    return {"likelihood": likelihood, "returns": returns, "fits": fits}


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    configure(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    for seed in range(asked.seeds):
        first = None
        for move, update, forgets in product(MOVES, UPDATES, FORGETS):
            done = asked.out / f"{move}-{update}-{forgets}-{seed}.json"
            if not done.exists():
                first = prior_of(truths(move, seed)[0], seed) if first is None else first
                write_json(done, played(move, update, forgets, seed, first))
    names = "tastes move", "the prior is fitted again", "belief", "log likelihood", "return", "fits"
    print(f"| {' | '.join(names)} |\n|---|---|---|---:|---:|---:|")
    for move, update, forgets in product(MOVES, UPDATES, FORGETS):
        places = [asked.out / f"{move}-{update}-{forgets}-{seed}.json" for seed in range(asked.seeds)]
        found = [json.loads(place.read_text("utf-8")) for place in places]
        nats, earned, fits = (
            np.array([np.mean(one[name]) for one in found]) for name in ("likelihood", "returns", "fits")
        )
        error = [part.std(ddof=1) / len(part) ** 0.5 if len(part) > 1 else float("nan") for part in (nats, earned)]
        numbers = f"{nats.mean():.3f} ± {error[0]:.3f} | {earned.mean():.2f} ± {error[1]:.2f} | {fits.mean():.1f}"
        print(f"| {move} | {update} | {'forgets' if forgets else 'keeps'} | {numbers} |")
    print(f"\nCPU-seconds of this process: {time.process_time():.0f}")


if __name__ == "__main__":
    main()
