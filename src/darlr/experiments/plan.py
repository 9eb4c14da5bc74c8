"""The plan of a run: its options with nothing left open, decided by the method and the log before the run begins."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from darlr.agents.candidates import candidate_count
from darlr.data.sources import BUILT_IN
from darlr.experiments.logs import Logs
from darlr.methods import find, usual, weighted
from darlr.options import RunConfig
from darlr.options.json import to_json
from darlr.options.names import named
from darlr.simulation.exits import resolve as resolve_exit
from darlr.world.implicit import resolve as resolve_model

IN_MEMORY = "in memory"  # the name of a data set that lies in no folder


def decided(asked: RunConfig, logs: Logs) -> RunConfig:
    """The options of the run; none of them is "auto" or left out. The result for these options is the same again.

    Decided are: the weights of the world model and other options that come with the method, the kind of the world
    model, the exit rule, the share of events that is kept for evaluation, the number of the selector's candidates, the
    label, and the full paths of folders. Raises ConfigError where the options do not suit the log.
    """
    config, log = weighted(anchored(asked)), logs.whole
    train = config.train
    selector = replace(train.selector, candidates=candidate_count(train.selector, len(logs.scope.users)))
    source: Literal["logged", "predicted"] = "logged" if log.implicit else "predicted"
    tables = replace(
        train.tables,
        indicator=source if train.tables.indicator == "auto" else train.tables.indicator,
        neighbour_source=source if train.tables.neighbour_source == "auto" else train.tables.neighbour_source,
    )
    return replace(
        config,
        label=config.label or title(train.method),
        split=replace(config.split, evaluation=logs.evaluation),
        world_model=resolve_model(config.world_model, log),
        train=replace(train, session=resolve_exit(train.session, log), selector=selector, tables=tables),
    )


def table(asked: RunConfig, config: RunConfig) -> Table:
    """Each option by its name on the command line, its value, and where the value comes from, for a terminal."""
    parts = config, RunConfig(), usual(config.train.method), asked
    values, plain, mine, given = (named(to_json(one)) for one in parts)
    shown = Table("option", "value", "from", title=f"plan of a run on {config.data}", title_justify="left")
    for name, value in values.items():
        if name != "method" and value != given[name]:
            origin = "decided by the method and the log"
        elif name == "method" or value != mine[name]:
            origin = "given"
        else:
            origin = "default" if value == plain[name] else "default of the method"
        shown.add_row(name, _text(value), origin, style="" if origin != "default" else "dim")
    return shown


def title(method: str) -> str:
    """The name of a method in tables."""
    return find(method).title + " (true rewards)" * find(method).truth


def anchored(config: RunConfig) -> RunConfig:
    """The same with folders by their full paths, so that the run can be used from any working directory."""
    data = config.data if config.data in BUILT_IN or not Path(config.data).exists() else _full(config.data)
    return replace(config, data=data, world=config.world if config.fits_world else _full(config.world))


def _full(folder: str) -> str:
    return str(Path(folder).resolve())


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def differing(one: RunConfig, other: RunConfig) -> list[str]:
    """The options in which two configurations differ, by their names on the command line."""
    first, second = named(to_json(one)), named(to_json(other))
    return [name for name in first if first[name] != second[name]]
