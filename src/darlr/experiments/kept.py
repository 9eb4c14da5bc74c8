"""How a run chooses the policy that it hands over (darlr.agents.sink), and the message about it."""

from math import isclose

import torch

from darlr.agents.learner import KEPT, derived
from darlr.agents.recommender import Recommender, RecommenderPolicy
from darlr.agents.sink import Criterion, Earned
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import whole
from darlr.experiments.finished import HandedOver
from darlr.experiments.logs import Logs
from darlr.options import TrainConfig
from darlr.simulation.exits import Exit
from darlr.world.tables import World

SCORED = 512  # largest number of users whose sessions are played after an epoch


def criterion_of(world: World, exit_rule: Exit, config: TrainConfig, logs: Logs) -> Criterion:
    """The criterion of the best epoch: the return of greedy sessions on r_0, of SCORED users that are sampled once."""
    generator = torch.Generator().manual_seed(derived(config.seed, KEPT))
    users = torch.randperm(world.n_users, generator=generator)[:SCORED]
    estimates = whole(world.reward)

    def criterion(recommender: Recommender) -> Earned:
        played = play(
            RecommenderPolicy(recommender),
            estimates,
            world.n_items,
            exit_rule,
            mode="NX_0",
            turns=config.session.turns,
            users=users,
        )
        learned, unit = float(played.returns.mean()), logs.unit
        length = float(played.length.double().mean())
        return Earned(learned, unit.low * length + unit.scale * (learned - unit.least * length), length)

    return criterion


def kept(found: HandedOver) -> str:
    """A sentence on which policy the run hands over."""
    if not found.epochs:
        return "the policy is the start, as nothing was trained"
    if not found.scores:
        return f"the policy is that of the last epoch, {found.epochs}"
    earned, start = (found.scores[name]["shown"] for name in ("earned", "start"))
    # where sessions differ in length, the best in the unit of learning need not be the best in the unit of the log
    converted = not all(
        isclose(one["learned"], one["shown"]) for one in (found.scores["earned"], found.scores["start"])
    )
    most = " in the unit of learning" * converted
    if not found.epoch:
        return (
            f"the policy is the start: by the world model it earns {start:.4g} a session, and no epoch earns more{most}"
        )
    return (
        f"the policy is that of epoch {found.epoch} of {found.epochs}: of its start and its epochs it earns most by "
        f"the world model{most}, {earned:.4g} a session; the start earns {start:.4g}"
    )
