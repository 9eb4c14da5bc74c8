"""Off-policy estimates of the reward at the first step, from events whose logging probabilities are known.

Each event is one of a contextual bandit: a user, an item that the logging policy drew with a known propensity, and its
reward. Direct method and doubly robust: Dudik, Langford and Li (ICML 2011); self-normalised inverse propensity scoring:
Swaminathan and Joachims (NeurIPS 2015). Sessions, whose states depend on the policy, are not measured.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.evaluation.held_out import Interval
from darlr.evaluation.statistics import bootstrap_ratio, interval
from darlr.simulation.policy import Policy, masked
from darlr.simulation.session import reset

Reals = NDArray[np.float64]

LEAST_EFFECTIVE = 30.0  # below this effective sample size there is no estimate
LEAST_SHARE = 0.01  # below this share of the events there is none either
MOST_OUTSIDE = 0.1  # largest share of the choices of the policy that the logging policy could never make
LEAST_TELLING = 10.0  # a bootstrap needs this effective number of matching events without the commonest reward
NEVER_SEEN = 1e-9  # an item whose propensity times the events is below this is not seen in a log
CHUNK = 1024  # users scored at once


@dataclass(frozen=True)
class Bandit:
    """Logged events and the choices of a policy, each float64 [L] except `user`, int64 [L].

    propensity: the probability of the item under the logging policy; target: its probability under the policy.
    predicted: the reward that a model of other events predicts for it; expected: that for the policy's own choice.
    """

    user: NDArray[np.int64]
    reward: Reals
    propensity: Reals
    target: Reals
    predicted: Reals
    expected: Reals


@dataclass(frozen=True)
class OffPolicy:
    """Estimates of a policy's mean reward an event; They are None where `refused` gives a reason.

    effective: (sum w)^2 / sum w^2 of the weights w = target / propensity; rewarded: the same of the matching events (w
    above 0) that earned more than the log's least reward. support: mean of w, which is the share of the policy's
    choices that the log's policy could have made. largest: largest w; clipped: weights cut to `clip`. exact: too few
    events tell a reward from another for a bootstrap, and SNIPS alone stays, a share with an exact interval.
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
    """DM, SNIPS and DR with 95% bootstrap intervals over users, or a refusal where too few events match.

    clip: the largest weight; cutting weights trades variance for bias. None = they are not cut.
    """
    raw = bandit.target / bandit.propensity
    weight = raw if clip is None else np.minimum(raw, clip)

    def ratio(numerator: Reals, denominator: Reals | None = None) -> Interval:
        return _ratio(bandit.user, numerator, denominator, seed, resamples)

    effective, rewarded = _effective(weight), _effective(weight[bandit.reward > bandit.reward.min()])
    support = ratio(raw)
    refused = _refusal(effective, bandit.propensity, support)
    estimates: dict[str, Interval | None] = dict.fromkeys(("dm", "snips", "dr"))
    few = refused is None and _telling(weight, bandit.reward) < LEAST_TELLING
    shares = len(np.unique(bandit.reward)) == 2
    if few:
        refused = (
            f"rewards of matching events hardly differ: {rewarded:.1f} of {effective:.1f} (effective numbers) are "
            f"above the least, and {LEAST_TELLING:g} of either kind are needed for a bootstrap"
        )
        if shares:
            refused += "; SNIPS alone is shown, with an exact interval for a share (Clopper-Pearson)"
            estimates["snips"] = _exact(bandit.user, bandit.reward, weight)
    elif refused is None:
        correction = weight * (bandit.reward - bandit.predicted)
        estimates = {
            "dm": ratio(bandit.expected),
            "snips": ratio(weight * bandit.reward, weight),
            "dr": ratio(bandit.expected + correction),
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
        exact=few and shares,
    )


def _effective(weight: Reals) -> float:
    """Effective number of events of these weights: (sum w)^2 / sum w^2; 0 without any."""
    return float(weight.sum() ** 2 / np.square(weight).sum()) if weight.any() else 0.0


def _telling(weight: Reals, reward: Reals) -> float:
    """Effective number of matching events whose reward is not the commonest one among them."""
    place = np.unique(reward, return_inverse=True)[1]
    return _effective(weight[place != np.bincount(place, weight).argmax()])


def _exact(user: NDArray[np.int64], reward: Reals, weight: Reals) -> Interval:
    """SNIPS of rewards of two values, with the interval of Clopper and Pearson (Biometrika 1934) for a share.

    Counts are effective ones (Korn and Graubard, Survey Methodology 1998): no more events than their weights leave, and
    of the rarer value no more than users who have it, as a user's events go together.
    """
    from scipy.special import betaincinv  # not needed by most logs, and slow to import

    low, high = float(reward.min()), float(reward.max())
    share = float(weight @ (reward == high) / weight.sum())
    count, rare = _effective(weight), weight * (reward == (high if share <= 0.5 else low))
    if rare.any():
        users = _effective(np.bincount(user, rare).astype(np.float64))
        count = min(count, users * weight.sum() / rare.sum())
    hits, misses = share * count, (1 - share) * count
    bounds = (
        betaincinv(hits, misses + 1, 0.025) if hits > 0 else 0.0,
        betaincinv(hits + 1, misses, 0.975) if misses > 0 else 1.0,
    )
    return Interval(*(low + (high - low) * float(part) for part in (share, *bounds)))


def mean_reward(
    user: NDArray[np.int64], reward: NDArray[np.floating], *, seed: int = 0, resamples: int = 2000
) -> Interval:
    """Mean reward of an event under the logging policy, which needs no weights. user, reward: [L]."""
    earned, weight = reward.astype(np.float64), np.ones(len(reward))
    if len(np.unique(earned)) == 2 and _telling(weight, earned) < LEAST_TELLING:
        return _exact(user, earned, weight)
    return _ratio(user, earned, None, seed, resamples)


def _ratio(user: NDArray[np.int64], numerator: Reals, denominator: Reals | None, seed: int, resamples: int) -> Interval:
    """A ratio of sums over events (None: their number) with its interval over users."""
    below = np.ones_like(numerator) if denominator is None else denominator
    place = np.unique(user, return_inverse=True)[1]
    sums = [np.bincount(place, values).astype(np.float64) for values in (numerator, below)]
    draws = bootstrap_ratio(sums[0], sums[1], generator=np.random.default_rng(seed), resamples=resamples)
    return Interval(float(numerator.sum() / below.sum()), *interval(draws))


def _refusal(effective: float, propensity: Reals, support: Interval) -> str | None:
    """Why there is no estimate, or None."""
    events, least = len(propensity), propensity.min()
    if least * events < NEVER_SEEN:
        return (
            f"the smallest propensity is {least:.3g}, and in a log of {events:,} events an item of so small a chance "
            "is not seen: the propensities are not those that made this log; mend or drop the rows that have it"
        )
    if effective < max(LEAST_EFFECTIVE, LEAST_SHARE * events):
        return (
            f"effective sample size {effective:.1f} of {events:,} events, and {LEAST_EFFECTIVE:g} and "
            f"{LEAST_SHARE:.0%} of the events are needed: the policy chooses items that the log rarely shows"
        )
    if support.high < 1 - MOST_OUTSIDE:
        return (
            f"only {support.value:.0%} of the policy's choices are ones that the log's policy could have made, and "
            f"{1 - MOST_OUTSIDE:.0%} are needed"
        )
    if support.low > 1 + MOST_OUTSIDE:
        return f"weights average {support.value:.3g} instead of 1: the propensities are not those that made this log"
    return None


def bandit_of(policy: Policy, log: InteractionLog, reward: Tensor, *, greedy: bool) -> Bandit:
    """The events of a log with propensities, and the choices of the policy for the same users at the first step.

    log: in codes of the scope, events that the policy's training never saw. reward: float32 [U, I], the model's.
    greedy: the best item with probability 1 (ties to the lowest id), else the softmax of the scores, as when sampled.
    """
    if log.propensity is None:
        raise ValueError("off-policy estimates cannot be made from a log without propensities")
    users, place = np.unique(log.user, return_inverse=True)
    target, expected = np.empty(len(log)), np.empty(len(users))
    for start in range(0, len(users), CHUNK):
        part = torch.from_numpy(users[start : start + CHUNK])
        with torch.no_grad():
            scores = policy.scores(reset(part, log.n_items, 1))
        scores = masked(scores, torch.ones_like(scores, dtype=torch.bool)).double()
        chance = torch.zeros_like(scores).scatter_(1, scores.argmax(1, keepdim=True), 1.0)
        chance = chance if greedy else scores.softmax(1)
        expected[start : start + CHUNK] = (chance * reward[part].double()).sum(1).numpy()
        inside = (place >= start) & (place < start + CHUNK)
        target[inside] = chance.numpy()[place[inside] - start, log.item[inside]]
    return Bandit(
        user=log.user,
        reward=log.reward.astype(np.float64),
        propensity=log.propensity.astype(np.float64),
        target=target,
        predicted=reward.double().numpy()[log.user, log.item],
        expected=expected[place],
    )
