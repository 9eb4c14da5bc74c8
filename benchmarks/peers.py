"""Our A2C beside that of stable-baselines3 and tianshou, on the same world: CPU-seconds for 100,000 transitions.

    python -m venv .venv-peers && .venv-peers/bin/python -m pip install -e ".[peers]"       # an environment of its own
    DARLR_DATA=<folder that holds coat/> OMP_NUM_THREADS=1 .venv-peers/bin/python -m benchmarks.peers

All play sessions of 30 turns in the table of rewards that one world model of Coat predicts. Our rows are the whole
method. The others see the vectors and rewards of the last three items, have two hidden layers of 64, the same discount
and rate, and the number of sessions side by side and of transitions in a gradient step that MBPO has. Their environment
is one batch of NumPy arrays. They may show an item twice, which is less work. The libraries take turns, so that a busy
machine slows all of them alike. Medians, and ratios to each row from the same rounds.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.hot_loop import STEPS, costs, prepare, quick_world
from benchmarks.limit import train_options
from benchmarks.machine import name
from darlr.experiments.process import configure
from darlr.options import TrainConfig

SESSIONS, UPDATE = 100, 1000  # sessions side by side, and transitions in a gradient step
PLAIN = "--sessions 100 --recommender.no-user-in-state --recommender.tracker.kind mean --recommender.a2c.minibatch 1000"
OURS = {
    "darlr: MBPO, mean tracker": f"--method mbpo {PLAIN}",
    "darlr: MBPO, mean tracker, compiled": f"--method mbpo {PLAIN} --compile on",
    "darlr: ROLeR": "--method roler --sessions 100",
    "darlr: DARLR, all users": "--method darlr --sessions 100",
    "darlr: DARLR, pool of 64": "--method darlr --sessions 100 --selector.candidates 64",
}
HIDDEN, WINDOW = [64, 64], 3
Reals = NDArray[np.float32]


class Batch:
    """Sessions of a table of rewards [U, I], as NumPy arrays: what was seen of the last items is the observation."""

    def __init__(self, reward: Reals, items: Reals, turns: int, sessions: int = SESSIONS) -> None:
        """items: vectors of items, [I, d]."""
        self.reward, self.turns, self.sessions = reward, turns, sessions
        self.tokens = np.concatenate([items, np.zeros((len(items), 1), np.float32)], 1)
        self.draw, self.width = np.random.default_rng(0), WINDOW * self.tokens.shape[1]
        self.seen = np.zeros((sessions, self.width), np.float32)
        self.user, self.turn = np.zeros(sessions, np.int64), 0

    def reset(self) -> Reals:
        """Begin all sessions with new users."""
        self.user, self.turn = self.draw.integers(len(self.reward), size=self.sessions), 0
        self.seen[:] = 0
        return self.seen.copy()

    def step(self, action: NDArray[np.int64]) -> tuple[Reals, Reals, bool]:
        """Show items [B]: the observations, the rewards, and whether all sessions are over."""
        earned, token = self.reward[self.user, action], self.tokens[action]
        token[:, -1] = earned
        self.seen = np.concatenate([self.seen[:, token.shape[1] :], token], 1)
        self.turn += 1
        return self.seen.copy(), earned, self.turn == self.turns


def stable_baselines(batch: Batch, config: TrainConfig) -> Callable[[int], None]:
    """A2C of stable-baselines3 over these sessions: a function that trains for some transitions."""
    from gymnasium.spaces import Box, Discrete
    from stable_baselines3 import A2C
    from stable_baselines3.common.vec_env import VecEnv

    class Sessions(VecEnv):  # type: ignore[misc]
        def __init__(self) -> None:
            wide = Box(-np.inf, np.inf, (batch.width,), np.float32)
            super().__init__(batch.sessions, wide, Discrete(batch.reward.shape[1]))

        def reset(self) -> Reals:
            return batch.reset()

        def step_async(self, actions: NDArray[np.int64]) -> None:
            self.actions = actions

        def step_wait(self) -> tuple[Reals, Reals, NDArray[np.bool_], list[dict[str, Any]]]:
            seen, reward, over = batch.step(self.actions)
            done, info = np.full(batch.sessions, over), [{} for _ in range(batch.sessions)]
            if over:
                info, seen = [{"terminal_observation": one} for one in seen], batch.reset()
            return seen, reward, done, info

        def close(self) -> None: ...

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [None] * batch.sessions

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **more: Any) -> list[Any]:
            return [None] * batch.sessions

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * batch.sessions

    a2c = config.recommender.a2c
    model = A2C(
        "MlpPolicy",
        Sessions(),
        n_steps=UPDATE // batch.sessions,
        gamma=a2c.gamma,
        learning_rate=a2c.learning_rate,
        use_rms_prop=False,
        policy_kwargs={"net_arch": HIDDEN},
        device="cpu",
    )
    return lambda steps: model.learn(steps, reset_num_timesteps=False) and None


def tianshou(batch: Batch, config: TrainConfig) -> Callable[[int], None]:
    """A2C of tianshou over these sessions: a function that trains for some transitions."""
    import gymnasium
    from gymnasium.spaces import Box, Discrete
    from tianshou.algorithm import A2C
    from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv
    from tianshou.utils.net.common import Net
    from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic

    wide, items = Box(-np.inf, np.inf, (batch.width,), np.float32), batch.reward.shape[1]

    class Spaces(gymnasium.Env):  # type: ignore[misc]
        observation_space, action_space = wide, Discrete(items)

    class Sessions(DummyVectorEnv):  # type: ignore[misc]
        """All sessions as one batch, which end together."""

        def __init__(self) -> None:
            super().__init__([Spaces] * batch.sessions)

        def reset(self, env_id: Any = None, **more: Any) -> tuple[Reals, NDArray[Any]]:
            return batch.reset(), np.array([{} for _ in range(batch.sessions)])

        def step(self, action: Any, id: Any = None) -> Any:
            seen, reward, over = batch.step(np.asarray(action))
            infos = np.array([{"env_id": one} for one in range(batch.sessions)])
            return seen, reward, np.full(batch.sessions, over), np.zeros(batch.sessions, bool), infos

    a2c = config.recommender.a2c
    actor = DiscreteActor(
        preprocess_net=Net(state_shape=wide.shape, hidden_sizes=HIDDEN), action_shape=items, softmax_output=False
    )
    algorithm = A2C(
        policy=DiscreteActorPolicy(actor=actor, action_space=Discrete(items)),
        critic=DiscreteCritic(preprocess_net=Net(state_shape=wide.shape, hidden_sizes=HIDDEN)),
        optim=AdamOptimizerFactory(lr=a2c.learning_rate),
        gamma=a2c.gamma,
        max_batchsize=UPDATE,
    )
    buffer = VectorReplayBuffer(UPDATE, batch.sessions)
    collector = Collector(algorithm, Sessions(), buffer)
    collector.reset()

    def learn(steps: int) -> None:
        from tianshou.utils.torch_utils import policy_within_training_step

        for _ in range(steps // UPDATE):
            with policy_within_training_step(algorithm.policy):
                collector.collect(n_step=UPDATE)
                algorithm.update(buffer, batch_size=UPDATE, repeat=1)
                collector.reset_buffer(keep_statistics=True)

    return learn


def spent(learn: Callable[[int], None], steps: int) -> float:
    """CPU-seconds for 100,000 transitions."""
    start = time.process_time()
    learn(steps)
    return (time.process_time() - start) / steps * STEPS


def main() -> None:
    """Print a table: the median of each row, and how many times dearer it is than our MBPO."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="coat")
    parser.add_argument("--steps", type=int, default=30_000, help="transitions of a row in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="rows whose names hold one of these words")
    parser.add_argument("--without", nargs="+", default=[], help="no rows whose names hold one of these words")
    options = parser.parse_args()
    configure(1)
    found: dict[str, list[float]] = {}
    rows: dict[str, Callable[[int], float]] = {}
    for row, words in OURS.items():
        learner, simulator, world = prepare(*quick_world(options.data), train_options(options.data, words.split()))

        def ours(steps: int, learner: Any = learner, simulator: Any = simulator) -> float:
            return costs(learner, simulator, SESSIONS, steps, repeats=1)[0]

        rows[row] = ours
    reward, items, config = world.reward.whole().numpy(), world.item_vectors.numpy(), TrainConfig()
    for row, build in (("stable-baselines3: A2C", stable_baselines), ("tianshou: A2C", tianshou)):
        learn = build(Batch(reward, items, config.session.turns), config)
        learn(UPDATE)
        rows[row] = lambda steps, learn=learn: spent(learn, steps)
    for row in list(rows):
        wanted = not options.only or any(word in row for word in options.only)
        if not wanted or any(word in row for word in options.without):
            del rows[row]
    for _ in range(options.rounds):
        for row, measure in rows.items():
            found.setdefault(row, []).append(measure(options.steps))
    first = found[next(iter(found))]
    print(f"{name()}; data {options.data}; {options.rounds} rounds of {options.steps:,} transitions\n")
    print("| row | CPU-s per 100,000 transitions | range | times the first row |\n|---|---:|---:|---:|")
    for row, taken in found.items():
        times = median(one / other for one, other in zip(taken, first, strict=True))
        print(f"| {row} | {median(taken):.2f} | {min(taken):.2f} to {max(taken):.2f} | {times:.1f} |")


if __name__ == "__main__":
    main()
