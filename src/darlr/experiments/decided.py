"""What logged decisions are worth: the served arms, and trained policies in their place."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from darlr.decisions.join import USER, Decided, random_decisions
from darlr.errors import DataError
from darlr.evaluation.slates import Slates, served, value_of
from darlr.evaluation.worth import Candidate, Worth
from darlr.experiments.process import computing
from darlr.options import StrategyConfig, ValueConfig
from darlr.serving.replay import Replayed, choices_of, replay
from darlr.serving.served import ServedPolicy

GREEDY = (
    "all decisions were greedy, so that every propensity is 1 and they say nothing about other policies; serve with a "
    "strategy that draws, such as explore"
)


def worth(
    decided: Decided, policies: Sequence[tuple[str, ServedPolicy]], strategy: StrategyConfig, config: ValueConfig
) -> Worth:
    """The value of what was served, of each arm, and of each policy under the strategy.

    Policies are judged by the decisions in which something was drawn, at the first rank and at all ranks that count.
    Raises DataError where no item has a reward, or a policy knows none of the items that were shown.
    """
    slates = slates_of(decided.decisions, config)
    if not slates.seen.any():
        raise DataError(f"{decided.source}: no item that was shown has feedback, so there is nothing to estimate")
    total, arms = served(slates, decided.decisions["arm"].to_numpy().astype(str))
    drawn = random_decisions(decided.decisions)
    about, left_out = list(decided.notes), len(decided.decisions) - len(drawn)
    if left_out and len(drawn):
        about.append(f"{left_out:,} greedy decisions count for what was served, not for what policies would be worth")
    candidates: list[Candidate] = []
    with computing(1):  # as in the server: the same bits
        for name, policy in policies:
            candidates += _judged(f"{name}, {named(strategy)}", policy, drawn, decided, strategy, config)
    return Worth(about, config.by, total, arms, candidates)


def named(strategy: StrategyConfig) -> str:
    """The name of a strategy in tables."""
    return f"explore {strategy.epsilon:g}" if strategy.strategy == "explore" else strategy.strategy


def repeated(decided: Decided, policies: Sequence[ServedPolicy]) -> list[Replayed]:
    """Repeat the decisions of each policy's version, in the process as the server has it."""
    with computing(1):
        return [replay(policy, decided.decisions, decided.sets) for policy in policies]


def _judged(
    name: str,
    policy: ServedPolicy,
    drawn: pl.DataFrame,
    decided: Decided,
    strategy: StrategyConfig,
    config: ValueConfig,
) -> list[Candidate]:
    again = replay(policy, decided.decisions, decided.sets)
    said = str(again) if again.decisions else None
    slates = slates_of(drawn, config)
    if not slates.seen.any():
        why = "no decision in which something was drawn has feedback" if len(drawn) else GREEDY
        return [Candidate(name, None, why, said)]
    items = drawn["items"].explode().drop_nulls().unique().to_list()
    if all(policy.items.code(item) is None for item in items):
        raise DataError(f"{name}: its catalogue has none of the items that were shown; is it a run on the same items?")
    ranks = slates.shown.shape[1]
    choices = choices_of(policy, drawn, decided.sets, strategy, ranks)
    found = []
    for depth in sorted({1, ranks}):
        arrays: dict[str, Any] = {part: values[:, :depth] for part, values in vars(choices).items()}
        value = value_of(slates.first(depth), **arrays)
        found.append(Candidate(name, value, value.refused, said))
    return found


def slates_of(decisions: pl.DataFrame, config: ValueConfig) -> Slates:
    """Decisions as arrays, up to the number of ranks that count."""
    most = int(decisions["items"].list.len().max() or 0) if len(decisions) else 0  # type: ignore[arg-type]
    ranks = max(1, min(most, config.ranks or most))
    size = decisions["items"].list.len().to_numpy()
    shown = np.arange(ranks) < size[:, None]
    reward, propensity = np.full(shown.shape, np.nan), np.ones(shown.shape)
    for array, column in ((reward, "rewards"), (propensity, "propensities")):
        values = decisions[column].list.head(ranks).explode(empty_as_null=False).to_numpy()
        array[shown] = values.astype(np.float64)
    names = pl.col("request_id") if config.by == "requests" else USER
    cluster = np.unique(decisions.select(names)[:, 0].to_numpy().astype(str), return_inverse=True)[1]
    return Slates(cluster, reward, shown, propensity)
