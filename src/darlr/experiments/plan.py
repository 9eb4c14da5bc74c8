"""The options of a run: checked, and with nothing left open, decided by the method and the log before it begins."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.table import Table

from darlr.agents.fast.kernels import require_compiler
from darlr.agents.learner import slate_size
from darlr.agents.references import candidate_count
from darlr.data.log import InteractionLog
from darlr.data.sessions import TIMES
from darlr.data.sets.exposure import exposure_of
from darlr.data.sources import BUILT_IN
from darlr.errors import ConfigError, MachineError
from darlr.experiments.logs import Logs
from darlr.experiments.world import weighs
from darlr.methods import find, usual, weighted
from darlr.options import (
    RewardConfig,
    RunConfig,
    SelectorConfig,
    SessionConfig,
    SyntheticConfig,
    TrainConfig,
    WorldModelConfig,
)
from darlr.options.checks import spelt
from darlr.options.json import to_json
from darlr.options.names import changed, named, option_name
from darlr.simulation import exits
from darlr.simulation.exits import resolve as resolve_exit
from darlr.world.drawn import require_draws
from darlr.world.implicit import resolve as resolve_model
from darlr.world.weighed import require_weighable

IN_MEMORY = "in memory"  # the name of a data set that lies in no folder
LARGEST_SEED = 2**32 - 1  # the largest that every generator takes


def check_options(config: Any, where: str = "") -> None:
    """Raise ConfigError for an unknown name, an infinite number, or a seed that no generator takes."""
    for option in fields(config):
        value, name = getattr(config, option.name), option_name(where, option.name)
        numbers = value if isinstance(value, tuple) else (value,)
        if is_dataclass(value):
            check_options(value, name)
        elif any(isinstance(one, float) and not math.isfinite(one) for one in numbers):
            raise ConfigError(f"option {name}: must be a finite number, not {value}")
        elif option.name == "method":
            find(value)
        elif option.name == "exit" and value != "auto":
            exits.find(value)
        elif option.name == "seed" and not 0 <= value <= LARGEST_SEED:
            raise ConfigError(f"option {name}: must be from 0 to {LARGEST_SEED}, not {value}")


def check_run(config: RunConfig, log: InteractionLog) -> None:
    """Raise ConfigError when training on this log with these options must fail. It adds to `check_options`."""
    check_device(config.train.device)
    if config.train.compile == "on":
        require_compiler(config.train.device)
    if find(config.train.method).truth and config.train.session.tastes == "drawn":
        raise ConfigError(
            f"option session.tastes: {config.train.method} learns from the truth, which is not drawn; leave it out"
        )
    selector, picks = config.train.selector, config.train.selector.picks
    if find(config.train.method).references and selector.kind != "none" and picks >= log.n_users:
        raise ConfigError(
            f"option selector.picks: {picks} reference users of a user need more than the "
            f"{log.n_users} users of {log.name}; at most {log.n_users - 1} work"
        )


def check_device(device: str) -> None:
    """Raise ConfigError for a wrong name of a device, and MachineError for a device that this machine lacks."""
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"option device: no such device as '{device}'; use cpu or cuda") from None
    if wanted.type not in ("cpu", "cuda"):
        raise ConfigError(f"option device: '{device}' is not supported; use cpu or cuda")
    found = torch.cuda.device_count()
    if wanted.type == "cuda" and (wanted.index or 0) >= found:
        raise MachineError(f"option device: {device} is asked for, but PyTorch finds {found} GPUs; use cpu")


def ignored_by(train: TrainConfig, name: str) -> str:
    """Return why training ignores an option of the reward or the selector, such as "method mbpo"; empty if it does not.

    name: of the option, as in "selector.picks".
    """
    method, selector, (group, _, field) = find(train.method), train.selector, name.partition(".")
    read, cause = True, f"method {method.name}"
    if group == "reward":
        read = name in {spelt("reward", one) for one in method.reads}
    elif group == "selector" and not method.references:
        read = False
    elif group == "selector" and selector.kind != "learned":
        read, cause = field in ("kind", "objective", *(["picks"] * (selector.kind != "none"))), "selector.kind"
        cause = f"{cause} {selector.kind}"
    elif group == "selector":
        whole = selector.objective == "reward"
        read = field != "folds" if whole else field in ("kind", "objective", "folds", "picks")
        cause = f"selector.objective {selector.objective}"
    return "" if read else cause


def without_effect(config: RunConfig, methods: Sequence[str] = (), mark: str = "--") -> list[str]:
    """Return sentences that name the options which were set but which no method, or the data set, does not read.

    methods: those that are compared, in place of that of the options. mark: what stands before the name of an option.
    """
    train, found = config.train, defaultdict(list)
    if config.data not in ("synthetic", IN_MEMORY):
        found[f"data {config.data}"] = changed("synthetic", config.synthetic, SyntheticConfig())
    trains = [replace(train, method=name) for name in methods] or [train]
    selector = changed("selector", train.selector, SelectorConfig())
    for name in [*selector, *changed("reward", train.reward, RewardConfig())]:
        causes = {ignored_by(one, name) for one in trains}
        if "" not in causes:
            found[causes.pop() if len(causes) == 1 else f"methods {','.join(methods)}"].append(name)
    listed = {cause: ", ".join(mark + name for name in names) for cause, names in found.items() if names}
    return [f"{names}: no effect with {mark}{cause}; leave them out" for cause, names in listed.items()]


def with_tastes(session: SessionConfig, world_model: WorldModelConfig) -> SessionConfig:
    """Return the session with `tastes = auto` decided by the kind of the world model."""
    if session.tastes != "auto":
        return session
    return replace(session, tastes="drawn" if world_model.kind in ("bayesian", "mixed") else "mean")


def require_times(session: SessionConfig, log: InteractionLog, data: str) -> None:
    """Raise ConfigError where something is learned from the sessions of a log without timestamps. data: its name."""
    learned = [name for name in ("exit", "fatigue") if getattr(session, name) == "learned"]
    if learned and log.timestamp is None:
        where = "the log" if data == IN_MEMORY else data
        raise ConfigError(
            f"option session.{learned[0]}: learned needs the times of events, and {where} has none; name their column "
            f"when the log is read ({TIMES}), or leave the option out"
        )


PRIOR = 10.0  # the weight of the start, as that of DARLR+


def decided(asked: RunConfig, logs: Logs) -> RunConfig:
    """Return the options of the run, none of which but `compile` is "auto" or left out. It decides to itself again.

    Decided are: the weights of the world model and other options that come with the method, the kind of the world
    model, the exit rule, the share of events that is kept for evaluation, the number of the selector's candidates, the
    label, the exposure of a synthetic world, and the full paths of folders. Raises ConfigError where the options do not
    suit the log.
    """
    config, log = weighted(anchored(asked)), logs.whole
    train = config.train
    selector = replace(train.selector, candidates=candidate_count(train.selector, len(logs.scope.users)))
    world_model, exposure = resolve_model(config.world_model, log), exposure_of(config.synthetic)
    prior = train.recommender.prior
    if prior is None:  # from nothing, a policy over thousands of items that few events name learns one list for all
        prior = PRIOR if world_model.kind == "implicit" else 0.0
    if train.recommender.belief and not prior:
        raise ConfigError("option recommender.belief: needs recommender.prior above 0")
    slate = slate_size(train.recommender, len(logs.scope.items))
    recommender = replace(train.recommender, slate=slate, prior=prior)
    if weighs(train):
        require_weighable(log, logs.scope, world_model.kind, world_model.estimates)
    session = with_tastes(resolve_exit(train.session, log), world_model)
    require_times(session, log, config.data)
    if session.tastes == "drawn" and config.fits_world:
        require_draws(world_model, world_model.members)
    if train.tables.neighbour_source == "logged" and not log.implicit:
        raise ConfigError("option tables.neighbour-source: logged is for logs of positives; this one has ratings")
    logged = log.implicit and world_model.estimates == "table"
    source: Literal["logged", "predicted"] = "logged" if logged else "predicted"
    averaged: Literal["logged", "predicted"] = "predicted" if world_model.kind == "implicit" else source
    tables = replace(
        train.tables,
        indicator=source if train.tables.indicator == "auto" else train.tables.indicator,
        neighbour_source=averaged if train.tables.neighbour_source == "auto" else train.tables.neighbour_source,
    )
    return replace(
        config,
        label=config.label or title(train.method),
        synthetic=replace(config.synthetic, exposure=exposure) if config.data == "synthetic" else config.synthetic,
        split=replace(config.split, evaluation=logs.evaluation),
        world_model=world_model,
        train=replace(
            train,
            session=session,
            recommender=recommender,
            selector=selector,
            tables=tables,
        ),
    )


def table(asked: RunConfig, config: RunConfig) -> Table:
    """Return each option by its name on the command line, its value, and where the value comes from, for a terminal."""
    parts = config, RunConfig(), usual(config.train.method), asked
    values, plain, mine, given = (named(to_json(one)) for one in parts)
    shown = Table("option", "value", "from", title=f"plan of a run on {config.data}", title_justify="left")
    for name, value in values.items():
        if name != "method" and value != given[name]:
            origin = "decided by the method, the log and the machine"
        elif name == "method" or value != mine[name]:
            origin = "given"
        else:
            origin = "default" if value == plain[name] else "default of the method"
        text = "none" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)
        shown.add_row(name, text, origin, style="" if origin != "default" else "dim")
    return shown


def title(method: str) -> str:
    """Return the name of a method in tables."""
    return find(method).title + " (true rewards)" * find(method).truth


def anchored(config: RunConfig) -> RunConfig:
    """Return the same with folders by their full paths, so that the run can be used from any working directory."""
    folder = config.data not in BUILT_IN and Path(config.data).exists()
    data = str(Path(config.data).resolve()) if folder else config.data
    return replace(config, data=data, world=config.world if config.fits_world else str(Path(config.world).resolve()))
