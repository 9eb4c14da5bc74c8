"""Off-policy estimates of the reward at the first step, from events whose logging probabilities are known.

Each event is one of a contextual bandit: a user, an item that the logging policy drew with a known propensity, and its
reward. DM (direct method) and DR (doubly robust): Dudik, Langford and Li (ICML 2011). SNIPS (self-normalised inverse
propensity scoring): Swaminathan and Joachims (NeurIPS 2015).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import IntArray, InteractionLog
from darlr.evaluation.held_out import Interval
from darlr.evaluation.statistics import bootstrap_ratio, interval
from darlr.simulation.policy import Policy, masked
from darlr.simulation.session import reset
from darlr.world.estimates import Estimate, estimate_of

Reals = NDArray[np.float64]

LEAST_EFFECTIVE = 30.0  # there is no estimate below this effective sample size
LEAST_SHARE = 0.01  # or where the effective sample size is below this share of the events
MOST_OUTSIDE = 0.1  # or where more of the policy's choices are ones that the logging policy could never make
LEAST_INFORMATIVE = 10.0  # a bootstrap needs this effective number of matching events without the commonest reward
NEVER_SEEN = 1e-9  # an item whose propensity times the number of events is below this does not occur in a log
CHUNK, CELLS = 1024, 2**25  # the most users, and users x items, that are scored at once


@dataclass(frozen=True)
class Bandit:
    """Logged events and the choices of a policy. user: int64 [L]; all others: float64 [L].

    propensity, target: the probabilities of the item under the logging policy and the policy. predicted, expected: the
    rewards of the item and of the policy's own choice by a model of other events.
    """

    user: IntArray
    reward: Reals
    propensity: Reals
    target: Reals
    predicted: Reals
    expected: Reals


@dataclass(frozen=True)
class OffPolicy:
    """Estimates of a policy's mean reward of an event; None where `refused` gives a reason.

    effective: (sum w)^2 / sum w^2 of the weights w = target / propensity. rewarded: the same of events above the least
    reward. support: the mean of w, the share of the policy's choices that the logging policy could have made.
    largest: the largest w. clipped: how many weights were cut to `clip`. exact: whether rewards differ too rarely for a
    bootstrap, so that only SNIPS is estimated, with an exact interval for a share.
    """

    events: int
    users: int
    effective: float
    rewarded: float
    support: Interval
    largest: float
    clip: float | None
    clipped: int
    dm: Interval | None
    snips: Interval | None
    dr: Interval | None
    refused: str | None
    exact: bool = False


def off_policy(bandit: Bandit, *, clip: float | None = None, seed: int = 0, resamples: int = 2000) -> OffPolicy:
    """Estimate DM, SNIPS and DR with 95% bootstrap intervals over users, or refuse. clip: the largest weight."""
    ratio = partial(_ratio, bandit.user, seed=seed, resamples=resamples)
    raw = bandit.target / bandit.propensity
    weight = raw if clip is None else np.minimum(raw, clip)
    effective, rewarded = effective_size(weight), effective_size(weight[bandit.reward > bandit.reward.min()])
    support = ratio(raw)
    refused = _refusal(effective, bandit.propensity, support)
    estimates: dict[str, Interval | None] = dict.fromkeys(("dm", "snips", "dr"))
    few = refused is None and informative_size(weight, bandit.reward) < LEAST_INFORMATIVE
    exact = few and len(np.unique(bandit.reward)) == 2
    if few:
        rare = f"{rewarded:.1f} of {effective:.1f} (effective numbers) are above the least"
        needed = f"{LEAST_INFORMATIVE:g} of either kind are needed for a bootstrap"
        refused = f"rewards of matching events hardly differ: {rare}, and {needed}"
    if exact:
        refused = f"{refused}; SNIPS alone is shown, with an exact interval for a share (Clopper-Pearson)"
        estimates["snips"] = _exact(bandit.user, bandit.reward, weight)
    elif refused is None:
        estimates = {
            "dm": ratio(bandit.expected),
            "snips": ratio(weight * bandit.reward, weight),
            "dr": ratio(bandit.expected + weight * (bandit.reward - bandit.predicted)),
        }
    return OffPolicy(
        events=len(weight),
        users=len(np.unique(bandit.user)),
        effective=effective,
        rewarded=rewarded,
        support=support,
        largest=float(raw.max()),
        clip=clip,
        clipped=0 if clip is None else int((raw > clip).sum()),
        **estimates,
        refused=refused,
        exact=exact,
    )


def effective_size(weight: Reals) -> float:
    """Compute the effective number of events, (sum w)^2 / sum w^2; 0 without weights."""
    return float(weight.sum() ** 2 / np.square(weight).sum()) if weight.any() else 0.0


def informative_size(weight: Reals, reward: Reals) -> float:
    """Compute the effective number of matching events whose reward is not the commonest one."""
    place = np.unique(reward, return_inverse=True)[1]
    return effective_size(weight[place != np.bincount(place, weight).argmax()])


def _exact(user: IntArray, reward: Reals, weight: Reals) -> Interval:
    """Estimate SNIPS of rewards of two values, with the interval of Clopper and Pearson (Biometrika 1934) for a share.

    Counts are effective ones (Korn and Graubard, Survey Methodology 1998). The rarer value counts no more often than
    users have it, because the events of one user depend on each other.
    """
    from scipy.special import betaincinv  # slow to import, and rarely needed

    low, high = float(reward.min()), float(reward.max())
    share = float(weight @ (reward == high) / weight.sum())
    count, rare = effective_size(weight), weight * (reward == (high if share <= 0.5 else low))
    if rare.any():
        users = effective_size(np.bincount(user, rare).astype(np.float64))
        count = min(count, users * weight.sum() / rare.sum())
    hits, misses = share * count, (1 - share) * count
    least = betaincinv(hits, misses + 1, 0.025) if hits > 0 else 0.0
    most = betaincinv(hits + 1, misses, 0.975) if misses > 0 else 1.0
    return Interval(*(low + (high - low) * float(part) for part in (share, least, most)))


def mean_reward(user: IntArray, reward: NDArray[np.floating], *, seed: int = 0, resamples: int = 2000) -> Interval:
    """Estimate the mean reward of an event under the logging policy. user, reward: [L]."""
    earned, weight = reward.astype(np.float64), np.ones(len(reward))
    if len(np.unique(earned)) == 2 and informative_size(weight, earned) < LEAST_INFORMATIVE:
        return _exact(user, earned, weight)
    return _ratio(user, earned, seed=seed, resamples=resamples)


def _ratio(
    user: IntArray, numerator: Reals, denominator: Reals | None = None, *, seed: int, resamples: int
) -> Interval:
    """Compute a ratio of sums over events, or without a denominator a mean, with its interval over users."""
    below = np.ones_like(numerator) if denominator is None else denominator
    place = np.unique(user, return_inverse=True)[1]
    sums = (np.bincount(place, values).astype(np.float64) for values in (numerator, below))
    draws = bootstrap_ratio(*sums, generator=np.random.default_rng(seed), resamples=resamples)
    return Interval(float(numerator.sum() / below.sum()), *interval(draws))


def _refusal(effective: float, propensity: Reals, support: Interval) -> str | None:
    """Explain why there is no estimate, or return None."""
    events, least = len(propensity), propensity.min()
    if least * events < NEVER_SEEN:
        why = f"in a log of {events:,} events an item with so small a probability does not occur"
        return f"the smallest propensity is {least:.3g}, and {why}: correct or drop the rows with wrong propensities"
    if effective < max(LEAST_EFFECTIVE, LEAST_SHARE * events):
        needed = f"{LEAST_EFFECTIVE:g} and {LEAST_SHARE:.0%} of the events are needed"
        found = f"effective sample size {effective:.1f} of {events:,} events, and {needed}"
        return f"{found}: the policy chooses items that the log rarely shows"
    return outside(support, "choices are ones that the logging policy could have made", "this log")


def outside(support: Interval, choices: str, log: str) -> str | None:
    """Explain why the support, the mean of the weights, is not near 1, or return None.

    choices, log: what the policy's choices would have to be, and what the propensities belong to, in words.
    """
    if support.high < 1 - MOST_OUTSIDE:
        return f"only {support.value:.0%} of the policy's {choices}, and {1 - MOST_OUTSIDE:.0%} are needed"
    if support.low > 1 + MOST_OUTSIDE:
        return f"weights average {support.value:.3g} instead of 1: the propensities are not those of {log}"
    return None


def bandit_of(policy: Policy, log: InteractionLog, reward: Estimate | Tensor, *, greedy: bool) -> Bandit:
    """Pair the events of a log (scope codes) with the choices of the policy for the same users at the first step.

    reward: estimates by a model. greedy: whether the best item is chosen; otherwise items are drawn from the
    softmax. Raises ValueError where the log has no propensities.
    """
    if log.propensity is None:
        raise ValueError("off-policy estimates cannot be made from a log without propensities")
    reward = estimate_of(reward)
    users, place = np.unique(log.user, return_inverse=True)
    target, expected = np.empty(len(log)), np.empty(len(users))
    size = max(1, min(CHUNK, CELLS // log.n_items))
    for start in range(0, len(users), size):
        part = torch.from_numpy(users[start : start + size])
        with torch.no_grad():
            scores = policy.scores(reset(part, log.n_items, 1))
        scores = masked(scores, torch.ones_like(scores, dtype=torch.bool)).double()
        chance = torch.zeros_like(scores).scatter_(1, scores.argmax(1, keepdim=True), 1.0)
        chance = chance if greedy else scores.softmax(1)
        expected[start : start + size] = (chance * reward.rows(part).double()).sum(1).numpy()
        inside = (place >= start) & (place < start + size)
        target[inside] = chance.numpy()[place[inside] - start, log.item[inside]]
    return Bandit(
        user=log.user,
        reward=log.reward.astype(np.float64),
        propensity=log.propensity.astype(np.float64),
        target=target,
        predicted=reward.pairs(*map(torch.from_numpy, (log.user, log.item))).double().numpy(),
        expected=expected[place],
    )
