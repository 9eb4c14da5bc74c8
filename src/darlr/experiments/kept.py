"""How a run chooses the policy that it hands over (darlr.agents.keep), and says so."""

from math import isclose

import torch

from darlr.agents.keep import Criterion, Earned
from darlr.agents.learner import KEPT
from darlr.agents.recommender import Recommender, RecommenderPolicy
from darlr.agents.seeds import derived
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import whole
from darlr.experiments.finished import HandedOver
from darlr.experiments.logs import Logs
from darlr.options import TrainConfig
from darlr.simulation.exits import Exit
from darlr.world.tables import World

SCORED = 512  # users whose sessions are played after an epoch


def criterion_of(world: World, exit_rule: Exit, config: TrainConfig, logs: Logs) -> Criterion:
    """What greedy sessions earn on r_0, of SCORED users at most, drawn once: by that the best epoch is chosen."""
    generator = torch.Generator().manual_seed(derived(config.seed, KEPT))
    users = torch.randperm(world.n_users, generator=generator)[:SCORED]
    believed = whole(world.reward)

    def criterion(recommender: Recommender) -> Earned:
        played = play(
            RecommenderPolicy(recommender),
            believed,
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
    """Which policy the run hands over, in a sentence."""
    if not found.epochs:
        return "the policy is the start, as nothing was trained"
    if not found.scores:
        return f"the policy is that of the last epoch, {found.epochs}"
    earned, start = (found.scores[name]["shown"] for name in ("earned", "start"))
    # the best as it is learned need not be the best as shown, where sessions differ in length
    mapped = not all(isclose(one["learned"], one["shown"]) for one in (found.scores["earned"], found.scores["start"]))
    most = " as rewards are learned" * mapped
    if not found.epoch:
        return (
            f"the policy is the start: by the world model it earns {start:.4g} a session, and no epoch earns more{most}"
        )
    return (
        f"the policy is that of epoch {found.epoch} of {found.epochs}: of its start and its epochs it earns most by "
        f"the world model{most}, {earned:.4g} a session; the start earns {start:.4g}"
    )
