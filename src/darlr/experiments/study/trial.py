"""A cell of a search: one setting of the options on one fold, measured on held-out events of the log alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import within_scope
from darlr.data.unit import as_learned
from darlr.errors import DataError, RunError
from darlr.evaluation.held_out import held_out_sums
from darlr.evaluation.next_items import NDCG, rank, unseen_items
from darlr.experiments.compiling import plainly
from darlr.experiments.finished import open_run
from darlr.experiments.logs import Logs, open_logs
from darlr.experiments.runs import CONFIG
from darlr.experiments.training import train_run
from darlr.experiments.world import fit_into, is_fitted, load_world_model
from darlr.options import RunConfig
from darlr.simulation.policy import Policy
from darlr.world.fitted import FittedWorldModel

HELD_OUT, KEPT = "held-out", "kept"
Losses = Mapping[str, float]
"""The loss on the held-out events that the search reads, and on kept ones, where there are any for the outer split."""


def losses(name: str, config: RunConfig, place: Path, world: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Run a trial in its folder, or go on with it. name: its objective. world: the folder of its world model."""
    logs = open_logs(config)
    parts = {HELD_OUT: logs.unseen}
    if config.split.draw and logs.kept is not None:  # draw 0 is kept for evaluation, and no search reads it
        parts[KEPT] = as_learned(logs.kept, logs.unit)
    measured: dict[str, float]
    if name == "world":
        own = place / "world"
        fitted = (
            load_world_model(own, logs, config.split)
            if is_fitted(own)
            else fit_into(own, logs, config.split, config.world_model)
        )
        measured = {part: of_world(fitted, logs, events) for part, events in parts.items()}
    else:
        folder = place / "run"
        train_run(plainly(replace(config, world=str(world))), folder, resume=(folder / CONFIG).exists(), watch=False)
        policy = open_run(folder).policy
        measured = {part: of_policy(policy, logs, events) for part, events in parts.items()}
    return {}, {"losses": measured, "curve": [], "steps": 0, "command": ""}


def of_world(fitted: FittedWorldModel, logs: Logs, events: InteractionLog) -> float:
    """The RMSE of r0 on events, in the log's unit; 1 - NDCG where only positives are logged.

    events: in log codes and in the unit of learning. Raises RunError where none of them is in the scope.
    """
    try:
        sums = held_out_sums(fitted.reward, within_scope(events, logs.scope), within_scope(logs.fitted, logs.scope))
    except DataError as error:
        raise RunError(f"{logs.whole.name}: the objective world cannot be measured: {error}") from None
    if "RMSE" in sums:
        return float((sums["RMSE"][0].sum() / sums["RMSE"][1].sum()) ** 0.5) * logs.unit.scale
    return 1.0 - float(sums["NDCG"][0].sum() / sums["NDCG"][1].sum())


def of_policy(policy: Policy, logs: Logs, events: InteractionLog) -> float:
    """1 - nDCG at 10 of the policy's first lists on events, as in `darlr.evaluation.next_items`.

    events: in log codes and in the unit of learning. Raises RunError where no user has a relevant one.
    """
    found = unseen_items(within_scope(events, logs.scope), within_scope(logs.fitted, logs.scope))
    reached, users = rank([policy], found).sums[NDCG] if len(found.users) else (found.gain, found.gain)
    if not users.sum() > 0:
        raise RunError(
            f"{logs.whole.name}: the objective policy cannot be measured, because no user has a held-out event that is "
            "new and above the mean; hold out more (option split.held-out), or choose the objective world"
        )
    return 1.0 - float(reached.sum() / users.sum())
