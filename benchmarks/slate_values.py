"""How often do the intervals for logged lists cover the truth? `python -m benchmarks.slate_values --logs 1000`

Each log is a new draw from one small world: 300 users with two decisions each, lists of two items, a fifth of the
feedback missing, and a world model that orders items badly. The value of the other policy is known by every list.
"""

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darlr.evaluation.slates import Slates, Value, value_of

Array = NDArray[Any]
CONTEXTS, ITEMS, RANKS, USERS, EACH = 3, 4, 2, 300, 2
DRAW = np.random.default_rng(5)
BASE, PAIR = DRAW.uniform(1, 4, (CONTEXTS, ITEMS)), DRAW.normal(size=(CONTEXTS, ITEMS, ITEMS))
LOGGING, TARGET = (0.5 * DRAW.normal(size=(CONTEXTS, ITEMS)) for _ in range(2))
WRONG = BASE + DRAW.normal(size=BASE.shape)  # a model that orders items badly


def reward(x: Any, first: Any, second: Any = None) -> Any:
    """Mean rewards: those of rank 2 depend on the item at rank 1, as the cascade model allows."""
    return BASE[x, first] if second is None else 0.5 * BASE[x, second] + 0.5 * PAIR[x, first, second]


def chances(logits: Array, x: Array, taken: Array | None = None) -> Array:
    """The chance of each item for contexts x, without the items that were taken."""
    weights = np.exp(logits[x])
    if taken is not None:
        weights[np.arange(len(x)), taken] = 0.0
    return weights / weights.sum(1, keepdims=True)


def truth(logits: Array) -> float:
    """The value by every list of every context, Plackett and Luce's model."""
    total = 0.0
    for x, (i, j) in itertools.product(range(CONTEXTS), itertools.permutations(range(ITEMS), 2)):
        p = np.exp(logits[x]) / np.exp(logits[x]).sum()
        total += p[i] * p[j] / (1 - p[i]) * (reward(x, i) + reward(x, i, j))
    return total / CONTEXTS / RANKS


def drawn(chance: Array, draw: np.random.Generator) -> Array:
    """One item a row."""
    return (draw.random(len(chance))[:, None] > chance.cumsum(1)[:, :-1]).sum(1)


def log(seed: int, missing: float = 0.0) -> tuple[Slates, dict[str, Array]]:
    """A log of users, whose decisions share a habit, and what the other policy would have done."""
    draw = np.random.default_rng((8, seed))
    x = draw.integers(CONTEXTS, size=USERS * EACH)
    cluster = np.arange(USERS).repeat(EACH)
    rows = np.arange(len(x))
    habit = draw.normal(size=USERS).repeat(EACH)[:, None] * 0.5 + draw.normal(size=(len(x), RANKS)) * 0.3
    p1 = chances(LOGGING, x)
    first = drawn(p1, draw)
    p2 = chances(LOGGING, x, first)
    second = drawn(p2, draw)
    t1, t2 = chances(TARGET, x), chances(TARGET, x, first)
    earned = np.stack([reward(x, first), reward(x, first, second)], 1) + habit
    earned[draw.random(earned.shape) < missing] = np.nan
    own = drawn(t1, draw)
    rolled = np.stack([(t1 * WRONG[x]).sum(1), (chances(TARGET, x, own) * WRONG[x]).sum(1)], 1)
    pick = lambda one, two: np.stack([one[rows, first], two[rows, second]], 1)  # noqa: E731
    logged = Slates(cluster, earned, np.ones(earned.shape, bool), pick(p1, p2))
    choices = {
        "target": pick(t1, t2),
        "predicted": pick(WRONG[x], WRONG[x]),
        "expected": np.stack([(t1 * WRONG[x]).sum(1), (t2 * WRONG[x]).sum(1)], 1),
        "rolled": rolled,
    }
    return logged, choices


def values(logs: int, resamples: int) -> Iterator[Value]:
    """The estimates from each of so many logs."""
    for seed in range(logs):
        logged, choices = log(seed, missing=0.2)
        yield value_of(logged, **choices, resamples=resamples, seed=seed)


def covered(found: list[Value]) -> dict[str, float]:
    """The share of the logs in which each interval covers the truth."""
    value = truth(TARGET)
    true = {"dm": value, "snips": value, "dr": value, "gain": value - truth(LOGGING)}
    return {
        name: float(np.mean([getattr(one, name).low <= number <= getattr(one, name).high for one in found]))
        for name, number in true.items()
    }


def main() -> None:
    """Print the coverage of each estimate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=500)
    options = parser.parse_args()
    for name, share in covered(list(values(options.logs, options.resamples))).items():
        print(f"{name}: {share:.3f} of {options.logs:,} logs")


if __name__ == "__main__":
    main()
