"""The stages that several commands share: open the data, fit or load the world model, open a finished run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from darlr.agents.learner import build_recommender
from darlr.agents.recommender import Recommender, RecommenderPolicy
from darlr.commands.progress import Meter
from darlr.config import RunConfig, SplitConfig, TrainConfig, WorldModelConfig
from darlr.config_json import to_json
from darlr.data.log import InteractionLog
from darlr.data.service import Service, catalogue, served, service_of
from darlr.data.sources import open_source
from darlr.data.split import reserve, select, split
from darlr.data.store import checksum
from darlr.data.thin import thin
from darlr.errors import ConfigError, RunError
from darlr.evaluation.truth import has_truth, load_truth
from darlr.files import atomic_write_text
from darlr.runs import load_checkpoint, read_config, read_inputs
from darlr.simulation.exits import resolve
from darlr.world.context import Context
from darlr.world.fit import EpochReport, SweepReport, train_world
from darlr.world.fitted import FILES, FittedWorldModel, load
from darlr.world.implicit import resolve as resolve_model
from darlr.world.tables import World, build_world
from darlr.world.taste import taste_features

ORIGIN = "origin.json"  # beside a world model: what it was fitted on; written last
WITHOUT_TRUTH = 0.3  # share of a user's items kept from training where nothing but the log can judge it


@dataclass(frozen=True)
class Logs:
    """A log, its training and held-out parts, and the checksum of its data set.

    evaluation: the share of each user's items (split.evaluation) whose events are in none of them.
    """

    whole: InteractionLog
    train: InteractionLog
    held_out: InteractionLog
    checksum: str
    refit: bool
    evaluation: float = 0.0

    @property
    def fitted(self) -> InteractionLog:
        """What the world model saw in the end: the whole log after a refit, else its training part."""
        return self.whole if self.refit else self.train

    @property
    def unseen(self) -> InteractionLog:
        """Held-out events that the world model never saw: none after a refit."""
        return select(self.whole, np.zeros(len(self.whole), dtype=bool)) if self.refit else self.held_out

    @cached_property
    def service(self) -> Service:
        """Whom we recommend to, and what: everything after the world model speaks in its codes."""
        return service_of(self.whole)

    @cached_property
    def catalogue(self) -> InteractionLog:
        """What the world model saw of the service's items, by all users; items in service codes."""
        return catalogue(self.fitted, self.service)

    @cached_property
    def train_catalogue(self) -> InteractionLog:
        """The same of the training part."""
        return catalogue(self.train, self.service)

    @cached_property
    def served(self) -> InteractionLog:
        """`unseen` events of the service's users on its items, both in service codes; also its ids and features."""
        return served(self.unseen, self.service)


def open_logs(config: RunConfig) -> Logs:
    """Read the data set that the configuration names, take off what is kept for evaluation, and split the rest."""
    source = open_source(config.data, synthetic=config.synthetic)
    share = evaluation_share(config)
    log = thin(reserve(source, share)[0] if share else source, config.split)
    train, held_out = split(log, config.split)
    return Logs(log, train, held_out, checksum(source), config.split.refit, share)


def evaluation_share(config: RunConfig) -> float:
    """`split.evaluation`, or where it is left out 0 for data with a truth and WITHOUT_TRUTH for others."""
    if config.split.evaluation is not None:
        return config.split.evaluation
    return 0.0 if has_truth(config.data) else WITHOUT_TRUTH


def origin(logs: Logs, split_config: SplitConfig) -> dict[str, Any]:
    """What a world model depends on besides its options."""
    known = replace(split_config, evaluation=logs.evaluation)
    return {"data": logs.whole.name, "checksum": logs.checksum, "split": to_json(known)}


def refuse_other_content(folder: Path) -> None:
    """RunError when `folder` holds something that a world model must not be written into."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; choose another folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FILES[1]).exists():
        raise RunError(f"{folder}: not empty and no world model; choose another folder")


def fit_into(folder: Path, logs: Logs, split_config: SplitConfig, config: WorldModelConfig) -> FittedWorldModel:
    """Fit a world model, showing progress, and write it, with its origin, into `folder`."""
    with Meter("world model", every=10) as meter:

        def report(done: EpochReport | SweepReport) -> None:
            if isinstance(done, EpochReport):
                meter.show(done.epoch, done.epochs, {"held_out_rmse": done.held_out_rmse})
                return
            if done.sweep == 0:
                meter.begin(f"{meter.name}, posterior", "sweep")
            meter.show(done.sweep, done.sweeps, {})

        # kind history has no epoch to choose on held-out rows before the fit that counts
        twice = logs.refit and resolve_model(config, logs.train).kind != "history"
        trained = train_world(logs.train if twice else logs.fitted, logs.held_out, config, report)
        chosen = trained.metrics
        if twice:
            meter.begin("world model, whole log")
            again = replace(config, epochs=int(chosen["best_epoch"]))
            trained = train_world(logs.whole, logs.unseen, again, report)
        users, items = len(trained.service.users), len(trained.service.items)
        meter.tell(f"world model: predicting {users:,} x {items:,} rewards")
        fitted = trained.finish()
    if twice:
        fitted = replace(fitted, metrics={**chosen, "refit": fitted.metrics})
    (folder / ORIGIN).unlink(missing_ok=True)  # killed between these lines, the folder counts as not fitted
    fitted.save(folder)
    atomic_write_text(folder / ORIGIN, json.dumps(origin(logs, split_config), indent=2) + "\n")
    return fitted


def is_fitted(folder: Path) -> bool:
    """Whether a whole world model lies in `folder`."""
    return (folder / ORIGIN).exists()


def load_world_model(folder: Path, logs: Logs, split_config: SplitConfig) -> FittedWorldModel:
    """Load a fitted world model; RunError when it was fitted on other data or another split."""
    if not is_fitted(folder):
        raise RunError(f"{folder}: no world model here; make one with `darlr fit --out {folder}`")
    try:
        known = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        wanted = origin(logs, split_config)
        differing = [key for key in wanted if known.get(key) != wanted[key]]
    except (ValueError, AttributeError) as error:
        raise RunError(f"{folder / ORIGIN}: damaged ({error}); run `darlr fit` again") from error
    if differing:
        raise RunError(
            f"{folder}: fitted on something else ({', '.join(differing)} differ); fit again, or name the same data"
        )
    return load(folder)


def world_of(fitted: FittedWorldModel, logs: Logs, config: TrainConfig) -> World:
    """The service's tables on the training device."""
    world = build_world(fitted, logs.fitted, config.tables, logs.service)
    if config.recommender.belief:
        known = Context(logs.fitted, logs.held_out, logs.service, logs.catalogue, world, config.session.turns)
        world = replace(world, taste=taste_features(known)[0])
    return world.to(config.device)


def paid_world(world: World, logs: Logs, config: RunConfig) -> World:
    """The world that agents are paid by: the tables themselves, or, for GT, with the truth as their reward."""
    if config.train.method != "gt":
        return world
    return replace(world, reward=true_reward(logs, config).to(world.reward))


def true_reward(logs: Logs, config: RunConfig) -> Tensor:
    """What GT learns from, float32 [Us, Is]; raises ConfigError unless the truth covers the service."""
    truth = load_truth(config.data, synthetic=config.synthetic)
    if truth is None:
        raise ConfigError(f"option method: gt learns from the truth, and {config.data} has none")
    wanted = len(logs.service.users), len(logs.service.items)
    if truth.reward.shape != wanted:
        raise ConfigError(
            f"option method: gt needs the true reward of every user and item, {wanted[0]} x {wanted[1]} cells; "
            f"the truth of {config.data} has {truth.reward.shape[0]} x {truth.reward.shape[1]}"
        )
    reward = torch.empty_like(truth.reward)
    reward[torch.from_numpy(truth.users)[:, None], torch.from_numpy(truth.items)] = truth.reward
    return reward


def resolved(config: TrainConfig, log: InteractionLog) -> TrainConfig:
    """`exit = auto` replaced by what the data set names."""
    return replace(config, session=resolve(config.session, log))


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


def open_run(folder: Path, opened: dict[Any, Logs] | None = None) -> FinishedRun:
    """Open a run by its newest checkpoint, on the CPU. opened: logs read so far, to share between runs.

    Raises RunError when the folder holds no run, or the data set has changed since.
    """
    config, inputs = read_config(folder, RunConfig), read_inputs(folder)
    found = load_checkpoint(folder)
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
