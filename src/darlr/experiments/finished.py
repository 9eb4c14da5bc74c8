"""A trained run by the policy that it hands over, from memory or from its folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from darlr.agents.learner import build_recommender
from darlr.agents.recommender import Recommender, RecommenderPolicy
from darlr.agents.sink import Sink
from darlr.data.store import is_prepared
from darlr.errors import RunError
from darlr.experiments.logs import Logs, open_logs
from darlr.experiments.runs import load_best, load_checkpoint, read_config, read_inputs, read_metrics
from darlr.experiments.world import load_world_model, paid_world, world_of
from darlr.io.checkpoint import Saved
from darlr.methods import find
from darlr.options import RunConfig, TrainConfig, WorldModelConfig
from darlr.simulation.policy import Policy, translated
from darlr.world.fitted import FILES, FittedWorldModel
from darlr.world.tables import World

DATA = "data"  # folder of a run that holds its log, where the run was trained in memory and saved


class HandedOver(NamedTuple):
    """The recommender's weights that a run hands over, their epoch (0: its start), and how far the run was trained.

    scores: what the choice of the epoch was made by (`darlr.agents.sink`); empty where the last epoch counts.
    """

    weights: Mapping[str, Tensor]
    epoch: int
    epochs: int
    scores: Mapping[str, Any]


@dataclass(frozen=True)
class FinishedRun:
    """A trained run, opened for use on the CPU. It reads no truth.

    folder: None where it was trained in memory. config: the options of its plan, with the device of the CPU. rows: the
    log lines, one an epoch. epoch, epochs, scores: see `HandedOver`. checkpoint: reads the whole state of training.
    """

    folder: Path | None
    config: RunConfig
    logs: Logs
    fitted: FittedWorldModel
    world: World
    recommender: Recommender
    rows: list[dict[str, Any]]
    epoch: int
    epochs: int
    scores: Mapping[str, Any]
    checkpoint: Callable[[], Saved | None] = field(repr=False)

    @property
    def name(self) -> str:
        """What messages call the run: its folder, or its label."""
        return self.config.label if self.folder is None else str(self.folder)

    @property
    def model(self) -> WorldModelConfig:
        """The options that its world model was fitted with."""
        return self.fitted.config

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


def finish(
    config: RunConfig,
    logs: Logs,
    fitted: FittedWorldModel,
    found: HandedOver,
    rows: list[dict[str, Any]],
    world: World,
    checkpoint: Callable[[], Saved | None],
    folder: Path | None = None,
) -> FinishedRun:
    """A run with the policy that it hands over, on the CPU. world: the tables that the agents were paid by."""
    config = replace(config, train=replace(config.train, device="cpu"))
    world = world.to("cpu")
    recommender = trained(world, config.train, found.weights)
    if find(config.train.method).truth:  # its tables hold the truth, which belongs to evaluation
        world = world_of(fitted, logs, config.train)
    return FinishedRun(folder, config, logs, fitted, world, recommender, list(rows), *found[1:], checkpoint)


def world_folder(folder: Path, config: RunConfig) -> Path:
    """Where a run's world model lies."""
    return folder / "world" if config.fits_world else Path(config.world)


def world_parts(place: Path) -> dict[str, Path]:
    """What a run depends on besides its options and data: the world model in `place`."""
    return {"world model": place / FILES[0]}


def open_run(folder: Path, opened: dict[Any, Logs] | None = None, logs: Logs | None = None) -> FinishedRun:
    """Open a run by the policy that it hands over, on the CPU.

    opened: logs read so far, to share between runs. logs: those of this run, where they are read already.
    Raises RunError when the folder holds no run, or the data set or the world model has changed since.
    """
    config, inputs = read_config(folder, RunConfig), read_inputs(folder)
    reads = partial(load_checkpoint, folder, world_parts(world_folder(folder, config)))
    checkpoint = reads()
    if checkpoint is None:
        raise RunError(f"{folder}: no checkpoint yet; train it first with `darlr train --out {folder} --resume`")
    best = load_best(folder) if config.train.keep == "best" else None
    found = chosen(checkpoint, best)
    config = with_own_log(config, folder)
    if logs is None:
        logs = logs_of(config, {} if opened is None else opened)
    if logs.checksum != inputs["data"]:
        raise RunError(f"{folder}: trained on other data than {config.data} holds now; restore it, or train again")
    fitted = load_world_model(world_folder(folder, config), logs, config.split)
    train = replace(config.train, device="cpu")
    world = paid_world(world_of(fitted, logs, train), logs, config)
    return finish(config, logs, fitted, found, read_metrics(folder), world, reads, folder)


def with_own_log(config: RunConfig, folder: Path) -> RunConfig:
    """The options with the log that lies in the run's folder, where there is one: the folder may have been moved."""
    return replace(config, data=str(folder.resolve() / DATA)) if is_prepared(folder / DATA) else config


def logs_of(config: RunConfig, opened: dict[Any, Logs]) -> Logs:
    """The logs that a run's options name, read once for all runs that share them."""
    key = config.data, config.synthetic, config.split
    if key not in opened:
        opened[key] = open_logs(config)
    return opened[key]


def handed_over(sink: Sink, options: TrainConfig) -> HandedOver | None:
    """What a run hands over by its option `keep`; None before its first checkpoint."""
    checkpoint = sink.load_checkpoint()
    if checkpoint is None:
        return None
    return chosen(checkpoint, sink.load_best() if options.keep == "best" else None)


def chosen(checkpoint: Saved, best: Saved | None) -> HandedOver:
    """The weights of the best epoch, or, where none was kept, those of the newest checkpoint."""
    tensors, state = checkpoint
    epochs = int(state["epoch"])
    if best is not None:
        weights, scores = best
        return HandedOver(weights, int(scores["epoch"]), epochs, scores)
    prefix = "recommender."
    mine = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return HandedOver(mine, epochs, epochs, {})


def trained(world: World, options: TrainConfig, weights: Mapping[str, Tensor]) -> Recommender:
    """The recommender with these weights; RunError where they do not fit."""
    recommender = build_recommender(world, options)
    try:
        recommender.load_state_dict({key: weights[key] for key in recommender.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise RunError(f"the checkpoint does not fit this version of darlr ({error}); train again") from error
    return recommender.eval()
