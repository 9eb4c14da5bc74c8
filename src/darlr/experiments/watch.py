"""Measurements after each epoch: on the world model to choose the best policy, and on the truth for the curve."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isclose
from typing import Any, NamedTuple

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
from darlr.evaluation.protocol import Trajectories, play
from darlr.evaluation.truth import Truth, load_truth, part
from darlr.experiments.finished import HandedOver
from darlr.experiments.logs import Logs, known_part
from darlr.io.tensors import moved
from darlr.options import RunConfig, TrainConfig
from darlr.simulation.exits import Exit
from darlr.simulation.policy import translated
from darlr.world.drawn import DrawnRows
from darlr.world.estimates import Dense
from darlr.world.fitted import FittedWorldModel, predict
from darlr.world.tables import World
from darlr.world.views import Shown, Some

SCORED = 512  # largest number of users whose sessions are played on the world model after an epoch
SESSIONS, ROUNDS = 1024, 16  # the sessions that are played in drawn worlds, and the most of one user
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

    They are paid by r_0, or, where `keep` is "sure", by the members of the fitted world model. Where training is played
    in drawn worlds, they are played in draws that training never meets.
    """
    generator = torch.Generator().manual_seed(derived(config.seed, KEPT))
    users = torch.randperm(world.n_users, generator=generator)[:SCORED]
    sure, unit = config.keep == "sure", logs.unit
    if world.tastes is not None:
        games = drawn_games(world, users, generator)
    else:
        games = [mean_game(world, users, by_members(fitted, users) if sure else None)]
    rules: dict[str, Any] = {"mode": "NX_0", "turns": config.session.turns}

    def criterion(recommender: Recommender) -> Earned:
        policy = RecommenderPolicy(recommender)
        played = [play(policy, told, world.n_items, exit_rule, users=users, **rules) for told, _ in games]
        returns = torch.cat([paid(one) for one, (_, paid) in zip(played, games, strict=True)])
        learned, length = float(returns.mean()), float(torch.cat([one.length for one in played]).double().mean())
        shown = unit.low * length + unit.scale * (learned - unit.least * length)
        return Earned(learned, shown, length, tuple(returns.tolist()) if sure else ())

    return criterion


class Game(NamedTuple):
    """Sessions of some users. told: the feedback of their sessions. paid: what finished sessions have earned."""

    told: Truth
    paid: Callable[[Trajectories], Tensor]


def mean_game(world: World, users: Tensor, known: Tensor | None) -> Game:
    """Return sessions that are told and paid r_0, or the rewards `known` [n, Is] where they are given."""
    rewards = world.reward
    some = users.to(rewards.device)
    own = rewards.rows(some) if isinstance(rewards, Dense) else Some(rewards, some)
    told = own if known is None else known.to(rewards.device)
    return Game(Truth(users.numpy(), np.arange(world.n_items), told), lambda played: played.returns)


def drawn_games(world: World, users: Tensor, generator: torch.Generator) -> list[Game]:
    """Return about SESSIONS sessions in drawn worlds that training never meets: told with noise, paid without it."""
    tastes, games, device = world.tastes, [], world.reward.device
    assert tastes is not None
    for number in range(min(ROUNDS, max(1, round(SESSIONS / len(users))))):
        draw = tastes.sample((len(users),), generator, met=False).to(device)
        rows = DrawnRows(world.reward, tastes, users.to(device), draw, seed=number)
        expected = replace(rows, noisy=False)

        def paid(played: Trajectories, expected: DrawnRows = expected) -> Tensor:
            there, session = played.items >= 0, torch.arange(len(played.items), device=device)[:, None]
            return (expected.pairs(session, played.items.clamp(min=0)) * there).double().sum(1)

        games.append(Game(Truth(users.numpy(), np.arange(world.n_items), rows), paid))
    return games


def by_members(fitted: FittedWorldModel, users: Tensor) -> Tensor:
    """Return the rewards of users int64 [n] by one member of the world model each, in turn, float32 [n, Is]."""
    member, found = torch.arange(len(users)) % fitted.model.members, []
    for rows, mean, _ in predict(fitted.model, fitted.users[users], fitted.items):
        own = member[rows]
        found.append(fitted.scale.reward(mean)[own, torch.arange(len(own))])
    return torch.cat(found)


def kept(found: HandedOver, *, drawn: bool = False, gains: Sequence[float] = ()) -> str:
    """Return a sentence on which policy the run hands over, and by how much it is better.

    drawn: whether the criterion is played in drawn worlds. gains: of the epochs over the start.
    """
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
    where = "in drawn worlds that training never met" if drawn else "by the world model"
    if not found.epoch:
        best = f"{where} it earns {start:.4g} a session, and no epoch{sure} earns more{most}"
        gain = max(gains, default=0.0)
        least = f"; the best epoch earns {abs(gain):.2g} {'more' if gain > 0 else 'less'}{most}" if gains else ""
        return f"the policy is the start: {best}{least}"
    text = (
        f"the policy is that of epoch {found.epoch} of {found.epochs}: of its start and its epochs it earns most "
        f"{where}{most}, {earned:.4g} a session; the start earns {start:.4g}"
    )
    gain = scores[0]["learned"] - scores[1]["learned"]
    return f"{text}; in the unit of learning {gain:.4g} +- {scores[0]['error']:.2g} more" if sure else text
