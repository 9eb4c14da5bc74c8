"""References by likelihood on positives with a block (kuairec_binary), which `selector.objective` refuses.

    DARLR_DATA=<folder that holds kuairec_binary/> python -m benchmarks.likelihood_positives --out FILE

It goes on after the splits that the file holds. All users outside the block are references for every item, with the
reward 1 or 0. Their residuals are those of world models that did not see them: a third of these users at a time loses
its events on the block's items, and becomes a block of its own. The metric compares r_0 and the principal coordinates
of histories. It maximises the likelihood of a third of the users, by residuals of fits that saw neither. Other users of
that third, and the true block, measure it.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.pseudo_block import blocked, outside, quality
from darlr.data.log import IntArray, InteractionLog
from darlr.data.scope import catalogue, scope_of
from darlr.data.sources import open_source
from darlr.data.split import select
from darlr.data.unit import as_learned, unit_of
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import Truth, load_truth
from darlr.experiments.process import configure
from darlr.io.files import write_json
from darlr.options import SessionConfig, WorldModelConfig
from darlr.policies.fixed import UserGreedy
from darlr.simulation.exits import Exit, build_exit
from darlr.world.attention import weights
from darlr.world.estimates import estimate_of
from darlr.world.fit import train_world
from darlr.world.models.history import coordinates
from darlr.world.vectors import leading

MEASURES = ("pseudo-block, RMSE", "NDCG@30", "block, RMSE", "session, N = 1")
FOLDS, TASTES, COORDINATES = 3, 8, 16
TARGETS, ITEMS = 300, 1000  # users and items whose likelihood is maximised


def table(log: InteractionLog) -> Tensor:
    """r_0 of the block, as probabilities of a positive."""
    log = as_learned(log, unit_of(log))
    nothing = select(log, np.zeros(len(log), dtype=bool))
    return train_world(log, nothing, WorldModelConfig(members=1)).finish().reward.whole() / float(log.reward[0])


@dataclass(frozen=True)
class Ground:
    """What all splits share. liked: [V, I], what users outside the block logged. place: [U, d], of all histories."""

    log: InteractionLog
    others: InteractionLog
    known: IntArray
    liked: Tensor
    place: Tensor
    r0: Tensor
    truth: Truth
    rule: Exit

    def earned(self, scores: Tensor) -> float:
        """The mean return of sessions on the truth that are greedy and know the exit rule."""
        played = play(UserGreedy(scores), self.truth, scores.shape[1], self.rule, mode="NX_0", exit_aware=True)
        return float(played.returns.mean())


def ground() -> Ground:
    """Read the data, and fit the world model of the true block."""
    log, truth = open_source("kuairec_binary"), load_truth("kuairec_binary")
    assert log.block is not None
    assert truth is not None
    scope, others = scope_of(log), outside(log)
    place = coordinates(log, scope.feedback_items(log), COORDINATES)
    liked = blocked(others, np.arange(others.n_users), scope.items)[1].reward
    assert isinstance(liked, Tensor)
    known = np.setdiff1d(np.arange(log.n_users), log.block.users)
    rule = build_exit(SessionConfig(exit="category", window=1), catalogue(log, scope))
    return Ground(log, others, known, liked, place / place.std(0).clamp(min=1e-6), table(log), truth, rule)


@dataclass(frozen=True)
class Split:
    """The users outside the block in thirds. single: r_0 of each third by the fit without it.

    pair: r_0 of the second and the third one by fits without the first, too.
    """

    users: list[IntArray]
    single: list[Tensor]
    pair: list[Tensor]


def fitted(known: Ground, seed: int) -> Split:
    """Fit the five world models of a split."""
    items = scope_of(known.log).items
    fold = np.random.default_rng(seed).permutation(known.others.n_users) % FOLDS

    def without(*folds: int) -> Tensor:
        out = np.flatnonzero(np.isin(fold, folds))
        return table(blocked(known.others, out, items)[0])[fold[out] == folds[-1]]

    users = [np.flatnonzero(fold == k) for k in range(FOLDS)]
    return Split(users, [without(k) for k in range(FOLDS)], [without(0, k) for k in range(1, FOLDS)])


@dataclass(frozen=True)
class Metric:
    """What users are compared by: directions of r_0 in which they differ, [I, d], and the spread along them."""

    directions: Tensor
    scale: Tensor

    def of(self, rows: Tensor, mean: Tensor, place: Tensor) -> Tensor:
        """The vectors of users with these rows of r_0 and these coordinates of histories."""
        return torch.cat([(rows - mean) @ self.directions / self.scale, place], 1)

    def turned(self, rows: Tensor) -> "Metric":
        """The same for other rows, whose directions are turned to be like these."""
        own = leading(rows - rows.mean(0), TASTES) * rows.shape[1] ** 0.5
        left, _, right = torch.linalg.svd(own.T @ self.directions)
        return Metric(own @ left @ right, self.scale)


def shift(query: Tensor, key: Tensor, residual: Tensor, at: Tensor) -> Tensor:
    """What references add to r_0, [n, I]. at: s times the number of references, and m."""
    there = torch.ones(len(query), len(key), dtype=torch.bool)
    return weights(query, key, there, at[1:], at[0] / len(key)) @ residual


def learned(query: Tensor, key: Tensor, residual: Tensor, missed: Tensor) -> tuple[Tensor, float]:
    """The weights of the largest likelihood, or 0 where it rises by less than their number, and this rise in nats."""

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        at = torch.from_numpy(values).float().requires_grad_()
        error = (missed - shift(query, key, residual, at)).square().mean().log()
        (slope,) = torch.autograd.grad(error, at)
        return float(error.detach()), slope.double().numpy()

    start = np.array([1.0, *[0.05] * query.shape[1]])
    steps = {"maxiter": 40}
    found = scipy.optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start), options=steps
    )
    gain = missed.numel() / 2 * (float(missed.square().mean().log()) - float(found.fun))
    return torch.from_numpy(found.x).float() * (gain > len(start)), gain


def measured(known: Ground, seed: int) -> dict[str, object]:
    """The numbers of one split: each measure without references, and with them."""
    begun, split = time.process_time(), fitted(known, seed)
    first, mean, place = split.users[0], split.single[0].mean(0), known.place[known.known]
    directions = leading(split.single[0] - mean, TASTES) * len(mean) ** 0.5
    metric = Metric(directions, ((split.single[0] - mean) @ directions).std(0))
    refs, rows = np.concatenate(split.users[1:]), torch.cat(split.pair)
    query, key = metric.of(split.single[0], mean, place[first]), metric.of(rows, mean, place[refs])
    residual, missed = known.liked[refs] - rows, known.liked[first] - split.single[0]
    some = np.random.default_rng(seed).permutation(len(mean))[:ITEMS]
    at, gain = learned(query[:TARGETS], key, residual[:, some].contiguous(), missed[:TARGETS][:, some])
    moved, tested = shift(query[TARGETS:], key, residual, at), known.liked[first][TARGETS:]
    tables = split.single[0][TARGETS:], split.single[0][TARGETS:] + moved
    found = [[float((tested - one).square().mean().sqrt()) for one in tables]]
    found.append([quality(one, tested)[0] for one in tables])
    everyone = torch.cat(split.single)[np.argsort(np.concatenate(split.users))]
    serving, centre = metric.turned(known.r0), known.r0.mean(0)
    own = serving.of(known.r0, centre, known.place[scope_of(known.log).users])
    tables = known.r0, known.r0 + shift(own, serving.of(everyone, centre, place), known.liked - everyone, at)
    real = torch.zeros_like(known.r0)
    real[torch.from_numpy(known.truth.users)[:, None], torch.from_numpy(known.truth.items)] = (
        estimate_of(known.truth.reward).whole() > 0
    ).float()
    found.append([float((real - one).square().mean().sqrt()) for one in tables])
    found.append([known.earned(one) for one in tables])
    spent = time.process_time() - begun
    return {"gain": gain, "s": float(at[0]), "measures": found, "seconds": spent}


def report(found: list[dict[str, Any]]) -> None:
    """Print the splits, and the mean differences with their standard errors over splits."""
    print(f"| split | gain, nats | s | {' | '.join(MEASURES)} | CPU s |\n|{'---|' * 8}")
    for seed, one in enumerate(found):
        cells = " | ".join(f"{before:.5f}, {after:.5f}" for before, after in one["measures"])
        print(f"| {seed} | {one['gain']:.0f} | {one['s']:.3f} | {cells} | {one['seconds']:.0f} |")
    change = np.diff([one["measures"] for one in found]).squeeze(2)
    for name, values in zip(MEASURES, change.T, strict=True):
        print(f"{name}: {values.mean():+.5f} +- {values.std(ddof=1) / len(values) ** 0.5:.5f}")


def main() -> None:
    """Measure the splits that are missing, and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    configure(1)
    found = json.loads(asked.out.read_text("utf-8")) if asked.out.exists() else []
    known = ground() if len(found) < asked.splits else None
    for seed in range(len(found), asked.splits):
        assert known is not None
        found.append(measured(known, seed))
        write_json(asked.out, found)
    report(found)


if __name__ == "__main__":
    main()
