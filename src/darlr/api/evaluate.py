"""How good a recommender is, beside simple ones: `evaluate`."""

from collections.abc import Sequence
from typing import Literal

from darlr.api.recommender import Recommender
from darlr.data.log import InteractionLog
from darlr.data.scope import Scope
from darlr.errors import ConfigError, DataError
from darlr.evaluation.result import Evaluation
from darlr.evaluation.truth import Truth, load_truth
from darlr.experiments.evaluate import evaluate as evaluate_runs
from darlr.experiments.progress import speaking


def evaluate(
    models: Recommender | Sequence[Recommender],
    test: InteractionLog | None = None,
    *,
    truth: Truth | str | None = None,
    only: Literal["all", "learned"] = "all",
    progress: bool = True,
) -> Evaluation:
    """Play the recommenders' policies beside simple ones, and measure them on events that training never saw.

    models: one, or several that learned from the same log; those of one method are seeds of one row. test: held-out
    events, such as the second part of `log.split(...)`. truth: complete rewards to play on, or the name of a data set
    that has them, such as "coat"; left out, sessions are played on a world model of the test events. Without a test and
    a truth, the truth of the data set counts, or the events that the recommenders kept (`split.evaluation`).
    only: "learned" leaves out the simple rows.

    Print what comes back, show it in a notebook, or take its frames `rows`, `comparisons` and `next_items`, its
    `pictures()`, and its `verdict`.

    Raises DataError for a test log of other users or items, RunError for recommenders that cannot share a table, and
    where there is nothing to play on.
    """
    several = [models] if isinstance(models, Recommender) else list(models)
    for one in several:
        if not isinstance(one, Recommender):
            raise ConfigError(f"option models: must be recommenders, not {type(one).__name__}")
    if only not in ("all", "learned"):
        raise ConfigError(f"option only: must be 'all' or 'learned', not {only!r}")
    if test is not None and not isinstance(test, InteractionLog):
        raise ConfigError(
            "option test: must be a log, such as the second part of log.split(...) or what darlr.read_events(...) "
            f"returns, not {type(test).__name__}"
        )
    if not several:
        raise ConfigError("evaluate: name at least one recommender")
    runs = [one.run for one in several]
    if test is not None:
        _refuse_other_ids(test, runs[0].logs.whole)
    if isinstance(truth, str):
        name, truth = truth, load_truth(truth, options=runs[0].config.synthetic)
        if truth is None:
            raise DataError(f"{name}: has no truth (complete rewards to play sessions on)")
    if truth is not None:
        _refuse_other_codes(truth, runs[0].logs.scope)
    with speaking(progress):
        return evaluate_runs(runs, truth=truth, kept=test, only=only)


def _refuse_other_codes(truth: Truth, scope: Scope) -> None:
    """Raise DataError where a truth has users or items that the recommender's log lacks: it is another log's."""
    for side, codes, count in (("users", truth.users, len(scope.users)), ("items", truth.items, len(scope.items))):
        if len(codes) and int(codes.max()) >= count:
            raise DataError(
                f"the truth is not of the log that the recommender learned from, which has {count:,} {side}; name the "
                "truth of that log, or leave it out"
            )


def _refuse_other_ids(test: InteractionLog, log: InteractionLog) -> None:
    """Raise DataError unless the codes of the test log mean the users and items of the recommender's log."""
    for side, mine, other in (("users", log.user_ids, test.user_ids), ("items", log.item_ids, test.item_ids)):
        if mine != other:
            raise DataError(
                f"{test.name}: its {side} are not those of the log that the recommender learned from; take both parts "
                "from one log.split(...)"
            )
