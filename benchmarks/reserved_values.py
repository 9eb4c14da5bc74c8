"""Do off-policy values from reserved events cover the truth?

    python -m benchmarks.reserved_values --users 2000 --logs 200 --resamples 1000

Each log is drawn anew: three events of each user, four arms with the propensities of ARMS, rewards by PAYS. The
events that `darlr.data.split.reserve` keeps evaluate the log's own policy and one that was learned from the rest.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import InteractionLog
from darlr.data.split import reserve
from darlr.evaluation.off_policy import Bandit, mean_reward, off_policy

ARMS = np.array([0.85, 0.05, 0.05, 0.05])  # the log's policy
PAYS = np.array([0.2, 0.6, 0.6, 0.5])
MODEL = np.array([0.3, 0.4, 0.5, 0.6])  # what the world model says of each arm: wrong, but fixed


def bandit_log(seed: int, users: int, events: int = 3) -> InteractionLog:
    """Some events of each user; the same arm often comes again."""
    draw = np.random.default_rng(seed)
    user = np.arange(users).repeat(events)
    arm = draw.choice(4, size=len(user), p=ARMS)
    return InteractionLog(
        name="arms",
        user=user,
        item=arm,
        reward=(draw.random(len(user)) < PAYS[arm]).astype(np.float32),
        propensity=ARMS[arm].astype(np.float32),
        user_ids=tuple(range(users)),
        item_ids=tuple(range(4)),
    )


def chosen(rest: InteractionLog) -> NDArray[np.int64]:
    """A policy of each user's own: the arm that paid last among its events for training, else the last of them, [U]."""
    choice = np.full(rest.n_users, 3)
    choice[rest.user] = rest.item
    paid = rest.reward > 0
    choice[rest.user[paid]] = rest.item[paid]
    return choice


def coverage(users: int, logs: int, resamples: int) -> dict[str, float]:
    """How often each 95% interval holds what is true."""
    hits: dict[str, int] = {}
    mean = float(ARMS @ PAYS)
    for seed in range(logs):
        rest, kept = reserve(bandit_log(seed, users), 0.3)
        choice, reward, arm = chosen(rest), kept.reward.astype(float), kept.item
        value = 0.5 * mean + 0.5 * float(PAYS[choice].mean())
        learned = 0.5 * ARMS[arm] + 0.5 * (arm == choice[kept.user])
        expected = 0.5 * float(ARMS @ MODEL) + 0.5 * MODEL[choice[kept.user]]
        own = Bandit(kept.user, reward, ARMS[arm], ARMS[arm], MODEL[arm], np.full(len(arm), ARMS @ MODEL))
        policy = Bandit(kept.user, reward, ARMS[arm], learned, MODEL[arm], expected)
        one, other = (off_policy(bandit, resamples=resamples) for bandit in (own, policy))
        told = {
            "mean": (mean_reward(kept.user, kept.reward, resamples=resamples), mean),
            "DR, the log's own policy": (one.dr, mean),
            "DR, a learned policy": (other.dr, value),
            "SNIPS, a learned policy": (other.snips, value),
        }
        for name, (found, true) in told.items():
            hits[name] = hits.get(name, 0) + (found is not None and found.low <= true <= found.high)
    return {name: count / logs for name, count in hits.items()}


def main() -> None:
    """Print the coverage of each estimate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--logs", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=1000)
    for name, share in coverage(**vars(parser.parse_args())).items():
        print(f"{name}: {share:.3f}")


if __name__ == "__main__":
    main()
