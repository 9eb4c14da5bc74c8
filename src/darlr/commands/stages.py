"""The stages that several commands share: open the data, fit or load the world model, open a finished run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from darlr.agents.learner import build_recommender
from darlr.agents.recommender import Recommender, RecommenderPolicy
from darlr.config import RunConfig, SplitConfig, TrainConfig, WorldModelConfig
from darlr.config_json import to_json
from darlr.data.log import InteractionLog
from darlr.data.sources import open_source
from darlr.data.split import select, split
from darlr.data.store import checksum
from darlr.errors import ConfigError, RunError
from darlr.files import atomic_write_text
from darlr.runs import load_checkpoint, read_config, read_inputs
from darlr.simulation.exits import resolve
from darlr.world.fit import EpochReport, fit_world
from darlr.world.fitted import FittedWorldModel, load
from darlr.world.tables import World, build_world

ORIGIN = "origin.json"  # beside a world model: what it was fitted on
console = Console(stderr=True)


@dataclass(frozen=True)
class Logs:
    """A log, its training and held-out parts, and its checksum."""

    whole: InteractionLog
    train: InteractionLog
    held_out: InteractionLog
    checksum: str
    refit: bool

    @property
    def fitted(self) -> InteractionLog:
        """What the world model saw in the end: the whole log after a refit, else its training part."""
        return self.whole if self.refit else self.train

    @property
    def unseen(self) -> InteractionLog:
        """Held-out events that the world model never saw: none after a refit."""
        return select(self.whole, np.zeros(len(self.whole), dtype=bool)) if self.refit else self.held_out


def open_logs(config: RunConfig) -> Logs:
    """Read the data set that the configuration names, and split it."""
    log = open_source(config.data, synthetic=config.synthetic)
    train, held_out = split(log, config.split)
    return Logs(log, train, held_out, checksum(log), config.split.refit)


def origin(logs: Logs, split_config: SplitConfig) -> dict[str, Any]:
    """What a world model depends on besides its options."""
    return {"data": logs.whole.name, "checksum": logs.checksum, "split": to_json(split_config)}


def fit_into(folder: Path, logs: Logs, split_config: SplitConfig, config: WorldModelConfig) -> FittedWorldModel:
    """Fit a world model with a progress bar and write it, with its origin, into `folder`."""
    with progress_bar("world model", "{task.fields[numbers]}", numbers="") as (bar, task):

        def report(epoch: EpochReport) -> None:
            numbers = "" if epoch.held_out_rmse is None else f"held-out RMSE {epoch.held_out_rmse:.3f}"
            bar.update(task, total=epoch.epochs, completed=epoch.epoch, numbers=numbers)

        fitted = fit_world(logs.train, logs.held_out, config, report)
        if logs.refit:
            bar.update(task, description="world model, whole log")
            again = replace(config, epochs=int(fitted.metrics["best_epoch"]))
            refitted = fit_world(logs.whole, logs.unseen, again, report)
            fitted = replace(refitted, metrics={**fitted.metrics, "refit": refitted.metrics})
    fitted.save(folder)
    atomic_write_text(folder / ORIGIN, json.dumps(origin(logs, split_config), indent=2) + "\n")
    return fitted


def load_world_model(folder: Path, logs: Logs, split_config: SplitConfig) -> FittedWorldModel:
    """Load a fitted world model; RunError when it was fitted on other data or another split."""
    if not (folder / ORIGIN).exists():
        raise RunError(f"{folder}: no world model here; make one with `darlr fit --out {folder}`")
    known, wanted = json.loads((folder / ORIGIN).read_text(encoding="utf-8")), origin(logs, split_config)
    if known != wanted:
        differing = ", ".join(key for key in wanted if known.get(key) != wanted[key])
        raise RunError(f"{folder}: fitted on something else ({differing} differ); fit again, or name the same data")
    return load(folder)


def world_of(fitted: FittedWorldModel, logs: Logs, config: TrainConfig) -> World:
    """The tables on the training device."""
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"option train.device: {config.device} is asked for, but PyTorch finds no GPU; use cpu")
    return build_world(fitted, logs.fitted, config.tables).to(config.device)


def resolved(config: TrainConfig, log: InteractionLog) -> TrainConfig:
    """`exit = auto` replaced by what the data set names."""
    return replace(config, session=resolve(config.session, log.session))


@dataclass(frozen=True)
class FinishedRun:
    """A trained run, opened for use. epoch: how far it was trained."""

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


def open_run(folder: Path, opened: Mapping[str, Logs] | None = None) -> FinishedRun:
    """Open a run by its newest checkpoint. opened: logs already read, by checksum, to share between runs.

    Raises RunError when the folder holds no run, or the data set has changed since.
    """
    config, inputs = read_config(folder, RunConfig), read_inputs(folder)
    found = load_checkpoint(folder)
    if found is None:
        raise RunError(f"{folder}: no checkpoint yet; train it first with `darlr train --out {folder} --resume`")
    logs = open_logs(config)
    if logs.checksum != inputs["data"]:
        raise RunError(f"{folder}: trained on other data than {config.data} holds now; restore it, or train again")
    logs = (opened or {}).get(logs.checksum, logs)
    train = resolved(config.train, logs.whole)
    world = world_of(load_world_model(world_folder(folder, config), logs, config.split), logs, train)
    recommender = build_recommender(world, train)
    tensors, facts = found
    weights = {key.removeprefix("recommender."): value for key, value in tensors.items()}
    recommender.load_state_dict({key: weights[key] for key in recommender.state_dict()})
    return FinishedRun(folder, config, logs, world, recommender.eval(), int(facts["epoch"]))


class progress_bar:  # noqa: N801 (used as a function)
    """A progress bar on stderr with the time left; `with progress_bar(...) as (bar, task)`."""

    def __init__(self, name: str, columns: str, total: float | None = None, **fields: Any) -> None:
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn(columns),
            console=console,
        )
        self.task = self.bar.add_task(name, total=total, **fields)

    def __enter__(self) -> tuple[Progress, Any]:
        self.bar.start()
        return self.bar, self.task

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
