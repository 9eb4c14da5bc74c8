"""Worlds with known answers: does DARLR solve them?

    python benchmarks/known_worlds.py --seeds 5

Checkerboard: even users like even items, odd users odd ones. With categories, a category shown twice in a row ends
the session, so that the best policy must vary. Clusters: two groups of users with noisy preferences of their own; a
good selector takes its references from the user's own group.
"""

import argparse
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from darlr.agents.learner import Learner, build_learner, build_simulator, learn
from darlr.agents.policy import RecommenderPolicy
from darlr.agents.rollout import rollout
from darlr.data.item_features import category_bits
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import Truth
from darlr.experiments.process import configure
from darlr.options import A2CConfig, RecommenderConfig, RewardConfig, SelectorConfig, SessionConfig, TrainConfig
from darlr.simulation.exits import CategoryExit, Exit, never
from darlr.world.entropy import EntropyTable
from darlr.world.estimates import Dense
from darlr.world.feedback import standardise
from darlr.world.tables import World

SESSION = SessionConfig(exit="category", window=1, turns=8)
RECOMMENDER = RecommenderConfig(a2c=A2CConfig(learning_rate=3e-3, minibatch=512))
SELECTOR = SelectorConfig(picks=5, a2c=A2CConfig(learning_rate=3e-3, minibatch=1024))
CONFIG = TrainConfig(
    sessions=64,
    session=SESSION,
    reward=RewardConfig(start="frozen"),
    recommender=RECOMMENDER,
    selector=SELECTOR,
)


@dataclass(frozen=True)
class Known:
    """A world with its truth and its best return. group: int64 [U], the users' planted groups."""

    world: World
    truth: Truth
    rule: Exit
    group: Tensor
    best: float


def predicted(reward: Tensor, item_vectors: Tensor, reward_range: tuple[float, float] = (0.0, 1.0)) -> World:
    """The world of a model that predicts `reward` [U, I]."""
    items, indicator = reward.shape[1], reward - reward.mean(0)
    return World(
        reward=Dense(reward),
        risk=Dense(torch.zeros_like(reward)),
        user_features=standardise(indicator),
        unit=torch.nn.functional.normalize(indicator, dim=1),
        item_vectors=item_vectors,
        entropy=EntropyTable(torch.ones(items), torch.zeros(0, dtype=torch.int64), torch.zeros(0)),
        reward_range=reward_range,
    )


def known(reward: Tensor, rule: Exit, group: Tensor, item_vectors: Tensor, best: float) -> Known:
    """A world model that predicts `reward` [U, I] exactly, and the truth that agrees with it."""
    world, (users, items) = predicted(reward, item_vectors), reward.shape
    return Known(world, Truth(np.arange(users), np.arange(items), reward), rule, group, best)


def checkerboard(users: int = 30, items: int = 24, categories: int = 0) -> Known:
    """Reward 1 where user and item have the same parity, else 0; best return: 1 a turn.

    categories: 0 = no exit; else item i is of category (i // 2) % categories, and a category twice in a row exits.
    """
    user, item = torch.arange(users), torch.arange(items)
    reward = (user[:, None] % 2 == item % 2).float()
    vectors = torch.eye(items)
    if not categories:
        return known(reward, never, user % 2, vectors, best=float(SESSION.turns))
    category = (item // 2) % categories
    rule = CategoryExit(category_bits(category[:, None], categories))
    vectors = torch.cat([vectors, torch.nn.functional.one_hot(category).float()], dim=1)
    return known(reward, rule, user % 2, vectors, best=float(SESSION.turns))


def clusters(users: int = 40, items: int = 24, noise: float = 0.2, seed: int = 0) -> Known:
    """Two groups that like opposite halves of the catalogue, each user with noise of their own."""
    generator = torch.Generator().manual_seed(seed)
    group = torch.arange(users) % 2
    liked = group[:, None] == (torch.arange(items) >= items // 2).long()
    reward = (liked.float() * 0.6 + 0.2 + noise * torch.randn(users, items, generator=generator)).clamp(0, 1)
    return known(reward, never, group, torch.eye(items), best=float("nan"))


def train(problem: Known, config: TrainConfig, rollouts: int) -> Learner:
    """DARLR for `rollouts` rollouts and updates."""
    learner = build_learner(problem.world, config)
    simulator = build_simulator(problem.world, learner.tables, problem.rule, config)
    for _ in range(rollouts):
        learn(learner, simulator, config.sessions)
    return learner


def share_of_best(problem: Known, learner: Learner) -> float:
    """Mean true return of the greedy policy over all users, as a share of the best there is (NX_0)."""
    played = play(
        RecommenderPolicy(learner.recommender),
        problem.truth,
        problem.world.n_items,
        problem.rule,
        mode="NX_0",
        turns=SESSION.turns,
    )
    return float(played.returns.mean()) / problem.best


def picks(problem: Known, learner: Learner, config: TrainConfig) -> tuple[float, float]:
    """Share of the selector's picks from the user's own group, and mean diversity of a set, in one more rollout."""
    simulator = build_simulator(problem.world, learner.tables, problem.rule, config)
    turns = rollout(
        learner.recommender, learner.selector, simulator, learner.tables, config.sessions, learner.generators
    ).turns
    if turns.references is None:
        raise ValueError("this method has no selector")
    own = problem.group[turns.references.users] == problem.group[turns.observation.user][:, None]
    return float(own.float().mean()), float(turns.references.diversity.mean())


def selector_config(lambda_d: float, seed: int = 0) -> TrainConfig:
    """The selector on its gains alone: similarity, and diversity weighted by `lambda_d`."""
    selector = replace(SELECTOR, lambda_s=1.0, lambda_d=lambda_d, reward="none")
    return replace(CONFIG, selector=selector, seed=seed, session=replace(SESSION, exit="none"))


def main() -> None:
    """Print every result of docs/results.md, section on known worlds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rollouts", type=int, default=150)
    options = parser.parse_args()
    configure(1)
    print("| world | seed | share of the oracle's return |\n|---|---|---|")
    for name, categories in (("checkerboard", 0), ("checkerboard with exits", 4)):
        for seed in range(options.seeds):
            problem = checkerboard(categories=categories)
            learner = train(problem, replace(CONFIG, seed=seed), options.rollouts)
            print(f"| {name} | {seed} | {share_of_best(problem, learner):.3f} |", flush=True)
    print("\n| lambda_d | seed | picks from the own cluster | diversity of a set |\n|---|---|---|---|")
    for lambda_d in (0.0, 1.0, 5.0):
        for seed in range(options.seeds):
            config = selector_config(lambda_d, seed)
            problem = clusters(seed=seed)
            own, diversity = picks(problem, train(problem, config, options.rollouts), config)
            print(f"| {lambda_d:g} | {seed} | {own:.3f} | {diversity:.3f} |", flush=True)


if __name__ == "__main__":
    main()
