"""The sessions of the synthetic world: users tire of categories, and leave when they are tired or disappointed."""

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import IntArray, Mask
from darlr.options import SyntheticConfig

Floats = NDArray[np.floating]
LAGS = 8  # the items back to which categories tire
SHORT, LONG = 60.0, 86_400.0  # mean seconds between items of a session, and between sessions


def visits(
    config: SyntheticConfig, counts: IntArray, item: IntArray, reward: Floats, categories: IntArray, luck: Floats
) -> tuple[Floats, Mask]:
    """The rewards less fatigue, clipped to 1 to 5, and which events begin a session, [L] each.

    counts: int64 [U], the events of each user, which follow one another. reward: [L], before fatigue. categories: int64
    [I, most], padded with -1. luck: uniform numbers, [L, 2].
    """
    first = np.cumsum(counts) - counts
    reward, begins = reward.copy(), np.zeros(len(item), dtype=bool)
    start, bad = first.copy(), np.zeros(len(counts), dtype=np.int64)
    for turn in range(int(counts.max(initial=0))):
        user = np.flatnonzero(counts > turn)
        event = first[user] + turn
        tired = np.zeros(len(user))
        for lag in range(1, min(LAGS, turn) + 1):
            now, before = categories[item[event]], categories[item[event - lag]]
            shared = ((now[:, :, None] == before[:, None, :]) & (now >= 0)[:, :, None]).sum((1, 2))
            tired += config.recovery ** (lag - 1) * shared * (event - lag >= start[user])
        reward[event] = (reward[event] - config.fatigue * tired).clip(1, 5)
        begins[event] = event == start[user]
        bad[user] += (disappointed := reward[event] < config.leave)
        leaves = disappointed & (bad[user] >= config.leave_patience) & (luck[event, 0] < config.leave_chance)
        leaves |= luck[event, 1] < -np.expm1(-config.tiring * tired)
        start[user[leaves]], bad[user[leaves]] = event[leaves] + 1, 0
    return reward, begins


def gaps(unit: Floats, begins: Mask) -> IntArray:
    """Seconds before each event, int64 [L], from exponential numbers of mean 1."""
    return np.asarray(1 + unit * SHORT + begins * (LONG / 4 + unit * LONG), dtype=np.int64)
