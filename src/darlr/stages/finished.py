"""A trained run, opened by its newest checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from darlr.agents.learner import build_recommender
from darlr.agents.recommender import Recommender, RecommenderPolicy
from darlr.config import RunConfig, TrainConfig
from darlr.errors import RunError
from darlr.runs import load_checkpoint, read_config, read_inputs
from darlr.stages.logs import Logs, open_logs, resolved
from darlr.stages.world import load_world_model, paid_world, world_of
from darlr.world.fitted import FILES
from darlr.world.tables import World


@dataclass(frozen=True)
class FinishedRun:
    """A trained run, opened for use. world: its tables, never the truth. epoch: how far it was trained."""

    folder: Path
    config: RunConfig
    logs: Logs
    world: World
    recommender: Recommender
    epoch: int

    @property
    def policy(self) -> RecommenderPolicy:
        """The trained policy."""
        return RecommenderPolicy(self.recommender)


def world_folder(folder: Path, config: RunConfig) -> Path:
    """Where a run's world model lies."""
    return Path(config.world) if config.world else folder / "world"


def world_parts(place: Path) -> dict[str, Path]:
    """What a run depends on besides its options and data: the world model in `place`."""
    return {"world model": place / FILES[0]}


def open_run(folder: Path, opened: dict[Any, Logs] | None = None) -> FinishedRun:
    """Open a run by its newest checkpoint, on the CPU. opened: logs read so far, to share between runs.

    Raises RunError when the folder holds no run, or the data set or the world model has changed since.
    """
    config, inputs = read_config(folder, RunConfig), read_inputs(folder)
    found = load_checkpoint(folder, world_parts(world_folder(folder, config)))
    if found is None:
        raise RunError(f"{folder}: no checkpoint yet; train it first with `darlr train --out {folder} --resume`")
    opened = {} if opened is None else opened
    key = config.data, config.synthetic, config.split
    logs = opened[key] = opened.get(key) or open_logs(config)
    if logs.checksum != inputs["data"]:
        raise RunError(f"{folder}: trained on other data than {config.data} holds now; restore it, or train again")
    train = replace(resolved(config.train, logs.whole), device="cpu")
    fitted = load_world_model(world_folder(folder, config), logs, config.split)
    world = world_of(fitted, logs, train)
    recommender = trained(paid_world(world, logs, config), train, found[0])
    return FinishedRun(folder, config, logs, world, recommender, int(found[1]["epoch"]))


def trained(world: World, config: TrainConfig, checkpoint: Mapping[str, Tensor]) -> Recommender:
    """The recommender of a checkpoint."""
    recommender = build_recommender(world, config)
    weights = {key.removeprefix("recommender."): value for key, value in checkpoint.items()}
    try:
        recommender.load_state_dict({key: weights[key] for key in recommender.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise RunError(f"the checkpoint does not fit this version of darlr ({error}); train again") from error
    return recommender.eval()
