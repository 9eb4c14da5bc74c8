"""A trained run, opened by the policy that it hands over."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from darlr.agents.learner import build_recommender
from darlr.agents.recommender import Recommender, RecommenderPolicy
from darlr.errors import RunError
from darlr.experiments.logs import Logs, open_logs, resolved
from darlr.experiments.runs import load_best, load_checkpoint, read_config, read_inputs
from darlr.experiments.world import load_world_model, paid_world, world_of
from darlr.options import RunConfig, TrainConfig, WorldModelConfig
from darlr.simulation.policy import Policy, translated
from darlr.world.fitted import FILES
from darlr.world.tables import World


@dataclass(frozen=True)
class FinishedRun:
    """A run, opened for use. world: its tables, never the truth; model: what it was fitted with. config.train is
    resolved, for the CPU.

    epoch: that of the policy it hands over, 0 = its start; epochs: how far it was trained; judged: see `HandedOver`.
    """

    folder: Path
    config: RunConfig
    logs: Logs
    world: World
    recommender: Recommender
    model: WorldModelConfig
    epoch: int
    epochs: int
    judged: Mapping[str, Any]

    @property
    def policy(self) -> Policy:
        """The policy that the run hands over, for sessions in the log's unit of rewards."""
        return translated(RecommenderPolicy(self.recommender), self.logs.unit)

    @cached_property
    def untrained(self) -> Recommender:
        """The same networks before training."""
        return build_recommender(paid_world(self.world, self.logs, self.config), self.config.train).eval()

    @property
    def start(self) -> Policy:
        """The policy before training."""
        return translated(RecommenderPolicy(self.untrained), self.logs.unit)


def world_folder(folder: Path, config: RunConfig) -> Path:
    """Where a run's world model lies."""
    return Path(config.world) if config.world else folder / "world"


def world_parts(place: Path) -> dict[str, Path]:
    """What a run depends on besides its options and data: the world model in `place`."""
    return {"world model": place / FILES[0]}


def open_run(folder: Path, opened: dict[Any, Logs] | None = None) -> FinishedRun:
    """Open a run by the policy that it hands over, on the CPU. opened: logs read so far, to share between runs.

    Raises RunError when the folder holds no run, or the data set or the world model has changed since.
    """
    config, inputs = read_config(folder, RunConfig), read_inputs(folder)
    found = handed_over(folder, config)
    if found is None:
        raise RunError(f"{folder}: no checkpoint yet; train it first with `darlr train --out {folder} --resume`")
    opened = {} if opened is None else opened
    key = config.data, config.synthetic, config.split
    logs = opened[key] = opened.get(key) or open_logs(config)
    if logs.checksum != inputs["data"]:
        raise RunError(f"{folder}: trained on other data than {config.data} holds now; restore it, or train again")
    config = replace(config, train=replace(resolved(config.train, logs.whole), device="cpu"))
    fitted = load_world_model(world_folder(folder, config), logs, config.split)
    world = world_of(fitted, logs, config.train)
    recommender = trained(paid_world(world, logs, config), config.train, found.weights)
    return FinishedRun(folder, config, logs, world, recommender, fitted.config, *found[1:])


class HandedOver(NamedTuple):
    """The recommender's weights that a run hands over, their epoch, and how far the run was trained.

    judged: what `darlr.agents.keep` says of them and of the start; empty where the last epoch counts.
    """

    weights: Mapping[str, Tensor]
    epoch: int
    epochs: int
    judged: Mapping[str, Any]


def handed_over(folder: Path, config: RunConfig) -> HandedOver | None:
    """What a run hands over by its option `keep`; None before its first checkpoint."""
    found = load_checkpoint(folder, world_parts(world_folder(folder, config)))
    if found is None:
        return None
    epochs = int(found[1]["epoch"])
    if config.train.keep == "best":
        weights, judged = load_best(folder)
        return HandedOver(weights, int(judged["epoch"]), epochs, judged)
    mine = {
        key.removeprefix("recommender."): value for key, value in found[0].items() if key.startswith("recommender.")
    }
    return HandedOver(mine, epochs, epochs, {})


def trained(world: World, config: TrainConfig, weights: Mapping[str, Tensor]) -> Recommender:
    """The recommender with these weights."""
    recommender = build_recommender(world, config)
    try:
        recommender.load_state_dict({key: weights[key] for key in recommender.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise RunError(f"the checkpoint does not fit this version of darlr ({error}); train again") from error
    return recommender.eval()
