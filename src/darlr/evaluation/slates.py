"""What a policy is worth by logged lists whose propensities are known: DM, SNIPS and DR.

A decision shows items a_1, ..., a_K to a user in a context x. The logging policy drew a_k with probability
p_k = pi_0(a_k | x, a_1..a_{k-1}), and the item earned r_k. The value of a policy pi is the mean reward of a shown item,
V = E[r_1 + ... + r_K] / E[K], where pi shows all lists. It is assumed that

- r_k depends on x and on a_1..a_k, but not on items further down (the cascade model). Rewards of a rank that depend on
  no other item, the item-position model, are a special case;
- the requests x, and the number K of items, would be the same under pi;
- whether an item gets feedback depends on its rank alone, where items without feedback are left out.

With w_k = prod_{j <= k} pi(a_j | x, a_1..a_{j-1}) / p_j and n_k the number of decisions that have a rank k:

SNIPS: sum_k n_k (sum_i w_ik r_ik / sum_i w_ik) / sum_k n_k, each sum over the decisions i with feedback at rank k
    (McInerney et al., KDD 2020, Counterfactual evaluation of slate recommendations with sequential reward interactions,
    self-normalised by rank).
DR: the mean over decisions of sum_k [w_{k-1} (e_k + f_k) + w_k (o_k (r_k - q_k) / s_k - f_k)], over the mean of K
    (Kiyohara et al., WSDM 2022, Doubly robust off-policy evaluation for ranking policies under the cascade behavior
    model). q_k is the predicted reward of a_k, e_k its mean over what pi shows after a_1..a_{k-1}, and f_k what pi is
    predicted to earn below rank k. o_k says whether there is feedback, and s_k is its share at the rank. The mean is
    right whatever the predictions are, as sum_k w_k f_k and sum_k w_{k-1} f_k have the same mean.
DM: the mean of sum_k d_k over the mean of K, where d_k is the predicted reward of what pi shows at rank k after items
    that it drew itself. It is right only if the predictions are.

Predictions m become q = a_k + b m, fitted by least squares to the rewards of other decisions (five folds of clusters),
so that no reward predicts itself (Chernozhukov et al. 2018, cross-fitting). Intervals are percentiles of a bootstrap
over clusters, which are users or requests.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darlr.data.log import IntArray
from darlr.evaluation.held_out import Interval
from darlr.evaluation.off_policy import (
    LEAST_EFFECTIVE,
    LEAST_INFORMATIVE,
    LEAST_SHARE,
    effective_size,
    informative_size,
    mean_reward,
    outside,
)
from darlr.evaluation.statistics import bootstrap_ratio, interval

Reals = NDArray[np.float64]
FOLDS = 5


@dataclass(frozen=True)
class Slates:
    """Logged lists of N decisions by rank, [N, K].

    cluster: int64 [N], the user or the request. reward: float64, NaN where there is no feedback. shown: bool, whether
    there is an item. propensity: float64, of the item given those before it; 1 where nothing is shown.
    """

    cluster: IntArray
    reward: Reals
    shown: NDArray[np.bool_]
    propensity: Reals

    def first(self, ranks: int) -> "Slates":
        """The lists cut after some ranks."""
        return Slates(self.cluster, self.reward[:, :ranks], self.shown[:, :ranks], self.propensity[:, :ranks])

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which items have feedback, bool [N, K]."""
        return self.shown & ~np.isnan(self.reward)


@dataclass(frozen=True)
class Value:
    """Estimates of the mean reward of a shown item under a policy; None where `refused` gives a reason.

    effective: the effective sample size (sum w)^2 / sum w^2 at the rank where it is smallest, `rank`. support: the mean
    of w at the last rank, the share of the policy's lists that the log could have shown. largest: the largest w. gain:
    DR less the value of what was served in the same decisions, paired.
    """

    decisions: int
    clusters: int
    ranks: int
    effective: float
    rank: int
    support: Interval
    largest: float
    dm: Interval | None
    snips: Interval | None
    dr: Interval | None
    gain: Interval | None
    refused: str | None


def value_of(
    slates: Slates,
    target: Reals,
    predicted: Reals,
    expected: Reals,
    rolled: Reals,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Value:
    """Estimate DM, SNIPS and DR with 95% intervals, or refuse.

    target: the policy's propensities of the logged items. predicted, expected, rolled: q, e and d before the fit, as in
    `darlr.serving.replay.Choices`; float64 [N, K] each.
    """
    shown, seen = slates.shown, slates.seen
    weight = np.cumprod(np.where(shown, target / slates.propensity, 1.0), 1).astype(np.float64)
    before = np.concatenate([np.ones((len(weight), 1)), weight[:, :-1]], 1)
    reward = np.where(seen, slates.reward, 0.0)
    q, e, d = fitted(slates, predicted, expected, rolled, seed)
    d = np.where(shown, d, 0.0)
    f = np.flip(np.cumsum(np.flip(d, 1), 1), 1) - d
    share = seen.sum(0) / np.maximum(shown.sum(0), 1)
    surprise = np.where(seen, reward - q, 0.0) / np.where(share > 0, share, 1.0)
    robust = np.where(shown, before * (e + f) + weight * (surprise - f), 0.0).sum(1)
    count, last = shown.sum(1).astype(np.float64), np.where(shown[:, -1:], weight[:, -1:], 0.0)[:, 0]
    earned = (reward / np.where(share > 0, share, 1.0)).sum(1)

    above = np.column_stack([weight * reward, d.sum(1), robust, earned, last])
    below = np.column_stack([weight * seen, count, count, count, shown[:, -1]])
    place = np.unique(slates.cluster, return_inverse=True)[1]
    sums = [
        np.stack([np.bincount(place, column).astype(np.float64) for column in side.T], 1) for side in (above, below)
    ]
    draws = bootstrap_ratio(*sums, generator=np.random.default_rng(seed), resamples=resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.divide(*(side.sum(0) for side in sums))
    part, ranks = shown.sum(0) / shown.sum(), shown.shape[1]

    def estimate(of: Callable[[Reals], Reals]) -> Interval:
        return Interval(float(of(values)), *interval(of(draws)))

    sizes = np.array([effective_size(weight[seen[:, k], k]) for k in range(ranks)])
    support = estimate(lambda sums: sums[..., ranks + 3])
    refused = refusal(sizes, seen.sum(0), support) or _too_alike(weight[seen], slates.reward[seen])
    found: dict[str, Interval | None] = dict.fromkeys(("dm", "snips", "dr", "gain"))
    if refused is None:
        found = {
            "dm": estimate(lambda sums: sums[..., ranks]),
            "snips": estimate(lambda sums: sums[..., :ranks] @ part),
            "dr": estimate(lambda sums: sums[..., ranks + 1]),
            "gain": estimate(lambda sums: sums[..., ranks + 1] - sums[..., ranks + 2]),
        }
    return Value(
        decisions=len(weight),
        clusters=len(sums[0]),
        ranks=ranks,
        effective=float(sizes.min()),
        rank=int(sizes.argmin()) + 1,
        support=support,
        largest=float(weight[shown].max()),
        **found,
        refused=refused,
    )


def fitted(
    slates: Slates, predicted: Reals, expected: Reals, rolled: Reals, seed: int = 0
) -> tuple[Reals, Reals, Reals]:
    """The predictions q, e and d, [N, K] each: a_k + b m, with a_k and b from the decisions of other folds."""
    names, place = np.unique(slates.cluster, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names))[place] % FOLDS
    usable = slates.seen & ~np.isnan(predicted)
    model, *parts = (np.nan_to_num(part) for part in (predicted, predicted, expected, rolled))
    reward = np.where(usable, slates.reward, 0.0)
    for one in range(FOLDS):
        here, known = fold == one, usable & (fold != one)[:, None]
        count = np.maximum(known.sum(0), 1)
        means = [(side * known).sum(0) / count for side in (reward, model)]
        apart = [(side - mean) * known for side, mean in zip((reward, model), means, strict=True)]
        square = (apart[1] ** 2).sum()
        slope = float((apart[0] * apart[1]).sum() / square) if square > 1e-12 else 0.0
        level = means[0] - slope * means[1]
        pooled = float((level * known.sum(0)).sum() / max(known.sum(), 1))
        level = np.where(known.any(0), level, pooled)
        for part in parts:
            part[here] = level + slope * part[here]
    return parts[0], parts[1], parts[2]


def refusal(sizes: Reals, seen: IntArray, support: Interval) -> str | None:
    """Explain why there is no estimate, or return None. sizes, seen: effective and real numbers of items, [K]."""
    needed = np.maximum(LEAST_EFFECTIVE, LEAST_SHARE * seen)
    few = np.flatnonzero(sizes < needed)
    if len(few):
        k = int(few[0])
        fewer = f"; the first {k} ranks have enough (option ranks)" if k else ""
        return (
            f"at rank {k + 1} the effective sample size is {sizes[k]:.1f} of {seen[k]:,} items with feedback, and "
            f"{needed[k]:.0f} are needed: the log rarely shows what the policy would show{fewer}"
        )
    return outside(support, "lists are ones that the log could have shown", "these decisions")


def _too_alike(weight: Reals, reward: Reals) -> str | None:
    number = informative_size(weight, reward)
    if number >= LEAST_INFORMATIVE:
        return None
    return (
        f"rewards hardly differ: an effective number of {number:.1f} of them is not the commonest one, and "
        f"{LEAST_INFORMATIVE:g} are needed"
    )


@dataclass(frozen=True)
class Served:
    """What an arm earned: the mean reward of a shown item with feedback. more: its difference to the first arm."""

    arm: str
    decisions: int
    items: int
    value: Interval
    more: Interval | None


def served(
    slates: Slates, arm: NDArray[np.str_], *, seed: int = 0, resamples: int = 2000
) -> tuple[Served, list[Served]]:
    """All arms together, and each arm in the order of their names. arm: [N]. At least one item must have feedback."""
    seen, place = slates.seen, np.unique(slates.cluster, return_inverse=True)[1]
    reward = np.where(seen, slates.reward, 0.0).sum(1)
    cluster = np.broadcast_to(slates.cluster[:, None], seen.shape)

    def one(name: str, here: NDArray[np.bool_], more: Interval | None) -> Served:
        some = seen & here[:, None]
        value = mean_reward(cluster[some], slates.reward[some], seed=seed, resamples=resamples)
        return Served(name, int(here.sum()), int(some.sum()), value, more)

    whole = one("all", np.ones(len(seen), bool), None)
    names = [name for name in np.unique(arm).tolist() if seen[arm == name].any()]
    masks = [arm == name for name in names]
    sums = [
        np.stack([np.bincount(place, values * mask).astype(np.float64) for mask in masks], 1)
        for values in (reward, seen.sum(1))
    ]
    draws = bootstrap_ratio(*sums, generator=np.random.default_rng(seed), resamples=resamples)
    values = np.divide(*(side.sum(0) for side in sums))
    differences = [
        None if k == 0 else Interval(float(values[k] - values[0]), *interval(draws[:, k] - draws[:, 0]))
        for k in range(len(names))
    ]
    return whole, [one(*row) for row in zip(names, masks, differences, strict=True)]
