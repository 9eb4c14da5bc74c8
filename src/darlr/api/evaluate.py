"""The evaluation of recommenders beside simple baselines: `evaluate`."""

from collections.abc import Sequence
from typing import Literal, get_args

from darlr.api.recommender import Recommender
from darlr.data.log import InteractionLog
from darlr.data.scope import Scope
from darlr.errors import ConfigError, DataError
from darlr.evaluation.result import Evaluation
from darlr.evaluation.truth import Truth, load_truth
from darlr.experiments.evaluate import evaluate as evaluate_runs
from darlr.experiments.progress import speaking
from darlr.options import Users


def evaluate(
    models: Recommender | Sequence[Recommender],
    test: InteractionLog | None = None,
    *,
    truth: Truth | str | None = None,
    only: Literal["all", "learned"] = "all",
    users: Users | None = None,
    progress: bool = True,
) -> Evaluation:
    """Evaluate the policies of recommenders beside simple baselines, on events that training never saw.

    models: one, or several that learned from the same log; those of one method are seeds of one row. test: held-out
    events, such as the second part of `log.split(...)`. truth: the ground truth, which is complete rewards, or the name
    of a data set that has them, such as "coat"; if left out, sessions are played on a world model of the test events.
    Without both, the ground truth of the data set is used, or the events that the recommenders kept
    (`split.evaluation`). only: "learned" leaves out the simple baselines. users: whose sessions are played: "known"
    users of the log, "new" users who were hidden from training (`split.hidden`), or "both"; if left out, both, or known
    ones where no user was hidden.

    The result can be printed and shown in a notebook; see `darlr.evaluation.result.Evaluation` for its frames, pictures
    and verdict. Raises ConfigError for an option of a wrong type, DataError for a test log of other users or items,
    RunError for recommenders that cannot share a table, where there is nothing to play on, and for new users where
    nobody was hidden.
    """
    several = [models] if isinstance(models, Recommender) else list(models)
    for one in several:
        if not isinstance(one, Recommender):
            raise ConfigError(f"option models: must be recommenders, not {type(one).__name__}")
    if only not in ("all", "learned"):
        raise ConfigError(f"option only: must be 'all' or 'learned', not {only!r}")
    if users not in (None, *get_args(Users)):
        raise ConfigError(f"option users: must be 'known', 'new' or 'both', not {users!r}")
    if test is not None and not isinstance(test, InteractionLog):
        raise ConfigError(
            "option test: must be a log, such as the second part of log.split(...) or what darlr.read_events(...) "
            f"returns, not {type(test).__name__}"
        )
    if not several:
        raise ConfigError("option models: name at least one recommender")
    runs = [one.run for one in several]
    if test is not None:
        _refuse_other_ids(test, runs[0].logs.whole)
    if isinstance(truth, str):
        name, truth = truth, load_truth(truth, options=runs[0].config.synthetic)
        if truth is None:
            raise DataError(f"{name}: has no ground truth (complete rewards to play sessions on)")
    if truth is not None:
        _refuse_other_codes(truth, runs[0].logs.scope)
    with speaking(progress):
        return evaluate_runs(runs, truth=truth, kept=test, only=only, users=users)


def _refuse_other_codes(truth: Truth, scope: Scope) -> None:
    """Raise DataError where a ground truth has users or items that are not in the recommender's log."""
    for side, codes, count in (("users", truth.users, len(scope.users)), ("items", truth.items, len(scope.items))):
        if len(codes) and int(codes.max()) >= count:
            raise DataError(
                f"the ground truth is not of the log that the recommender learned from, which has {count:,} {side}; "
                "name that of the log, or leave it out"
            )


def _refuse_other_ids(test: InteractionLog, log: InteractionLog) -> None:
    """Raise DataError unless the test log has the same users and items as the recommender's log."""
    for side, mine, other in (("users", log.user_ids, test.user_ids), ("items", log.item_ids, test.item_ids)):
        if mine != other:
            raise DataError(
                f"{test.name}: its {side} are not those of the log that the recommender learned from; take both parts "
                "from one log.split(...)"
            )
