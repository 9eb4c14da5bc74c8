"""The probabilities that a strategy gives to items that something else chose, and what it can expect."""

import numpy as np
from numpy.typing import NDArray

from darlr.options.serving import StrategyConfig

Reals = NDArray[np.float64]


def along(
    scores: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    codes: NDArray[np.int64],
    config: StrategyConfig,
    values: NDArray[np.float32],
) -> tuple[Reals, Reals]:
    """(propensities, expected), both float64 [B, K], of a strategy along given lists.

    scores, values: [B, I]. allowed: bool [B, I]. codes: [B, K], the items by rank, -1 for none or for one that the
    policy does not know. propensities: of each item at its rank, given the items at the ranks before, as
    `darlr.serving.strategy` defines them; 0 for an item that the strategy cannot show. expected: the mean of `values`
    over what the strategy would show at the rank, given the items at the ranks before; 0 where nothing is left.
    """
    rows, left = np.arange(len(codes)), allowed.copy()
    share = {"greedy": 0.0, "explore": config.epsilon, "sample": 0.0}[config.strategy]
    propensities, expected = np.zeros(codes.shape), np.zeros(codes.shape)
    for k, code in enumerate(codes.T):
        some, known = left.any(1), code >= 0
        item = np.where(known, code, 0)
        possible = known & left[rows, item]
        if config.strategy == "sample":
            z = np.where(left, scores.astype(np.float64), -np.inf)
            weights = np.exp(z - np.where(some, z.max(1), 0.0)[:, None])
            chance = weights / np.where(some, weights.sum(1), 1.0)[:, None]
            propensities[:, k], expected[:, k] = chance[rows, item] * possible, (chance * values).sum(1)
        else:
            best = np.where(left, scores, -np.inf).argmax(1)  # ties go to the lowest code
            number = np.maximum(left.sum(1), 1)
            propensities[:, k] = possible * ((1 - share) * (item == best) + share / number)
            mean = np.where(left, values, 0.0).sum(1) / number if share else 0.0
            expected[:, k] = some * ((1 - share) * values[rows, best] + share * mean)
        left[rows[known], code[known]] = False
    return propensities, expected
