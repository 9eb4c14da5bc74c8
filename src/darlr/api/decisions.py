"""Logged decisions from Python: `evaluate_decisions` and `replay`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from darlr.api.recommender import Recommender
from darlr.decisions.join import open_decisions
from darlr.errors import ConfigError
from darlr.evaluation.worth import Worth
from darlr.experiments.decided import repeated as repeat
from darlr.experiments.decided import worth
from darlr.options import FeedbackConfig, StrategyConfig, ValueConfig
from darlr.options.serving import Name
from darlr.serving.recommender import SessionPolicy
from darlr.serving.replay import Replayed
from darlr.serving.served import ServedPolicy

Model = Recommender | ServedPolicy | SessionPolicy


def evaluate_decisions(
    log: str | Path,
    models: Model | Sequence[Model] = (),
    *,
    strategy: Name = StrategyConfig.strategy,
    epsilon: float = StrategyConfig.epsilon,
    ranks: int | None = ValueConfig.ranks,
    by: Literal["users", "requests"] = ValueConfig.by,
    within: float = FeedbackConfig.within,
    repeated: Literal["last", "first", "highest"] = FeedbackConfig.repeated,
    missing_reward: float | None = FeedbackConfig.missing_reward,
) -> Worth:
    """What logged decisions earned, each arm of them, and what models would be worth in their place.

    log: the folder of a log of decisions, or of a data set that `darlr data prepare decisions` wrote, whose rules of
    feedback are kept. models: one or several, such as `darlr.load(...)`; they are judged under `strategy`. ranks, by:
    see `ValueConfig`. within, repeated, missing_reward: see `FeedbackConfig`. `darlr.evaluation.slates` has the
    formulas and assumptions. Raises DataError for a log without feedback, and ConfigError for options that cannot be.
    """
    decided = open_decisions(Path(log), FeedbackConfig(within, repeated, missing_reward))
    policies = _policies(models)
    names = [f"model {place + 1}" if len(policies) > 1 else "model" for place in range(len(policies))]
    config = ValueConfig(ranks, by)
    return worth(decided, list(zip(names, policies, strict=True)), StrategyConfig(strategy, epsilon), config)


def replay(log: str | Path, models: Model | Sequence[Model]) -> list[Replayed]:
    """Repeat the logged decisions of each model's version, and count those that differ in a bit.

    log: as in `evaluate_decisions`. Raises DataError where there is no log.
    """
    return repeat(open_decisions(Path(log), FeedbackConfig()), _policies(models))


def _policies(models: Model | Sequence[Model]) -> list[ServedPolicy]:
    several = [models] if isinstance(models, Model) else list(models)
    found = []
    for one in several:
        if not isinstance(one, Model):
            raise ConfigError(f"option models: must be recommenders, not {type(one).__name__}")
        found.append(one if isinstance(one, ServedPolicy) else one.policy)
    return found
