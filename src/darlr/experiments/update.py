"""An update: a run that goes on from a trained one, with new events, and a gate that compares the two."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from darlr.agents.carry import Before, carry
from darlr.agents.learner import Learner
from darlr.agents.sink import Memory
from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.scope import places
from darlr.data.sources import open_source
from darlr.data.split import newest
from darlr.data.store import is_prepared, load, load_report
from darlr.data.store import save as save_log
from darlr.errors import ConfigError, RunError
from darlr.experiments.finished import DATA, FinishedRun
from darlr.experiments.gate import Gate, compare
from darlr.experiments.growth import Growth
from darlr.experiments.logs import Logs
from darlr.experiments.plan import IN_MEMORY
from darlr.experiments.progress import say
from darlr.experiments.promotion import SCHEMA, UPDATE, read_update
from darlr.experiments.runs import CHECKPOINT
from darlr.experiments.training import Earlier, announce, fitted_anew, prepare, train_agents, train_run
from darlr.io.files import digest, write_json
from darlr.methods import find
from darlr.options import OWN, RunConfig, UpdateConfig, WorldModelConfig
from darlr.options.json import to_json
from darlr.serving.folder import version_of
from darlr.world.kind import Warm
from darlr.world.tables import World

HELD = "gate"  # the folder of a run with the newest events, which its update did not learn from
RATE, PATIENCE = 0.4, 2  # of the world model's fit: its step size, in those of the first fit, and its patience


@dataclass(frozen=True)
class Updated:
    """The run that an update made, and what the gate found."""

    run: FinishedRun
    gate: Gate
    report: PrepareReport


def source_of(run: FinishedRun) -> tuple[InteractionLog, InteractionLog | None]:
    """The log of a run in a folder, as it was read, and the events that its own update did not learn from."""
    source = open_source(run.config.data, options=run.config.synthetic)
    if is_prepared(Path(run.config.data)):
        source = replace(source, report=load_report(Path(run.config.data)))
    held = None if run.folder is None else run.folder / HELD
    return source, load(held) if held is not None and is_prepared(held) else None


def update_run(
    parent: FinishedRun, growth: Growth, out: Path, options: UpdateConfig, *, resume: bool = False, threads: int = 1
) -> Updated:
    """Go on from a run with new events, in a folder of its own; the run itself does not change.

    resume: continue an update in the folder, which must have begun with the same run, events and options. Raises
    ConfigError and RunError where the run cannot be updated, and as `train_run` does.
    """
    refuse_update(parent)
    asked = _asked(parent, options, str(out.resolve() / DATA))
    asked = replace(asked, train=replace(asked.train, threads=threads))
    earlier = _earlier(parent, options)
    run = train_run(asked, out, source=growth.log, resume=resume, watch=False, earlier=earlier)
    if not is_prepared(out / HELD):
        save_log(growth.gate, out / HELD, growth.report)
    gate = compare(parent, run, growth.gate)
    about = {"schema": SCHEMA, "parent": _lineage(parent), "options": to_json(options), "learned": growth.added}
    write_json(out / UPDATE, about | {"events": growth.report.to_json(), "gate": gate.to_json()})
    return Updated(run, gate, growth.report)


def update_in_memory(parent: FinishedRun, growth: Growth, options: UpdateConfig) -> Updated:
    """Go on from a run with new events, and write nothing. Errors: as `update_run`."""
    refuse_update(parent)
    earlier = _earlier(parent, options)
    prepared = prepare(_asked(parent, options, IN_MEMORY), growth.log)
    announce(prepared)
    fitted = fitted_anew(prepared.logs, prepared.config.world_model, earlier)
    run = train_agents(prepared, fitted, Memory(), earlier=earlier)
    return Updated(run, compare(parent, run, growth.gate), growth.report)


def refuse_update(run: FinishedRun) -> None:
    """Raise ConfigError for a run that cannot go on."""
    config, name = run.config, run.name
    if find(config.train.method).truth:
        raise ConfigError(f"{name}: method {config.train.method} learns from a truth, which new events do not extend")
    if run.fitted.config.kind == "given":
        raise ConfigError(
            f"{name}: its world model is of another library, which must be fitted to all events there; then train anew "
            "with it (option world)"
        )
    if config.split.keep < 1 or config.split.isolated:
        raise ConfigError(f"{name}: was trained on a part of its log (options split.keep, split.isolated); train anew")


def _asked(parent: FinishedRun, options: UpdateConfig, data: str) -> RunConfig:
    config = parent.config
    train = replace(config.train, epochs=options.epochs, compile="auto")
    return replace(config, data=data, world=OWN, train=train)


def _earlier(parent: FinishedRun, options: UpdateConfig) -> Earlier:
    saved = parent.checkpoint()
    if saved is None:
        raise RunError(f"{parent.name}: has no checkpoint to go on from; train it first")
    handed = {f"recommender.{name}": value for name, value in parent.recommender.state_dict().items()}
    before = Before({**saved[0], **handed}, parent.world)

    def begin(learner: Learner, world: World, logs: Logs) -> None:
        users = np.unique(newest(logs.whole).user)
        there = places(logs.scope.users, logs.scope.n_users)[users]
        carry(learner, world, before, torch.from_numpy(there[there >= 0]))

    fitted, inputs = parent.fitted, {"update": _said(options)}
    if parent.folder is not None:
        inputs["parent"] = digest(parent.folder / CHECKPOINT)
    warm = Warm(fitted.model, fitted.scale, options.replay)
    return Earlier(warm, _gently(fitted.config, options), begin, inputs)


def _gently(config: WorldModelConfig, options: UpdateConfig) -> WorldModelConfig:
    """The options with which the fit of a world model goes on."""
    rate, patience = RATE * config.learning_rate, min(PATIENCE, config.patience)
    return replace(config, epochs=options.world_epochs, learning_rate=rate, patience=patience)


def _said(options: UpdateConfig) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in to_json(options).items())


def _lineage(parent: FinishedRun) -> Mapping[str, Any]:
    """What an update came from: the run's folder, label, digests, and what it came from itself."""
    folder = parent.folder
    assert folder is not None
    own = read_update(folder) or {}
    version = version_of(folder / "policy") if (folder / "policy").is_dir() else None
    found = {"run": str(folder.resolve()), "label": parent.config.label, "checkpoint": digest(folder / CHECKPOINT)}
    return {**found, "policy": version, "epochs": parent.epochs, "parent": own.get("parent")}


def announced(growth: Growth) -> None:
    """Show what is new."""
    say(str(growth.report))
    say(f"{growth.added:,} events to learn from, {len(growth.gate):,} for the gate")
