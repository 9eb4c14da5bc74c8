"""Hit rate, recall and nDCG at 10 of a policy's first list on held-out events (Järvelin and Kekäläinen 2002).

At the start of a session the policy ranks the whole catalogue for each user, without the items of the user's training
log. A test item is relevant where its gain is above 0. The gain is 1 in a log of positives alone, else the reward less
the mean reward of the training log.

- hit rate: whether the first 10 items hold a relevant one. recall: the share of the user's relevant items among them.
- nDCG: the sum of gain / log2(place + 1) over the first 10 items, over the largest sum that is possible.
- first own: the reward of the test item that the policy ranks first among the user's own test items, for users whose
  test rewards differ. Other items do not count.

All four are means over users. coverage is the share of the catalogue in the first 10 items of any of these users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.evaluation.held_out import Interval
from darlr.evaluation.lists import Kind
from darlr.evaluation.statistics import bootstrap_ratio, interval
from darlr.simulation.policy import Policy, masked
from darlr.simulation.session import reset
from darlr.simulation.shortlist import best_items
from darlr.world.context import events

K = 10
NDCG = f"nDCG@{K}"
LISTED = (f"hit rate@{K}", f"recall@{K}", NDCG)
FIRST = "first own"
CELLS = 2**22  # users x items that are ranked at once; it bounds memory and changes no number

Reals = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class UnseenItems:
    """Test items in scope codes, one entry for each user and item, by rising user.

    user, item: int64 [n]. reward: float64 [n], the mean of the entry's events, in the log's own unit. gain: float64
    [n]. known: int64 [m], the cells user * n_items + item of the training log, rising. implicit: whether the log holds
    positives alone.
    """

    user: Integers
    item: Integers
    reward: Reals
    gain: Reals
    known: Integers
    n_items: int
    implicit: bool

    @property
    def users(self) -> Integers:
        """The users with a test item, int64 [V], rising."""
        return np.unique(self.user)


def last_events(test: InteractionLog, training: InteractionLog) -> NDArray[np.bool_]:
    """Mark the test events later than all of the user's training events, bool [n]; both logs need timestamps."""
    assert test.timestamp is not None
    assert training.timestamp is not None
    newest = np.full(test.n_users, np.iinfo(np.int64).min)
    np.maximum.at(newest, training.user, training.timestamp)
    return np.asarray(test.timestamp > newest[test.user])


def unseen_items(test: InteractionLog, training: InteractionLog) -> UnseenItems:
    """Find the test items that are not in the user's training log; both logs are in scope codes and their own unit."""
    user, item, mean = events(test)
    known = np.unique(training.user * training.n_items + training.item)
    new = ~np.isin(user * test.n_items + item, known)
    user, item, reward = user[new], item[new], mean[new].astype(np.float64)
    implicit = training.implicit
    gain = np.ones(len(reward)) if implicit else reward - training.reward.mean(dtype=np.float64)
    return UnseenItems(user, item, reward, np.maximum(gain, 0.0), known, test.n_items, implicit)


@dataclass(frozen=True)
class Ranked:
    """The measures of a row, measure -> (numerator, denominator) by test user, float64 [V] both, and its coverage."""

    sums: Mapping[str, tuple[Reals, Reals]]
    coverage: float


def rank(policies: Sequence[Policy], found: UnseenItems) -> Ranked:
    """Measure the lists of a row's policies, one for each training seed; measures are means over seeds."""
    users = found.users
    measured, shares = zip(*(_rank(policy, found, users) for policy in policies), strict=True)
    values = np.mean(measured, axis=0)
    row = np.searchsorted(users, found.user)
    relevant = (np.bincount(row, found.gain > 0, minlength=len(users)) > 0).astype(np.float64)
    bounds = np.searchsorted(row, np.arange(len(users)))
    least, most = (extreme.reduceat(found.reward, bounds) for extreme in (np.minimum, np.maximum))
    differ = (most > least).astype(np.float64)
    sums = {name: (values[:, place], relevant) for place, name in enumerate(LISTED)}
    if not found.implicit:
        sums[FIRST] = (values[:, -1] * differ, differ)
    return Ranked(sums, float(np.mean(shares)))


def _rank(policy: Policy, found: UnseenItems, users: Integers) -> tuple[Reals, float]:
    """Compute hit rate, recall, nDCG and first own of each test user, float64 [V, 4], and the coverage."""
    measured = np.zeros((len(users), len(LISTED) + 1))
    shown = np.zeros(found.n_items, dtype=bool)
    size = max(1, CELLS // found.n_items)
    for start in range(0, len(users), size):
        some = users[start : start + size]
        scores, allowed = _scores(policy, found, some)
        entries = slice(*np.searchsorted(found.user, [some[0], some[-1] + 1]))
        row, item = np.searchsorted(some, found.user[entries]), found.item[entries]
        best = best_items(scores, min(K, found.n_items))
        top = best.gather(1, scores.gather(1, best).argsort(dim=1, descending=True, stable=True)).numpy()
        shown[top[np.take_along_axis(allowed, top, 1)]] = True
        gains = np.zeros(allowed.shape)
        gains[row, item] = found.gain[entries]
        own = np.lexsort((item, -scores.numpy()[row, item], row))
        first = found.reward[entries][own][np.unique(row[own], return_index=True)[1]]
        listed = _listed(np.take_along_axis(gains, top, 1), row, found.gain[entries])
        measured[start : start + size] = np.column_stack([listed, first])
    return measured, float(shown.mean())


def _scores(policy: Policy, found: UnseenItems, users: Integers) -> tuple[Tensor, NDArray[np.bool_]]:
    """Score items, those of the training log at -inf, [users, I], and mark the others, likewise."""
    low, high = np.searchsorted(found.known, [users[0] * found.n_items, (users[-1] + 1) * found.n_items])
    known = found.known[low:high]
    known = known[np.isin(known // found.n_items, users)]
    allowed = np.ones((len(users), found.n_items), dtype=bool)
    allowed[np.searchsorted(users, known // found.n_items), known % found.n_items] = False
    with torch.no_grad():
        scores = masked(policy.scores(reset(torch.from_numpy(users), found.n_items, 1)), torch.from_numpy(allowed))
    return scores, allowed


def _listed(gains: Reals, row: Integers, gain: Reals) -> Reals:
    """Compute hit rate, recall and nDCG, float64 [users, 3], of lists with gains [users, K]; test items [n] by row."""
    count = np.bincount(row, gain > 0, minlength=len(gains))
    discount = 1 / np.log2(np.arange(K) + 2)
    order = np.lexsort((-gain, row))
    place = np.arange(len(row)) - np.searchsorted(row, row)
    weight = np.where(place < K, discount[np.minimum(place, K - 1)], 0.0)
    ideal = np.bincount(row, gain[order] * weight, minlength=len(gains))
    hits, reached = (gains > 0).sum(1), gains @ discount[: gains.shape[1]]
    recall, ndcg = (
        np.divide(part, whole, out=np.zeros(len(gains)), where=count > 0)
        for part, whole in ((hits, count), (reached, ideal))
    )
    return np.stack([np.minimum(hits, 1), recall, ndcg], axis=1)


@dataclass(frozen=True)
class Measured:
    """One row of the table. behind: the nDCG of the first row less that of this one, paired by user."""

    name: str
    kind: Kind
    measures: Mapping[str, Interval]
    coverage: float
    behind: Interval


def measure(rows: Mapping[str, tuple[Kind, Ranked]], *, seed: int = 0, resamples: int = 2000) -> list[Measured]:
    """Compute every row with its intervals, paired by user, by falling nDCG; measures without any user are left out."""
    ranked = [one for _, one in rows.values()]
    names = [name for name, (_, count) in ranked[0].sums.items() if count.sum() > 0]
    above, below = (np.stack([[one.sums[n][side] for n in names] for one in ranked]) for side in (0, 1))
    value = above.sum(2) / below.sum(2)  # [rows, measures]
    columns = (part.reshape(len(ranked) * len(names), -1).T for part in (above, below))
    generator = np.random.default_rng(seed)
    draws = bootstrap_ratio(*columns, generator=generator, resamples=resamples).reshape(resamples, *value.shape)
    chief = names.index(NDCG)
    best = int(value[:, chief].argmax())
    gap, gap_draws = value[best, chief] - value[:, chief], draws[:, best, chief, None] - draws[:, :, chief]
    found = [
        Measured(
            name,
            kind,
            {n: Interval(float(value[row, m]), *interval(draws[:, row, m])) for m, n in enumerate(names)},
            one.coverage,
            Interval(float(gap[row]), *interval(gap_draws[:, row])),
        )
        for row, (name, (kind, one)) in enumerate(rows.items())
    ]
    return sorted(found, key=lambda row: -row.measures[NDCG].value)
