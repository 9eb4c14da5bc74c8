"""How items are chosen by their scores, and the exact probability of each choice.

The propensity of an item is the probability that the strategy puts it at its rank, given the items at the ranks before.
The product over the ranks is the probability of the whole list. Off-policy values need exactly these numbers.

- greedy: the best item that is left. Its propensity is 1.
- sample: rank k shows item i of the items A_k that are left with probability exp(z_i) / sum over j in A_k of exp(z_j),
  the model of Plackett (1975) and Luce (1959) with scores z. It is drawn with the Gumbel top-k trick (Kool et al. 2019,
  Stochastic beams and where to find them): add independent Gumbel noise to all scores, and take the largest sums.
- explore: with probability 1 - epsilon the best item that is left, else one of the items that are left with equal
  chances. The propensity is (1 - epsilon) [i is the best in A_k] + epsilon / |A_k|.

Noise is a function of a seed and the item alone, so that a decision can be repeated from its request, bit for bit.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from darlr.options.serving import StrategyConfig

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
CHUNK = 32  # the keys of which one maximum is taken
LEAST, LOWEST = np.iinfo(np.int64).min, np.finfo(np.float64).min


@dataclass(frozen=True)
class Choice:
    """The items of B users at K ranks. codes: int64 [B, K]. propensities: float64 [B, K]. scores: float32 [B, K].

    counts: int64 [B], how many ranks are filled; there are fewer than K where fewer items may be recommended.
    """

    codes: NDArray[np.int64]
    propensities: NDArray[np.float64]
    scores: NDArray[np.float32]
    counts: NDArray[np.int64]


class Listed(NamedTuple):
    """The items behind columns, where they are a part of a catalogue. items: int64 [n], rising. n_items: I."""

    items: NDArray[np.int64]
    n_items: int


def seed_of(request: str, user: str | None, version: str) -> int:
    """The seed of a decision, below 2^64: BLAKE2b of the request's name, the user's id, and the policy's version."""
    text = json.dumps([request, user, version], allow_nan=False)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def choose(
    scores: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    count: int,
    config: StrategyConfig,
    seeds: NDArray[np.uint64] | None = None,
    listed: Listed | None = None,
) -> Choice:
    """Choose up to `count` different items for each user. scores, allowed: [B, I], with finite scores.

    seeds: [B], for strategies that draw. listed: what the columns are, where they are not the catalogue. A row depends
    on nothing but itself, and its first ranks not on `count`.
    """
    columns = scores.shape[1]
    items, n_items = (np.arange(columns), columns) if listed is None else listed
    wanted = min(count, n_items)
    counts = np.minimum(allowed.sum(1), wanted)
    some = np.flatnonzero(allowed.any(0))
    if listed is not None or wanted <= len(some) <= columns // 2:  # a small part of a catalogue
        some = some if len(some) else np.zeros(1, np.int64)
        items, scores, allowed = items[some], scores[:, some], allowed[:, some]
    width = min(wanted, len(items))
    if config.strategy == "greedy":
        places, propensities = _best(scores, allowed, width), np.ones((len(scores), width))
    else:
        assert seeds is not None
        noise = _draws(seeds, items)
        if config.strategy == "sample":
            places, propensities = _sampled(scores, allowed, width, noise)
        else:
            coins = _draws(seeds, np.arange(n_items, n_items + width))
            places, propensities = _explored(scores, allowed, noise, coins, config.epsilon)
    empty = (0, 0), (0, wanted - width)
    shown = np.pad(np.take_along_axis(scores, places, 1), empty)
    return Choice(np.pad(items[places], empty), np.pad(propensities, empty), shown, counts)


def choose_each(
    scores: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    count: int,
    config: StrategyConfig,
    seeds: NDArray[np.uint64],
    listed: Listed | None = None,
) -> Choice:
    """`choose` for one row after the other, so that no bit of a row depends on which rows are beside it."""
    rows = [slice(row, row + 1) for row in range(len(scores))]
    found = [choose(scores[row], allowed[row], count, config, seeds[row], listed) for row in rows]
    parts = zip(*((one.codes, one.propensities, one.scores, one.counts) for one in found), strict=True)
    return Choice(*(np.concatenate(part) for part in parts))


def _sampled(
    scores: NDArray[np.float32], allowed: NDArray[np.bool_], width: int, noise: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    z = np.where(allowed, scores.astype(np.float64), -np.inf)
    z -= np.maximum(z.max(1, keepdims=True), LOWEST)
    uniform = ((noise >> np.uint64(11)) + 0.5) * 2.0**-53
    codes = _top(z - np.log(-np.log(uniform)), width)
    shown = np.take_along_axis(z, codes, 1)
    np.put_along_axis(z, codes, -np.inf, 1)
    highest = np.maximum(z.max(1, keepdims=True), LOWEST)
    with np.errstate(divide="ignore", invalid="ignore"):  # where nothing is left
        rest = np.log(np.exp(z - highest).sum(1, keepdims=True)) + highest
        left = np.logaddexp.accumulate(np.concatenate([rest, shown[:, ::-1]], 1), 1)[:, :0:-1]
        return codes, np.exp(shown - left)


def _explored(
    scores: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    noise: NDArray[np.uint64],
    coins: NDArray[np.uint64],
    epsilon: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A uniform draw is the next item of a random order, as what was shown tells nothing of the order of the rest."""
    width, rows = coins.shape[1], np.arange(len(scores))
    best = _best(scores, allowed, width)
    order = _top(np.where(allowed, (noise >> np.uint64(1)).astype(np.int64), LEAST), width)
    explores = (coins >> np.uint64(11)) * 2.0**-53 < epsilon
    left, taken = allowed.sum(1), np.zeros(scores.shape, dtype=bool)
    codes, propensities = np.empty(best.shape, np.int64), np.empty(best.shape)
    for k in range(width):
        greedy, drawn = (some[rows, (~taken[rows[:, None], some]).argmax(1)] for some in (best, order))
        codes[:, k] = np.where(explores[:, k], drawn, greedy)
        propensities[:, k] = (1 - epsilon) * (codes[:, k] == greedy) + epsilon / np.maximum(left - k, 1)
        taken[rows, codes[:, k]] = True
    return codes, propensities


def _draws(seeds: NDArray[np.uint64], numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """These numbers of the sequence of SplitMix64 (Steele et al. 2014) from each seed, uint64 [B, count]."""
    x = seeds[:, None] + (numbers + 1).astype(np.uint64) * GOLDEN
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed


def _best(scores: NDArray[np.float32], allowed: NDArray[np.bool_], width: int) -> NDArray[np.int64]:
    """The allowed items of the highest scores, best first; ties go to the lowest code, as in evaluation."""
    bits = (scores.astype(np.float32) + 0).view(np.int32)  # in the order of the numbers, once negative ones are turned
    ordered = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)
    keys = (ordered << 32) + np.arange(scores.shape[1] - 1, -1, -1)
    return _top(np.where(allowed, keys, LEAST), width)


def _top(keys: NDArray[np.int64] | NDArray[np.float64], width: int) -> NDArray[np.int64]:
    """The columns of the largest keys of each row, largest first; a full sort takes ten times longer."""
    n_items = keys.shape[1]
    if len(keys) == 1 and 0 < width * CHUNK < n_items:
        some = _largest(keys[0], width)[None]
        return np.take_along_axis(some, keys[:, some[0]].argsort(1, kind="stable")[:, : -width - 1 : -1], 1)
    whole = np.broadcast_to(np.arange(n_items), keys.shape)
    some = whole if width == n_items else np.argpartition(keys, n_items - width, 1)[:, n_items - width :]
    return np.take_along_axis(some, np.take_along_axis(keys, some, 1).argsort(1, kind="stable")[:, ::-1], 1)


def _largest(keys: NDArray[np.int64] | NDArray[np.float64], width: int) -> NDArray[np.int64]:
    """The columns of the `width` largest keys [I], and of few others, rising.

    As many chunks have a maximum of at least the width-th largest maximum, so that no smaller key is among the largest.
    This takes a third of the time of a partition.
    """
    cut = len(keys) // CHUNK * CHUNK
    highest = keys[:cut].reshape(CHUNK, -1).max(0)
    least = np.partition(highest, len(highest) - width)[len(highest) - width]
    return np.flatnonzero(keys >= least)
