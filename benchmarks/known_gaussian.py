"""A world in which sessions tell, with a known answer: does A2C learn to use the belief?

    OMP_NUM_THREADS=1 python -m benchmarks.known_gaussian --seeds 3        # about 2 CPU-minutes

Nothing is known of a user at first. Tastes are normal, rewards are an item's mean plus factors times the taste, and
answers have normal noise, so that the belief of DARLR+ is the exact posterior. Greedy use of it is best up to the
little that exploring is worth. A2C starts from it, or from nothing: then the belief is an input alone, and the network
must learn what it means. The best of 8 epochs is taken by one set of sessions. All policies then play the same 1,024
other sessions in worlds that training never meets. Returns are those above a random policy's, which are 0 on average.
"""

import argparse
import copy
from dataclasses import replace
from typing import Any

import torch

from benchmarks.known_worlds import predicted
from darlr.agents.learner import Learner, build_learner, build_simulator, learn
from darlr.agents.policy import RecommenderPolicy
from darlr.agents.recommender import Recommender
from darlr.evaluation.protocol import play
from darlr.evaluation.statistics import compare
from darlr.experiments.process import configure
from darlr.experiments.watch import drawn_games
from darlr.options import A2CConfig, RecommenderConfig, SessionConfig, TrackerConfig, TrainConfig
from darlr.simulation.exits import never
from darlr.world.drawn import Factors, Tastes
from darlr.world.tables import World

RANGE, NOISE = 8.0, 1.0  # rewards are between -RANGE and RANGE
EPOCHS = 8
START, NOTHING = 10.0, 1e-6  # the weight of the prior in the logits
FROM_START = A2CConfig(learning_rate=1e-3)
FROM_NOTHING = A2CConfig(learning_rate=2e-3, entropy_coefficient=0.1)


def gaussian(users: int = 512, items: int = 20, width: int = 3, draws: int = 8, seed: int = 0) -> World:
    """A world of users of whom nothing is known, each with `draws` tastes."""
    generator = torch.Generator().manual_seed(seed)
    factors = 0.6 * torch.randn(items, width, generator=generator)
    mean = 0.5 * torch.randn(items, generator=generator)
    taste = torch.randn(draws, users, width, generator=generator)
    taste = (taste - taste.mean(0)) * (draws / (draws - 1)) ** 0.5
    drawn = Factors(taste, factors.expand(draws, -1, -1).contiguous())
    tastes = Tastes(drawn, torch.full((items,), NOISE**2), -RANGE, RANGE)
    plain = predicted((mean - mean.mean()).expand(users, -1).contiguous(), factors, (-RANGE, RANGE))
    return replace(plain, preference=factors / NOISE, tastes=tastes)


def options(prior: float, a2c: A2CConfig, turns: int = 10, sessions: int = 64, scale: float = 2 * RANGE) -> TrainConfig:
    """MBPO with a belief. scale: of the belief in the state; by default a unit of noise has size 1 there."""
    tracker = TrackerConfig(kind="mean", dim=8)
    agent = RecommenderConfig(
        prior=prior, belief=1.0, belief_scale=scale, user_in_state=False, tracker=tracker, a2c=a2c
    )
    session = SessionConfig(exit="none", turns=turns, tastes="drawn")
    return TrainConfig(method="mbpo", sessions=sessions, session=session, recommender=agent)


def returns(world: World, policy: Recommender, turns: int, seed: int = 5) -> torch.Tensor:
    """The expected rewards of each session in worlds that training never meets. seed: of the draws of these."""
    users, agent = torch.arange(world.n_users), RecommenderPolicy(policy)
    games = drawn_games(world, users, torch.Generator().manual_seed(seed))
    options: dict[str, Any] = {"mode": "NX_0", "turns": turns, "users": users}
    return torch.cat([paid(play(agent, told, world.n_items, never, **options)) for told, paid in games])


def train(world: World, config: TrainConfig, rollouts: int) -> Learner:
    """A learner after `rollouts` rollouts."""
    learner = build_learner(world, config)
    simulator = build_simulator(world, learner.tables, never, config)
    for _ in range(rollouts):
        learn(learner, simulator, config.sessions)
    return learner


def best_epoch(world: World, config: TrainConfig, rollouts: int, turns: int = 10) -> Recommender:
    """The policy of the best of EPOCHS equal epochs, by sessions other than those that are reported."""
    learner = build_learner(world, config)
    simulator, best, most = build_simulator(world, learner.tables, never, config), None, -torch.inf
    for number in range(1, rollouts + 1):
        learn(learner, simulator, config.sessions)
        if number % (rollouts // EPOCHS) == 0:
            earned = float(returns(world, learner.recommender, turns, seed=6).mean())
            if best is None or earned > most:
                best, most = copy.deepcopy(learner.recommender), earned
    assert best is not None
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    configure(1)
    cases = {
        "from greedy": (options(START, FROM_START), 160),
        "from nothing": (options(NOTHING, FROM_NOTHING, sessions=512), 480),
        "from nothing, belief_scale 1": (options(NOTHING, FROM_NOTHING, sessions=512, scale=1.0), 480),
    }
    print("| A2C | seed | greedy with the belief | A2C | share | difference [95%] |\n|---|---|---:|---:|---:|---:|")
    for seed in range(asked.seeds):
        world = gaussian(seed=seed)
        best = returns(world, build_learner(world, options(START, FROM_START)).recommender, 10)
        for name, (config, rollouts) in cases.items():
            found = returns(world, best_epoch(world, replace(config, seed=seed), rollouts), 10)
            gain = compare(found[None].numpy(), best[None].numpy())
            share, interval = float(found.mean() / best.mean()), f"[{gain.low:+.3f}, {gain.high:+.3f}]"
            numbers = f"{best.mean():.3f} | {found.mean():.3f} | {share:.4f} | {gain.difference:+.3f} {interval}"
            print(f"| {name} | {seed} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
