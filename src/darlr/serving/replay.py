"""Logged decisions again: repeated by the policy that made them, and judged by another one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.options.serving import StrategyConfig
from darlr.serving.asked import Asked, Rules
from darlr.serving.chances import along
from darlr.serving.given import ItemRule
from darlr.serving.ids import NEW
from darlr.serving.served import ServedPolicy
from darlr.serving.strategy import choose, choose_each, seed_of

Reals = NDArray[np.float64]
Sets = Mapping[str, Sequence[str]]
BLOCK = 4096  # the decisions that are in memory as requests at once
ROLLED = "evaluation"  # before the name of a request, so that the draws are others than those of the log


@dataclass(frozen=True)
class Replayed:
    """How many decisions were repeated, and how many came out otherwise. first: the request id of the first of these.

    others: decisions of other versions, which this policy cannot repeat.
    """

    version: str
    decisions: int
    mismatches: int
    first: str | None
    others: int

    def __str__(self) -> str:
        other = f"; {self.others:,} decisions are of other versions" if self.others else ""
        if not self.decisions:
            return f"version {self.version}: none of the decisions is of this version{other}"
        if not self.mismatches:
            return f"version {self.version}: all {self.decisions:,} decisions were repeated bit for bit{other}"
        found = f"{self.mismatches:,} of {self.decisions:,} decisions came out otherwise, first {self.first!r}"
        return f"version {self.version}: {found}{other}"


@dataclass(frozen=True)
class Choices:
    """What a policy would have done in the place of logged decisions, float64 [N, K] each, by rank.

    target: its propensity of the logged item, given the logged items before. predicted: its world model's reward of the
    logged item, NaN for an item that it does not know. expected: the mean predicted reward of what it would show after
    the logged items before. rolled: the same after items that it drew itself. Predictions are in the unit of learning.
    """

    target: Reals
    predicted: Reals
    expected: Reals
    rolled: Reals


def replay(policy: ServedPolicy, decisions: pl.DataFrame, sets: Sets) -> Replayed:
    """Repeat the decisions of this version from what was logged, and count those that differ in a bit.

    decisions: as in `darlr.decisions.records.Frames`. sets: the candidates of each hash. PyTorch must have the
    number of threads that it had in the program that made the decisions.
    """
    own = decisions.filter(pl.col("version") == policy.version)
    wrong = [name for part in own.iter_slices(BLOCK) for name in _differing(policy, part.rows(named=True), sets)]
    first = wrong[0] if wrong else None
    return Replayed(policy.version, len(own), len(wrong), first, len(decisions) - len(own))


def _differing(policy: ServedPolicy, rows: Sequence[Mapping[str, Any]], sets: Sets) -> list[str]:
    """The request ids of the decisions that come out otherwise, in their order."""
    asked, wrong = asked_of(policy, rows, sets), list[int]()
    for places in policy.chunks(asked):
        scores, allowed, listed = policy.scored([asked[place] for place in places])
        for row, place in enumerate(places):
            one, here = rows[place], slice(row, row + 1)
            config = StrategyConfig(one["strategy"], one["epsilon"])
            seed = policy.seed(one["request_id"], asked[place])
            count = max(1, len(one["items"]))
            choice = choose_each(scores[here], allowed[here], count, config, np.array([seed], np.uint64), listed)
            codes = choice.codes[0, : choice.counts[0]]
            chances = choice.propensities[0, : choice.counts[0]].tolist()
            items = [str(policy.items.ids[code]) for code in codes]
            known = seed if config.random else None
            if (known, items, chances) != (one["seed"], one["items"], one["propensities"]):
                wrong.append(place)
    return [rows[place]["request_id"] for place in sorted(wrong)]


def asked_of(policy: ServedPolicy, rows: Sequence[Mapping[str, Any]], sets: Sets) -> list[Asked]:
    """The requests of logged decisions, as the policy reads them. Rewards outside its range count as the nearer end."""
    low, high = policy.unit.bounds
    slack = 1e-6 * max(abs(low), abs(high))  # rewards that `read_history` takes stay as they are
    only = lru_cache(maxsize=64)(lambda name: ItemRule(sets[name], "only", policy.items))
    everything, nothing = ItemRule(None, "only", policy.items), ItemRule(None, "exclude", policy.items)

    def read(row: Mapping[str, Any]) -> Asked:
        banned = ItemRule(row["exclude"], "exclude", policy.items) if row["exclude"] else nothing
        wanted = everything if row["candidates"] is None else only(row["candidates"])
        rewards = np.clip(row["history_rewards"], low - slack, high + slack).tolist()
        history = zip(row["history_items"], rewards, strict=True)
        return policy.read(
            NEW if row["user"] is None else row["user"], history, Rules(banned, wanted, row["new_items"])
        )

    return [read(row) for row in rows]


def choices_of(
    policy: ServedPolicy, decisions: pl.DataFrame, sets: Sets, config: StrategyConfig, ranks: int
) -> Choices:
    """What the policy would have done under a strategy in the place of the decisions, at the first `ranks` ranks.

    The reward model is the policy's fold-in: item means, moved by the history of the session.
    """
    parts = [_choices(policy, part.rows(named=True), sets, config, ranks) for part in decisions.iter_slices(BLOCK)]
    return Choices(*(np.concatenate(part) for part in zip(*(vars(one).values() for one in parts), strict=True)))


def _choices(
    policy: ServedPolicy, rows: Sequence[Mapping[str, Any]], sets: Sets, config: StrategyConfig, ranks: int
) -> Choices:
    asked, shape = asked_of(policy, rows, sets), (len(rows), ranks)
    codes = np.full(shape, -1, np.int64)
    for place, row in enumerate(rows):
        known = [policy.items.code(item) for item in row["items"][:ranks]]
        codes[place, : len(known)] = [-1 if code is None else code for code in known]
    target, predicted, expected, rolled = (np.zeros(shape) for _ in range(4))
    for chunk in policy.chunks(asked):
        places = np.array(chunk, np.int64)
        some = [asked[place] for place in places]
        scores, allowed = policy.scored_whole(some)
        values = policy.predicted(some)
        target[places], expected[places] = along(scores, allowed, codes[places], config, values)
        found = np.take_along_axis(values, np.maximum(codes[places], 0), 1)
        predicted[places] = np.where(codes[places] >= 0, found, np.nan)
        names = [f"{ROLLED} {rows[place]['request_id']}" for place in places]
        seeds = np.array([seed_of(name, None, policy.version) for name in names], np.uint64)
        drawn = choose(scores, allowed, ranks, config, seeds)
        width = drawn.codes.shape[1]
        own = np.where(np.arange(width) < drawn.counts[:, None], drawn.codes, -1)
        rolled[places, :width] = along(scores, allowed, own, config, values)[1]
    return Choices(target, predicted, expected, rolled)
