"""Measurements after each epoch: on the world model to choose the best policy, and on the truth for the curve."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isclose
from typing import Any

import numpy as np
import torch
from torch import Tensor

from darlr.agents.learner import KEPT, Learner, derived
from darlr.agents.policy import RecommenderPolicy
from darlr.agents.recommender import Recommender
from darlr.agents.sink import Criterion, Earned
from darlr.evaluation.estimation import reward_error
from darlr.evaluation.evaluate import published, published_setting
from darlr.evaluation.playing import majority_items
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import Truth, load_truth, part
from darlr.experiments.finished import HandedOver
from darlr.experiments.logs import Logs, known_part
from darlr.io.tensors import moved
from darlr.options import RunConfig, TrainConfig
from darlr.simulation.exits import Exit
from darlr.simulation.policy import translated
from darlr.world.estimates import Dense
from darlr.world.fitted import FittedWorldModel, predict
from darlr.world.tables import World
from darlr.world.views import Shown, Some

SCORED = 512  # largest number of users whose sessions are played on the world model after an epoch
MEASURED = 1024  # largest number of users of the truth on whom the error is measured where estimates are no table
Watch = Callable[[int, Learner], Mapping[str, Any]]
"""More columns of an epoch's log line, from its number and the learner; nothing in training reads them."""


def watch_truth(config: RunConfig, logs: Logs, *, wanted: bool) -> Watch:
    """Return the published protocol after each epoch, and the error of the reward estimates.

    No more columns where they are not wanted, and without a truth.
    """
    truth = load_truth(config.data, options=config.synthetic) if wanted else None
    if truth is None:
        return lambda *_: {}
    options, device = config.train, config.train.device
    truth = known_part(truth, logs)
    truth = replace(truth, reward=moved(truth.reward, device))
    setting = published_setting(options.session, logs.catalogue, device)
    majority = majority_items(logs.train_catalogue)
    majority = None if majority is None else majority.to(device)

    few = config.world_model.estimates == "factors" and len(truth.users) > MEASURED
    drawn = torch.randperm(len(truth.users), generator=torch.Generator().manual_seed(0))[:MEASURED]
    some = part(truth, drawn.numpy()) if few else truth

    def watch(epoch: int, learner: Learner) -> Mapping[str, Any]:
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + epoch)
        policy = translated(RecommenderPolicy(learner.recommender), logs.unit)
        measured: dict[str, Any] = dict(
            published(policy, truth, setting, len(logs.scope.items), generator=generator, majority=majority)
        )
        if learner.refined is not None:
            for name, estimate in (("frozen", learner.tables.frozen), ("dynamic", learner.refined)):
                measured[name] = reward_error(Shown(estimate, logs.unit), some)
        return measured

    return watch


def criterion_of(world: World, exit_rule: Exit, config: TrainConfig, logs: Logs, fitted: FittedWorldModel) -> Criterion:
    """Return the criterion of the best epoch: the return of greedy sessions of SCORED users, sampled once.

    They are paid by r_0, or, where `keep` is "sure", by the members of the fitted world model.
    """
    generator = torch.Generator().manual_seed(derived(config.seed, KEPT))
    users = torch.randperm(world.n_users, generator=generator)[:SCORED]
    rewards = world.reward
    some = users.to(rewards.device)
    sure = config.keep == "sure"
    known = rewards.rows(some) if isinstance(rewards, Dense) else Some(rewards, some)
    known = by_members(fitted, users).to(rewards.device) if sure else known
    estimates = Truth(users.numpy(), np.arange(world.n_items), known)
    turns = config.session.turns

    def criterion(recommender: Recommender) -> Earned:
        policy = RecommenderPolicy(recommender)
        played = play(policy, estimates, world.n_items, exit_rule, mode="NX_0", turns=turns, users=users)
        learned, unit = float(played.returns.mean()), logs.unit
        length = float(played.length.double().mean())
        shown = unit.low * length + unit.scale * (learned - unit.least * length)
        return Earned(learned, shown, length, tuple(played.returns.tolist()) if sure else ())

    return criterion


def by_members(fitted: FittedWorldModel, users: Tensor) -> Tensor:
    """Return the rewards of users int64 [n] by one member of the world model each, in turn, float32 [n, Is]."""
    member, found = torch.arange(len(users)) % fitted.model.members, []
    for rows, mean, _ in predict(fitted.model, fitted.users[users], fitted.items):
        own = member[rows]
        found.append(fitted.scale.reward(mean)[own, torch.arange(len(own))])
    return torch.cat(found)


def kept(found: HandedOver) -> str:
    """Return a sentence on which policy the run hands over."""
    if not found.epochs:
        return "the policy is the start, as nothing was trained"
    if not found.scores:
        return f"the policy is that of the last epoch, {found.epochs}"
    scores = [found.scores[name] for name in ("earned", "start")]
    earned, start = (one["shown"] for one in scores)
    # where sessions differ in length, the best in the unit of learning need not be the best in the unit of the log
    converted = not all(isclose(one["learned"], one["shown"]) for one in scores)
    most = " in the unit of learning" * converted
    sure = " surely" * ("sessions" in found.scores["start"])
    if not found.epoch:
        best = f"by the world model it earns {start:.4g} a session, and no epoch{sure} earns more{most}"
        return f"the policy is the start: {best}"
    text = (
        f"the policy is that of epoch {found.epoch} of {found.epochs}: of its start and its epochs it earns most by "
        f"the world model{most}, {earned:.4g} a session; the start earns {start:.4g}"
    )
    gain = scores[0]["learned"] - scores[1]["learned"]
    return f"{text}; in the unit of learning {gain:.4g} +- {scores[0]['error']:.2g} more" if sure else text
