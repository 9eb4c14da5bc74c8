"""A trained run by the policy that it hands over: open it from memory or from its folder, and save it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.agents.learner import build_recommender
from darlr.agents.policy import RecommenderPolicy
from darlr.agents.recommender import Recommender
from darlr.agents.sink import Memory
from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.sources import open_source
from darlr.data.store import is_prepared
from darlr.data.store import save as save_log
from darlr.errors import RunError
from darlr.experiments import runs
from darlr.experiments.logs import Logs, open_logs
from darlr.experiments.plan import IN_MEMORY
from darlr.experiments.runs import CONFIG, REMEDY, Run
from darlr.experiments.world import load_world_model, paid_world, save_world_model, world_of
from darlr.io.checkpoint import Saved
from darlr.io.files import read_json, write_json
from darlr.io.folders import replacing_folder
from darlr.io.places import refuse_address
from darlr.methods import find
from darlr.options import OWN, RunConfig, TrainConfig
from darlr.serving.folder import export
from darlr.simulation.policy import Policy, translated
from darlr.world.fitted import FILES, FittedWorldModel
from darlr.world.models.implicit import ImplicitModel
from darlr.world.tables import World

DATA = "data"  # folder of a run that holds its log, where the run was trained in memory and saved


class HandedOver(NamedTuple):
    """The recommender's weights that a run hands over, their epoch (0: its start), and the epochs of training so far.

    scores: the returns by which the epoch was chosen (`darlr.agents.sink`); empty where the last epoch counts.
    """

    weights: Mapping[str, Tensor]
    epoch: int
    epochs: int
    scores: Mapping[str, Any]


@dataclass(frozen=True)
class FinishedRun:
    """A trained run, opened for use on the CPU. It reads no truth.

    home: its folder, or the sink of a run that was trained in memory. config: the options of its plan, with the device
    of the CPU. rows: the log lines, one an epoch. epoch, epochs, scores: see `HandedOver`.
    """

    home: Path | Memory
    config: RunConfig
    logs: Logs
    fitted: FittedWorldModel
    world: World
    recommender: Recommender
    rows: list[dict[str, Any]]
    epoch: int
    epochs: int
    scores: Mapping[str, Any]

    @property
    def folder(self) -> Path | None:
        """Its folder; None where it was trained in memory."""
        return None if isinstance(self.home, Memory) else self.home

    @property
    def name(self) -> str:
        """The name of the run in messages: its folder, or its label."""
        return self.config.label if self.folder is None else str(self.folder)

    @property
    def policy(self) -> Policy:
        """The policy that the run hands over, for sessions in the log's unit of rewards."""
        return translated(RecommenderPolicy(self.recommender), self.logs.unit)

    def predicted(self, events: InteractionLog) -> NDArray[np.float64]:
        """The rewards that its world model predicts of events in scope codes, [L], in the log's unit."""
        pairs = self.world.reward.pairs(torch.from_numpy(events.user), torch.from_numpy(events.item))
        return np.asarray(self.logs.unit.show(pairs.double()))

    @cached_property
    def untrained(self) -> Recommender:
        """The same networks before training."""
        return build_recommender(paid_world(self.world, self.logs, self.config), self.config.train).eval()

    @property
    def start(self) -> Policy:
        """The policy before training."""
        return translated(RecommenderPolicy(self.untrained), self.logs.unit)

    def checkpoint(self) -> Saved | None:
        """Return the whole state of training; RunError where the world model has changed since."""
        if isinstance(self.home, Memory):
            return self.home.load_checkpoint()
        return runs.load_checkpoint(self.home, world_parts(world_folder(self.home, self.config)))

    def export(self, folder: Path) -> None:
        """Write the policy that the run hands over into a folder of its own, for serving."""
        export(self.recommender, self.world, self.logs.known, self.config.train, folder, self.closed_form)

    @property
    def closed_form(self) -> ImplicitModel | None:
        """The world model, where it estimates the rewards of new users itself."""
        return self.fitted.model if isinstance(self.fitted.model, ImplicitModel) else None


def finish(
    home: Path | Memory, config: RunConfig, logs: Logs, fitted: FittedWorldModel, world: World, found: HandedOver
) -> FinishedRun:
    """Return a run with the policy that it hands over, on the CPU. world: the tables that the agents were paid by."""
    config = replace(config, train=replace(config.train, device="cpu"))
    world = world.to("cpu")
    recommender = trained(world, config.train, found.weights)
    if find(config.train.method).truth:  # its tables hold the truth, which belongs to evaluation
        world = world_of(fitted, logs, config.train)
    rows = home.rows.copy() if isinstance(home, Memory) else runs.read_metrics(home)
    return FinishedRun(home, config, logs, fitted, world, recommender, rows, *found[1:])


def world_folder(folder: Path, config: RunConfig) -> Path:
    """Return the folder of a run's world model."""
    return folder / "world" if config.fits_world else Path(config.world)


def world_parts(place: Path) -> dict[str, Path]:
    """Return the files that a run depends on besides its options and data: the world model in `place`."""
    return {"world model": place / FILES[0]}


def open_run(folder: Path, opened: dict[Any, Logs] | None = None, logs: Logs | None = None) -> FinishedRun:
    """Open a run by the policy that it hands over, on the CPU.

    opened: logs read so far, to share between runs. logs: those of this run, where they are read already.
    Raises RunError when the folder holds no run, or the data set or the world model has changed since.
    """
    config, inputs = runs.read_config(folder, RunConfig), runs.read_inputs(folder)
    checkpoint = runs.load_checkpoint(folder, world_parts(world_folder(folder, config)))
    if checkpoint is None:
        raise RunError(f"{folder}: no checkpoint yet; train it first with `darlr train --out {folder} --resume`")
    found = handed_over(checkpoint, runs.load_best(folder) if config.train.keep != "last" else None)
    config = with_own_log(config, folder)
    if logs is None:
        opened, key = {} if opened is None else opened, (config.data, config.synthetic, config.split)
        if key not in opened:
            opened[key] = open_logs(config)
        logs = opened[key]
    if logs.checksum != inputs["data"]:
        raise RunError(f"{folder}: trained on other data than {config.data} holds now; restore it, or train again")
    fitted = load_world_model(world_folder(folder, config), logs, config.split, config.world_model)
    train = replace(config.train, device="cpu")
    world = paid_world(world_of(fitted, logs, train), logs, config)
    return finish(folder, config, logs, fitted, world, found)


def with_own_log(config: RunConfig, folder: Path) -> RunConfig:
    """Return the options with the log in the run's folder, where there is one, as the folder may have been moved."""
    return replace(config, data=str(folder.resolve() / DATA)) if is_prepared(folder / DATA) else config


def handed_over(checkpoint: Saved, best: Saved | None) -> HandedOver:
    """Return what a run with this newest checkpoint hands over. best: see `chosen`."""
    tensors, state = checkpoint
    prefix = "recommender."
    newest = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return chosen(newest, int(state["epoch"]), best)


def chosen(newest: Mapping[str, Tensor], epochs: int, best: Saved | None) -> HandedOver:
    """Return the best weights and their scores, or, where none were kept, the newest weights, of epoch `epochs`."""
    if best is None:
        return HandedOver(newest, epochs, epochs, {})
    weights, scores = best
    return HandedOver(weights, int(scores["epoch"]), epochs, scores)


def trained(world: World, options: TrainConfig, weights: Mapping[str, Tensor]) -> Recommender:
    """Return the recommender with these weights; RunError where they do not fit."""
    recommender = build_recommender(world, options)
    try:
        recommender.load_state_dict({key: weights[key] for key in recommender.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise RunError(f"the checkpoint does not fit this version of darlr ({error}); train again") from error
    return recommender.eval()


def save_run(run: FinishedRun, source: InteractionLog | None, folder: Path) -> None:
    """Write the run into `folder`, replacing a run that is there once the new one is whole.

    source: its log as it was read, None where its options name a data set. Raises RunError when the folder holds
    something else, or cannot be written.
    """
    refuse_address(folder)
    if folder.exists() and not (folder / CONFIG).is_file():
        raise RunError(f"{folder}: exists and is no run; choose another folder")
    with replacing_folder(folder) as place:
        if isinstance(run.home, Memory):
            _write(run, run.home, place, str(folder.resolve() / DATA))
        else:
            shutil.copytree(run.home, place, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)
            _own_world(run, place)
        if not is_prepared(place / DATA):
            source = open_source(run.config.data, options=run.config.synthetic) if source is None else source
            keep_log(source, place)


def keep_log(source: InteractionLog, folder: Path) -> None:
    """Write the log of a run beside it."""
    columns = None if source.report is None else source.report.columns
    save_log(source, folder / DATA, PrepareReport(IN_MEMORY, len(source), len(source), columns=columns))


def _write(run: FinishedRun, memory: Memory, place: Path, data: str) -> None:
    """Write a run that was trained in memory. data: the place where its log will lie."""
    config = replace(run.config, world=OWN, data=data)
    with Run.start(place, config, inputs={"data": run.logs.checksum}) as opened:
        save_world_model(run.fitted, place / "world", run.logs, run.config.split)
        opened.depend_on(world_parts(place / "world"))
        checkpoint = run.checkpoint()
        assert checkpoint is not None  # a trained run has one
        for row in memory.rows:
            opened.log(row)
        if config.train.keep != "last":
            opened.save_best(*memory.load_best())
        opened.save_checkpoint(checkpoint[0], {"epoch": checkpoint[1]["epoch"]})
        run.export(place / "policy")


def _own_world(run: FinishedRun, place: Path) -> None:
    """Give a copied run the world model that its options name, so that it needs no other folder."""
    if run.config.fits_world:
        return
    shutil.copytree(world_folder(place, run.config), place / "world", dirs_exist_ok=True)
    stored = read_json(place / CONFIG, REMEDY)
    stored["config"]["world"] = OWN
    stored["inputs"].pop("world", None)
    write_json(place / CONFIG, stored)
